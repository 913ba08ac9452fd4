"""All on the street that is no vehicle: ground, houses, walls, trees, poles. Metres, in the frame of the street."""

from collections.abc import Callable

import numpy as np

from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.synthetic.meshes import (
    Mesh,
    blob,
    column,
    cuboid,
    joined,
    painted,
    shifted,
    split_quads,
)
from vsrd_ray.synthetic.road import Road

# Mask values of stuff: semantic id * 1000.
ROAD, SIDEWALK, BUILDING, WALL, POLE, TRAFFIC_SIGN, VEGETATION, TERRAIN, SKY = (
    CLASSES.first_id(name)
    for name in ("road", "sidewalk", "building", "wall", "pole", "traffic sign", "vegetation", "terrain", "sky")
)

KERB = 5.7  # m from the centreline, where cars park along the road
BAY_KERB = 9.2  # m, where they park across
LAY_BY_KERB = 6.6  # m, where other vehicles park along the road
POLE_LATERAL = 2.95  # m, between the lane and the parked cars
_KERB_HEIGHT = 0.12  # m
_SIDEWALK_WIDTH = 2.0  # m
_GROUND_REACH = 45.0  # m to either side
_GROUND_STEP = 1.5  # m
_HOUSE_DEPTH = 9.0  # m

_ASPHALT, _MARKING, _CONCRETE, _PAVING, _GRASS = (
    (92, 92, 95),
    (208, 208, 204),
    (168, 166, 160),
    (150, 144, 136),
    (98, 116, 62),
)
_STEEL, _BARK, _GLASS, _FRAME = (122, 126, 128), (92, 76, 60), (62, 72, 82), (226, 224, 218)
_PLASTERS = ((214, 200, 172), (196, 176, 156), (222, 214, 200), (178, 120, 98), (204, 186, 140), (186, 192, 194))
_ROOFS = ((134, 74, 58), (104, 66, 56), (86, 84, 88))
_LEAVES = ((84, 112, 52), (66, 98, 46), (104, 124, 60), (76, 102, 64))

# Kerb's distance from the centreline at stations [S] on one side (1 left, -1 right), metres.
KerbLine = Callable[[np.ndarray, int], np.ndarray]


def ground(road: Road, kerb_line: KerbLine, *, start: float, end: float) -> Mesh:
    """Carriageway with markings, kerbs, sidewalks and grass between two stations."""
    stations = np.arange(start, end + _GROUND_STEP, _GROUND_STEP)
    ones = np.ones_like(stations)
    right, left = -kerb_line(stations, -1), kerb_line(stations, 1)
    profile = [  # from right to left: lateral, height above the carriageway
        (-_GROUND_REACH * ones, _KERB_HEIGHT),
        (right - _SIDEWALK_WIDTH, _KERB_HEIGHT),
        (right - 0.15, _KERB_HEIGHT),
        (right, _KERB_HEIGHT),
        (right, 0.0),
        (-3.08 * ones, 0.0),
        (-2.98 * ones, 0.0),
        (-0.06 * ones, 0.0),
        (0.06 * ones, 0.0),
        (2.98 * ones, 0.0),
        (3.08 * ones, 0.0),
        (left, 0.0),
        (left, _KERB_HEIGHT),
        (left + 0.15, _KERB_HEIGHT),
        (left + _SIDEWALK_WIDTH, _KERB_HEIGHT),
        (_GROUND_REACH * ones, _KERB_HEIGHT),
    ]
    lines = [shifted(road.points(stations, lateral), z=height) for lateral, height in profile]
    dashes = np.where(np.arange(len(stations) - 1)[:, None] % 4 < 2, _MARKING, _ASPHALT)
    half = [(TERRAIN, _GRASS), (SIDEWALK, _PAVING), (SIDEWALK, _CONCRETE), (SIDEWALK, _CONCRETE), (ROAD, _ASPHALT)]
    lane = [(ROAD, _MARKING), (ROAD, _ASPHALT)]
    strips = [*half, *lane, (ROAD, dashes), *lane[::-1], *half[::-1]]
    meshes = []
    for (label, color), a, b in zip(strips, lines[:-1], lines[1:], strict=True):
        triangles = split_quads(np.stack([a[:-1], a[1:], b[1:], b[:-1]], axis=1))
        colors = np.broadcast_to(np.asarray(color), (len(stations) - 1, 3)).repeat(2, axis=0)
        meshes.append(painted(triangles, colors, instance_id=label, roughness=0.22 if label == TERRAIN else 0.09))
    return joined(meshes)


def houses(road: Road, rng: np.random.Generator, *, start: float, end: float) -> Mesh:
    """Rows of houses on both sides, with walls and hedges before them, and one house across the street's end."""
    meshes = []
    for side in (1, -1):
        station = start + rng.uniform(0, 4)
        while station < end:
            width = rng.uniform(8.0, 14.0)
            station += width / 2
            house = _house(width, int(rng.integers(2, 5)), rng)
            meshes.append(_beside(house, road, station, lateral=side * rng.uniform(13.0, 15.5)))
            fence = _fence(width * rng.uniform(0.6, 0.95), rng)
            meshes.append(_beside(fence, road, station, lateral=side * 11.6))
            station += width / 2 + rng.uniform(2.0, 7.0)
    across = _house(70.0, 4, rng)
    meshes.append(across.placed(float(road.heading_at(end)) - np.pi / 2, road.points(end, 0.0)))
    return joined(meshes)


def trees(road: Road, kerb_line: KerbLine, rng: np.random.Generator, *, start: float, end: float) -> Mesh:
    """Trees along the sidewalks, and some behind the houses' line."""
    meshes = []
    for side in (1, -1):
        station = start + rng.uniform(0, 10)
        while station < end:
            kerb = float(kerb_line(np.array([station]), side)[0])
            lateral = kerb + 1.3 if rng.uniform() < 0.6 else rng.uniform(12.0, 12.6)
            meshes.append(_beside(_tree(rng), road, station, lateral=side * lateral))
            station += rng.uniform(9.0, 18.0)
    return joined(meshes)


def pole(road: Road, station: float, lateral: float, *, with_sign: bool) -> Mesh:
    """A pole on the ground, with a traffic sign if wished."""
    parts = [painted(column(0.06, 3.2), _STEEL, instance_id=POLE)]
    if with_sign:
        plate = cuboid([-0.09, -0.32, 2.35], [-0.07, 0.32, 2.99])
        parts.append(painted(plate, (38, 78, 150), instance_id=TRAFFIC_SIGN))
    return joined(parts).placed(float(road.heading_at(station)), road.points(station, lateral))


def lamps(road: Road, kerb_line: KerbLine, rng: np.random.Generator, *, start: float, end: float) -> Mesh:
    """Street lamps behind the kerbs, now on one side, now on the other."""
    meshes = []
    side = int(rng.choice([-1, 1]))
    for station in np.arange(start + rng.uniform(0, 20), end, 22.0):
        lateral = float(kerb_line(np.array([station]), side)[0]) + 0.4
        shaft = painted(column(0.08, 7.0), _STEEL, instance_id=POLE)
        arm = painted(cuboid([-0.05, -2.2, 6.9], [0.05, 0.05, 7.0]), _STEEL, instance_id=POLE)
        meshes.append(_beside(joined([shaft, arm]), road, float(station), lateral=side * lateral))
        side = -side
    return joined(meshes)


def bush(road: Road, station: float, lateral: float, *, rng: np.random.Generator) -> Mesh:
    """A plant in a tub, a good metre high."""
    tub = painted(cuboid([-0.35, -0.35, 0.0], [0.35, 0.35, 0.45]), (120, 108, 98), instance_id=WALL, roughness=0.1)
    radii = rng.uniform(0.42, 0.55), rng.uniform(0.42, 0.55), rng.uniform(0.45, 0.6)
    leaves = painted(shifted(blob(radii, rng), z=0.75), rng.choice(_LEAVES), instance_id=VEGETATION, roughness=0.3)
    return joined([tub, leaves]).placed(float(road.heading_at(station)), road.points(station, lateral))


def bay_wall(road: Road, station: float, laterals: tuple[float, float]) -> Mesh:
    """A low wall across the parking strip, between two laterals."""
    low, high = min(laterals), max(laterals)
    solid = painted(cuboid([-0.12, low, -0.3], [0.12, high, 1.0]), (172, 150, 132), instance_id=WALL, roughness=0.15)
    return solid.placed(float(road.heading_at(station)), road.points(station, 0.0))


def _beside(mesh: Mesh, road: Road, station: float, *, lateral: float) -> Mesh:
    """A mesh set beside the road, its y axis pointing away from it, its ground on the sidewalk's level."""
    turn = 0.0 if lateral > 0 else np.pi
    place = shifted(road.points(station, lateral), z=_KERB_HEIGHT)
    return mesh.placed(float(road.heading_at(station)) + turn, place)


def _house(width: float, floors: int, rng: np.random.Generator) -> Mesh:
    """A house with its front at y = 0, seen from -y: plastered walls, windows, a door and a gabled roof."""
    half, eaves = width / 2, 2.9 * floors + 0.6
    solid = cuboid([-half, 0.0, -2.5], [half, _HOUSE_DEPTH, eaves])[:4]
    walls = painted(solid, rng.choice(_PLASTERS), instance_id=BUILDING, roughness=0.05)
    plinth = cuboid([-half - 0.04, -0.04, -2.5], [half + 0.04, _HOUSE_DEPTH, 0.5])
    parts = [walls, painted(plinth, (128, 122, 116), instance_id=BUILDING, roughness=0.08)]
    parts.append(painted(_gabled_roof(half, eaves), rng.choice(_ROOFS), instance_id=BUILDING, roughness=0.12))
    count = max(2, int(width / 2.6))
    centers = (np.arange(count) + 0.5) * width / count - half
    for floor in range(floors):
        sill = 1.2 + 2.9 * floor
        for column_index, x in enumerate(centers):
            is_door = floor == 0 and column_index == count // 2
            bottom, top = (0.0, 2.2) if is_door else (sill, sill + 1.5)
            frame = _front_panel(x, 1.2, -0.05, bottom - 0.08, top + 0.08)
            glass = _front_panel(x, 1.0, -0.07, bottom, top)
            parts.append(painted(frame, _FRAME, instance_id=BUILDING))
            parts.append(painted(glass, (84, 58, 44) if is_door else _GLASS, instance_id=BUILDING))
        parts.append(painted(_side_windows(half, sill), _GLASS, instance_id=BUILDING))
    return joined(parts)


def _gabled_roof(half_width: float, eaves: float) -> np.ndarray:
    """Two slopes over a house, and the gables below them."""
    ridge_y, ridge = _HOUSE_DEPTH / 2, eaves + 3.2
    x0, x1, y0, y1 = -half_width - 0.3, half_width + 0.3, -0.4, _HOUSE_DEPTH + 0.4
    low = eaves - 0.2
    faces = [
        [[x0, y0, low], [x1, y0, low], [x1, ridge_y, ridge], [x0, ridge_y, ridge]],
        [[x1, y1, low], [x0, y1, low], [x0, ridge_y, ridge], [x1, ridge_y, ridge]],
        [[x1, y0, low], [x1, y1, low], [x1, ridge_y, ridge], [x1, ridge_y, ridge]],
        [[x0, y1, low], [x0, y0, low], [x0, ridge_y, ridge], [x0, ridge_y, ridge]],
    ]
    return np.array(faces)


def _front_panel(x: float, width: float, y: float, bottom: float, top: float) -> np.ndarray:
    """A rectangle [1, 4, 3] just before a house's front."""
    left, right = x - width / 2, x + width / 2
    return np.array([[[left, y, bottom], [right, y, bottom], [right, y, top], [left, y, top]]])


def _side_windows(half_width: float, sill: float) -> np.ndarray:
    """Two windows on either side of a house."""
    panes = []
    for y in (0.3 * _HOUSE_DEPTH, 0.7 * _HOUSE_DEPTH):
        for x, sense in ((half_width + 0.03, 1), (-half_width - 0.03, -1)):
            a, b = y - 0.5 * sense, y + 0.5 * sense
            panes.append([[x, a, sill], [x, b, sill], [x, b, sill + 1.5], [x, a, sill + 1.5]])
    return np.array(panes)


def _fence(length: float, rng: np.random.Generator) -> Mesh:
    """A garden wall or a hedge along x."""
    height = rng.uniform(0.8, 1.5)
    if rng.uniform() < 0.5:
        solid = cuboid([-length / 2, -0.12, -0.8], [length / 2, 0.12, height])
        return painted(solid, rng.choice(_PLASTERS) * 0.85, instance_id=WALL, roughness=0.15)
    count = max(2, round(length / 1.5))
    clumps = [
        shifted(blob([1.1, 0.45, height / 2 + 0.15], rng), x=x, z=height / 2)
        for x in np.linspace(-length / 2, length / 2, count)
    ]
    return painted(np.concatenate(clumps), rng.choice(_LEAVES), instance_id=VEGETATION, roughness=0.35)


def _tree(rng: np.random.Generator) -> Mesh:
    """A street tree: a trunk and three clumps of leaves above head height."""
    height = rng.uniform(2.6, 3.4)
    trunk = painted(column(rng.uniform(0.11, 0.18), height + 1.0), _BARK, instance_id=VEGETATION, roughness=0.25)
    clumps = []
    for _ in range(3):
        radius = rng.uniform(1.0, 1.7)
        offset = [rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), height + radius + rng.uniform(-0.2, 1.2)]
        clumps.append(blob([radius, radius, 0.9 * radius], rng) + offset)
    leaves = painted(np.concatenate(clumps), rng.choice(_LEAVES), instance_id=VEGETATION, roughness=0.4)
    return joined([trunk, leaves])
