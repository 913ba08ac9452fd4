"""Voxel truth: what fills the boxes of a grid around the car, and which of them its sensors look into.

A voxel is occupied if a vertical line of its lattice runs inside a body there, however short, or a line along another
axis meets a body's surface there, or a vertical line meets the ground there. Lattices are as fine as what they have to
catch. The class is that of the id whose bodies fill most of the voxel; that of ground only where no body is. Shapes:
X x Y x Z voxels.
"""

from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic.lidar import Sensor
from vsrd_ray.synthetic.rig import T_EGO_VELO
from vsrd_ray.synthetic.scenery import BUILDING, POLE, ROAD, SIDEWALK, TERRAIN, TRAFFIC_SIGN
from vsrd_ray.synthetic.solids import Triangles, closed, inside, meet, together, triangulated
from vsrd_ray.synthetic.spans import expand, low_and_high
from vsrd_ray.synthetic.street import Street
from vsrd_ray.synthetic.turns import Turn, directions

_GROUND = (ROAD, SIDEWALK, TERRAIN)
_SPACINGS = {0.05: (POLE, TRAFFIC_SIGN), 0.2: (BUILDING,)}  # m between a lattice's lines, for bodies of some ids
_SPACING, _GROUND_SPACING = 0.1, 0.2  # m, for all other bodies, and for the ground
_SIDE_SPACING = 0.1  # m between the lines along x and y, for all bodies


@dataclass(frozen=True)
class Grid:
    """Where voxels lie."""

    low: tuple[float, float, float]  # m, grid's frame
    shape: tuple[int, int, int]
    voxel_size: float  # m
    T_velo_grid: np.ndarray  # [4, 4]

    @property
    def range(self) -> np.ndarray:
        """Lowest and highest x, y, z [6], metres."""
        low = np.array(self.low)
        return np.concatenate([low, low + self.voxel_size * np.array(self.shape)])


def _lowered(height: float) -> np.ndarray:
    T_a_b = np.eye(4)
    T_a_b[2, 3] = -height
    return T_a_b


GRIDS = {
    "occ3d": Grid((-40.0, -40.0, -1.0), (200, 200, 16), 0.4, _lowered(float(T_EGO_VELO[2, 3]))),
    "sscbench": Grid((0.0, -25.6, -2.0), (256, 256, 32), 0.2, np.eye(4)),
}


@dataclass(frozen=True)
class Voxels:
    """What fills a grid."""

    ids: np.ndarray  # [X, Y, Z] uint16, semantic id * 1000 + instance id; 0 is free
    fill: np.ndarray  # [X, Y, Z] float32, share of the voxel inside bodies of that id; 0 for ground

    @property
    def semantics(self) -> np.ndarray:
        """Semantic ids [X, Y, Z] uint8; 0 is free."""
        return (self.ids // IDS_PER_CLASS).astype(np.uint8)


class StreetSolids:
    """The bodies and the ground of one street, closed once."""

    def __init__(self, street: Street) -> None:
        self._street = street
        scenery = triangulated(street.scenery)
        is_ground = np.isin(scenery.ids, _GROUND)
        self._ground = scenery.where(is_ground)
        self._still = closed(scenery.where(~is_ground))
        self._moving = [closed(triangulated(vehicle.mesh)) for vehicle in street.moving]

    def voxels(self, frame: float, T_street_grid: np.ndarray, grid: Grid) -> Voxels:
        """What fills a grid with a pose [4, 4] in a frame."""
        T_low_street = _lowered(0.0)
        T_low_street[:3, 3] = -np.array(grid.low)
        T_low_street = T_low_street @ rigid.inverse(T_street_grid)
        bodies = [self._still.placed(T_low_street)]
        for vehicle, solid in zip(self._street.moving, self._moving, strict=True):
            bodies.append(solid.placed(T_low_street @ _pose(*vehicle.pose_at(frame))))
        voxel, ids, volume = _filled(_near(together(bodies), grid), grid)
        result = Voxels(np.zeros(grid.shape, np.uint16), np.zeros(grid.shape, np.float32))
        ground_voxel, ground_id = _ground_voxels(_near(self._ground.placed(T_low_street), grid), grid)
        result.ids.reshape(-1)[ground_voxel] = ground_id
        # Ascending volumes, then descending ids: what is written last stays.
        order = np.lexsort((-ids, volume))
        result.ids.reshape(-1)[voxel[order]] = ids[order]
        result.fill.reshape(-1)[voxel[order]] = np.minimum(volume[order] / grid.voxel_size**3, 1)
        return result


def _pose(center: np.ndarray, yaw: float) -> np.ndarray:
    cos, sin = np.cos(yaw), np.sin(yaw)
    T_street_obj = np.eye(4)
    T_street_obj[:2, :2], T_street_obj[:3, 3] = [[cos, -sin], [sin, cos]], center
    return T_street_obj


def _near(triangles: Triangles, grid: Grid) -> Triangles:
    """Those triangles, in metres from the grid's low corner, that may lie above, in or below it."""
    xy = triangles.points[triangles.index, :2]
    low, high = low_and_high(xy)
    size = np.array(grid.shape[:2]) * grid.voxel_size
    return triangles.where((high[:, 0] > 0) & (high[:, 1] > 0) & (low[:, 0] < size[0]) & (low[:, 1] < size[1]))


def _filled(triangles: Triangles, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of a voxel and an id that fills some of it: flat index, id and volume (m3), each [P].

    Where a body's surface was met beside its volume, a pair comes again without one.
    """
    parts = []
    rest = np.ones(len(triangles.ids), dtype=bool)
    for spacing, ids in _SPACINGS.items():
        which = np.isin(triangles.ids, ids)
        rest &= ~which
        parts.append(_stretches(triangles.where(which), spacing, grid))
    parts.append(_stretches(triangles.where(rest), _SPACING, grid))
    parts += [_touched(triangles, axis, grid) for axis in (0, 1)]
    voxel, ids, volume = (np.concatenate(values) for values in zip(*parts, strict=True))
    return voxel, ids, volume


def _summed(voxel: np.ndarray, ids: np.ndarray, volume: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each pair of a voxel and an id once, with the sum of its volumes."""
    if len(ids) > 0 and (ids == ids[0]).all():  # a house fills so many voxels that sorting them takes long
        total = np.bincount(voxel, volume)
        voxel = np.flatnonzero(np.bincount(voxel))
        return voxel, np.full(len(voxel), ids[0]), total[voxel]
    keys, index = np.unique(voxel * np.int64(1 << 16) + ids, return_inverse=True)
    return keys >> 16, keys & 0xFFFF, np.bincount(index, volume, minlength=len(keys))


def _stretches(triangles: Triangles, spacing: float, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxels, ids and volumes (m3), each [P], of all parts of a lattice's lines that lie inside bodies."""
    per_voxel = round(grid.voxel_size / spacing)
    columns, rows = grid.shape[0] * per_voxel, grid.shape[1] * per_voxel
    intervals = inside(meet(triangles, spacing, (columns, rows)))
    size, height = grid.voxel_size, grid.shape[2]
    first = np.maximum(np.floor(intervals.low / size), 0)
    level, index = expand(first, np.minimum(np.floor(intervals.high / size) + 1, height))
    length = np.minimum(intervals.high[index], (level + 1) * size) - np.maximum(intervals.low[index], level * size)
    voxel = _voxel(intervals.line[index], columns, per_voxel, level, grid)
    return _summed(voxel, intervals.ids[index], np.maximum(length, 0) * spacing**2)


def _touched(triangles: Triangles, axis: int, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxels, ids and no volume, each [P], where lines along an axis (0: x, 1: y) meet bodies."""
    order = [(axis + 1) % 3, (axis + 2) % 3, axis]
    per_voxel = round(grid.voxel_size / _SIDE_SPACING)
    columns, rows = (grid.shape[i] * per_voxel for i in order[:2])
    hits = meet(replace(triangles, points=triangles.points[:, order]), _SIDE_SPACING, (columns, rows))
    index = np.empty((3, len(hits.line)), dtype=np.int64)
    index[order[0]], index[order[1]] = (hits.line % columns) // per_voxel, (hits.line // columns) // per_voxel
    index[axis] = np.floor(hits.z / grid.voxel_size)
    within = (index[axis] >= 0) & (index[axis] < grid.shape[axis])
    voxel = np.asarray(np.ravel_multi_index(tuple(index[:, within]), grid.shape))
    return voxel, hits.ids[within], np.zeros(len(voxel))


def _ground_voxels(triangles: Triangles, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices and ids, each [P], of voxels with ground in them: the id that most lines meet."""
    per_voxel = round(grid.voxel_size / _GROUND_SPACING)
    columns, rows = grid.shape[0] * per_voxel, grid.shape[1] * per_voxel
    hits = meet(triangles, _GROUND_SPACING, (columns, rows))
    level = np.floor(hits.z / grid.voxel_size).astype(np.int64)
    within = (level >= 0) & (level < grid.shape[2])
    voxel = _voxel(hits.line[within], columns, per_voxel, level[within], grid)
    keys, counts = np.unique(voxel * np.int64(1 << 16) + hits.ids[within], return_counts=True)
    order = np.lexsort((-keys, counts))
    return keys[order] >> 16, keys[order] & 0xFFFF


def _voxel(line: np.ndarray, columns: int, per_voxel: int, level: np.ndarray, grid: Grid) -> np.ndarray:
    """Flat indices [P] of the voxels at levels [P] that lines [P] of a lattice run through."""
    x, y = (line % columns) // per_voxel, (line // columns) // per_voxel
    return (x * grid.shape[1] + y) * grid.shape[2] + level


def containing(grid: Grid, points_grid: np.ndarray) -> np.ndarray:
    """Flat indices [P'] of the voxels that hold points [P, 3] (metres, grid's frame), without those outside."""
    index = np.floor((points_grid - np.array(grid.low)) / grid.voxel_size).astype(np.int64)
    index = index[((index >= 0) & (index < np.array(grid.shape))).all(axis=1)]
    return np.asarray(np.ravel_multi_index(tuple(index.T), grid.shape))


def centers(grid: Grid, T_a_grid: np.ndarray) -> list[np.ndarray]:
    """x, y and z [X, Y, Z] float32 of the voxels' centres in a frame a, metres."""
    axes = [low + (np.arange(n) + 0.5) * grid.voxel_size for low, n in zip(grid.low, grid.shape, strict=True)]
    x, y, z = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij", sparse=True)
    rows = T_a_grid[:3].astype(np.float32)
    return [row[0] * x + row[1] * y + (row[2] * z + row[3]) for row in rows]


def seen_by_camera(grid: Grid, T_cam_grid: np.ndarray, K: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Whether voxels [X, Y, Z] are seen: their centre is in the image, and at most half a voxel behind what is there.

    So are those that hold what a pixel sees, of every other pixel of every other row.

    Args:
        grid: of the voxels.
        T_cam_grid: [4, 4].
        K: [3, 3] pixels.
        depth: [H, W] metres along the optical axis; 0 where nothing ends the view.
    """
    x, y, z = centers(grid, T_cam_grid)
    height, width = depth.shape
    ahead = z > grid.voxel_size / 2
    scale = 1 / np.where(ahead, z, 1)
    u = np.rint(x * scale * np.float32(K[0, 0]) + np.float32(K[0, 2]))
    v = np.rint(y * scale * np.float32(K[1, 1]) + np.float32(K[1, 2]))
    index = np.flatnonzero(ahead & (u >= 0) & (u < width) & (v >= 0) & (v < height))
    end = depth[v.reshape(-1)[index].astype(np.int32), u.reshape(-1)[index].astype(np.int32)]
    seen = np.zeros(grid.shape, dtype=bool)
    seen.reshape(-1)[index] = (z.reshape(-1)[index] <= end + grid.voxel_size / 2) | (end == 0)
    v, u = np.nonzero(depth[::2, ::2])
    z = depth[2 * v, 2 * u]
    points_cam = np.stack([(2 * u - K[0, 2]) / K[0, 0] * z, (2 * v - K[1, 2]) / K[1, 1] * z, z], axis=-1)
    seen.reshape(-1)[containing(grid, rigid.apply(rigid.inverse(T_cam_grid), points_cam))] = True
    return seen


def seen_by_lidar(
    grid: Grid,
    T_velo_grid: np.ndarray,
    turn: Turn,
    sensor: Sensor,
    *,
    reach: float,  # m
) -> np.ndarray:
    """Whether voxels [X, Y, Z] are seen: the ray nearest to their centre ends at most half a voxel before it.

    Columns of the turn begin behind the sensor, at azimuth pi, and go round clockwise. Rays that meet nothing see up to
    `reach`. Centres farther than half a ring's step above the highest ring or below the lowest one are not seen. Voxels
    in which a ray ends are.
    """
    elevations = sensor.elevations
    x, y, z = centers(grid, T_velo_grid)
    count = len(turn.face)
    column = np.floor((np.pi - np.arctan2(y, x)) * np.float32(count / (2 * np.pi))).astype(np.int32) % count
    flat = np.sqrt(x**2 + y**2)
    elevation = np.arctan2(z, flat)
    middles = (elevations[1:] + elevations[:-1]) / 2
    borders = np.concatenate([[1.5 * elevations[0] - elevations[1] / 2], middles])
    ring = np.searchsorted(borders, elevation) - 1
    within = (ring >= 0) & (elevation <= 1.5 * elevations[-1] - elevations[-2] / 2)
    end = np.minimum(turn.distance, reach)[column, np.maximum(ring, 0)]
    seen = within & (np.sqrt(flat**2 + z**2) <= end + grid.voxel_size / 2)
    met = turn.distance <= reach
    points_velo = directions(sensor.azimuths, elevations)[met] * turn.distance[met][:, None]
    seen.reshape(-1)[containing(grid, rigid.apply(rigid.inverse(T_velo_grid), points_velo))] = True
    return seen
