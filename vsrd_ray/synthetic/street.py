"""A street from its settings: road, vehicles, scenery, and the camera that drives through it.

Everything is in the frame `street`: the world's axes (z up) about an origin nearby, so that no precision is lost;
`origin_world` brings it into the world.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.synthetic.meshes import Mesh, joined
from vsrd_ray.synthetic.road import Road
from vsrd_ray.synthetic.scenery import (
    KERB,
    LAY_BY_KERB,
    POLE_LATERAL,
    KerbLine,
    bay_wall,
    bush,
    ground,
    houses,
    lamps,
    pole,
    trees,
)
from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.traffic import (
    EGO_LATERAL,
    Slot,
    Vehicle,
    between,
    kerb_distance,
    moving_cars,
    parked_vehicles,
    parking_slots,
    road_reach,
)

# KITTI-360's rectified camera: focal length and principal point, px, at its image size.
_FOCAL, _PRINCIPAL_POINT, _IMAGE_SIZE = 552.554261, (682.049453, 238.769549), (1408, 376)
_CAMERA_HEIGHT = 1.55  # m above the road
_BEHIND, _AHEAD = 12.0, 110.0  # m of street before the first and beyond the last camera

_SHADOW_SIZE = np.array([0.97, 0.97, 1.0])  # of a vehicle's box
_CROWN_REACH = 3.0  # m, from a tree's trunk to the ends of its branches
_STEP_BACK = 1.7  # m, by which a tree stands farther from a lay-by than from a kerb

# Independent streams of random numbers, so that a change to one part of the street leaves the others as they are.
_ROAD_STREAM, _CARS_STREAM, _SCENERY_STREAM, _CAMERA_STREAM, _OTHERS_STREAM = range(5)


@dataclass(frozen=True)
class Street:
    """A street with everything on it."""

    settings: StreetSettings
    road: Road
    origin_world: np.ndarray  # [3] metres
    K: np.ndarray  # [3, 3] pixels
    T_street_cam: np.ndarray  # [frames, 4, 4]
    T_world_cam: np.ndarray  # [frames, 4, 4]
    vehicles: tuple[Vehicle, ...]  # ascending instance ids
    scenery: Mesh  # all that stands still, parked vehicles included

    @property
    def moving(self) -> tuple[Vehicle, ...]:
        """The vehicles that drive; in the mesh they follow the scenery, in this order."""
        return tuple(vehicle for vehicle in self.vehicles if vehicle.is_moving)

    def mesh_at(self, frame: float) -> Mesh:
        """All faces of the street in one frame, or between frames."""
        return joined([self.scenery, *(vehicle.mesh_at(frame) for vehicle in self.moving)])

    def T_street_cam_at(self, frame: float) -> np.ndarray:  # noqa: N802
        """`T_street_cam` [4, 4] in a frame, or between frames: moved straight and turned evenly."""
        before, after, share = between(frame, len(self.T_street_cam))
        start = self.T_street_cam[before]
        if share == 0:
            return start
        step = rigid.inverse(start) @ self.T_street_cam[after]
        turn = Rotation.from_matrix(step[:3, :3]).as_rotvec()
        part = np.eye(4)
        part[:3, :3], part[:3, 3] = Rotation.from_rotvec(share * turn).as_matrix(), share * step[:3, 3]
        return start @ part

    def shadows_at(self, frame: float, sun: np.ndarray) -> np.ndarray:
        """Patches of shadow [2 vehicles, 4, 3] on the road, metres: below each vehicle and beside it.

        Args:
            frame: counted from the first; between frames too.
            sun: direction [3] to the sun.
        """
        key = tuple(sun.tolist())
        if key not in self._parked_shadows:
            parked = [vehicle for vehicle in self.vehicles if not vehicle.is_moving]
            self._parked_shadows[key] = self._shadows_of(parked, 0, sun)
        moving = iter(self._shadows_of(self.moving, frame, sun))
        parked = iter(self._parked_shadows[key])
        pairs = [next(moving if vehicle.is_moving else parked) for vehicle in self.vehicles]
        return np.stack(pairs).reshape(-1, 4, 3) if pairs else np.empty((0, 4, 3))

    def _shadows_of(self, vehicles: Sequence[Vehicle], frame: float, sun: np.ndarray) -> np.ndarray:
        """Two patches [vehicles, 2, 4, 3] of each vehicle, metres."""
        patches = [np.empty((0, 3))]
        for vehicle in vehicles:
            center, yaw = vehicle.pose_at(frame)
            corners = UprightBoxes(center, vehicle.dimensions_lwh * _SHADOW_SIZE, np.array(yaw)).corners()
            roof = corners[:4] + (center - corners[:4]) * [0.2, 0.2, 0.0]
            roof[:, :2] -= sun[:2] / sun[2] * 0.8 * vehicle.dimensions_lwh[2]
            patches += [corners[4:], roof]
        return self.road.dropped(np.concatenate(patches)).reshape(-1, 2, 4, 3)

    @cached_property
    def _parked_shadows(self) -> dict[tuple[float, ...], np.ndarray]:
        """Shadows of what stands still, by the sun's direction."""
        return {}


def build_street(settings: StreetSettings) -> Street:
    """The street that the settings describe: the same one every time."""
    streams = [np.random.default_rng([settings.seed, stream]) for stream in range(5)]
    rng = streams[_ROAD_STREAM]
    first, last = road_reach(settings)
    end = settings.drive_length + _AHEAD
    road = Road.random(rng, start=first, end=max(last, end) + 20.0)
    origin_world = np.array([1000.0, 3800.0, 115.0]) + rng.uniform(-1, 1, size=3) * [300.0, 300.0, 10.0]
    T_world_street = np.eye(4)
    T_world_street[:3, 3] = origin_world
    T_street_cam = _camera_poses(road, settings, streams[_CAMERA_STREAM])
    car_rng, other_rng = streams[_CARS_STREAM], streams[_OTHERS_STREAM]
    slots = parking_slots(road, settings, car_rng=car_rng, other_rng=other_rng)
    parked = parked_vehicles(road, slots, car_rng=car_rng, other_rng=other_rng)
    vehicles = [*parked, *moving_cars(road, settings, car_rng)]
    scenery = _scenery(road, slots, streams[_SCENERY_STREAM], end=end)
    return Street(
        settings=settings,
        road=road,
        origin_world=origin_world,
        K=camera_matrix(settings.image_size),
        T_street_cam=T_street_cam,
        T_world_cam=T_world_street @ T_street_cam,
        vehicles=tuple(sorted(vehicles, key=lambda vehicle: vehicle.instance_id)),
        scenery=joined([scenery, *(vehicle.mesh_at(0) for vehicle in parked)]),
    )


def camera_matrix(image_size: tuple[int, int]) -> np.ndarray:
    """KITTI-360's intrinsics [3, 3] scaled to an image size (width, height), px."""
    scale_x, scale_y = image_size[0] / _IMAGE_SIZE[0], image_size[1] / _IMAGE_SIZE[1]
    focal = _FOCAL * scale_x
    return np.array(
        [[focal, 0.0, _PRINCIPAL_POINT[0] * scale_x], [0.0, focal, _PRINCIPAL_POINT[1] * scale_y], [0.0, 0.0, 1.0]]
    )


def _camera_poses(road: Road, settings: StreetSettings, rng: np.random.Generator) -> np.ndarray:
    """`T_street_cam` [frames, 4, 4]: down the right lane, looking some 5 degrees down, with roll and jitter."""
    count = settings.frames
    stations = settings.frame_spacing * (np.arange(count) + rng.normal(0, 0.03, size=count))
    positions = road.points(stations, EGO_LATERAL + rng.normal(0, 0.02, size=count))
    positions[:, 2] += _CAMERA_HEIGHT + rng.normal(0, 0.008, size=count)
    roll = rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 1.5) + rng.normal(0, 0.15, size=count)
    pitch = rng.uniform(4.7, 5.6) + rng.normal(0, 0.15, size=count)
    heading = road.heading_at(stations) + np.radians(rng.normal(0, 0.25, size=count))
    elevation = np.arctan(road.slope_at(stations)) - np.radians(pitch)
    zeros = np.zeros(count)
    forward = np.stack(
        [np.cos(heading) * np.cos(elevation), np.sin(heading) * np.cos(elevation), np.sin(elevation)], axis=-1
    )
    level = np.stack([np.sin(heading), -np.cos(heading), zeros], axis=-1)
    down = np.cross(forward, level)
    cos, sin = np.cos(np.radians(roll))[:, None], np.sin(np.radians(roll))[:, None]
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, 0] = cos * level + sin * down
    poses[:, :3, 1] = cos * down - sin * level
    poses[:, :3, 2] = forward
    poses[:, :3, 3] = positions
    return poses


def _scenery(road: Road, slots: list[Slot], rng: np.random.Generator, *, end: float) -> Mesh:
    """Ground, houses and plants, and what stands between the camera and the vehicles."""

    def kerb_line(stations: np.ndarray, side: int) -> np.ndarray:
        return kerb_distance(stations, side, slots)

    def tree_line(stations: np.ndarray, side: int) -> np.ndarray:
        return _tree_line(stations, side, slots)

    return joined(
        [
            ground(road, kerb_line, start=-_BEHIND, end=end),
            houses(road, rng, start=-_BEHIND, end=end),
            trees(road, tree_line, rng, start=-_BEHIND, end=end),
            lamps(road, kerb_line, rng, start=-_BEHIND, end=end),
            *_poles(road, slots, rng),
            *_between_cars(road, slots, kerb_line, rng),
        ]
    )


def _tree_line(stations: np.ndarray, side: int, slots: list[Slot]) -> np.ndarray:
    """The kerb [S] as trees keep to it: they stand back where their branches would reach into a tall vehicle."""
    line = kerb_distance(stations, side, slots)
    for slot in slots:
        if slot.side == side and slot.kerb == LAY_BY_KERB:
            is_near = np.abs(stations - slot.station) < slot.extent / 2 + _CROWN_REACH
            line = np.where(is_near, np.maximum(line, LAY_BY_KERB + _STEP_BACK), line)
    return line


def _poles(road: Road, slots: list[Slot], rng: np.random.Generator) -> list[Mesh]:
    """Poles between the lane and some of the parked vehicles."""
    meshes = []
    for slot in slots:
        if rng.uniform() < 0.4:
            station = slot.station + rng.uniform(-0.6, 0.6) * slot.extent
            meshes.append(pole(road, station, slot.side * POLE_LATERAL, with_sign=bool(rng.uniform() < 0.4)))
    return meshes


def _between_cars(road: Road, slots: list[Slot], kerb_line: KerbLine, rng: np.random.Generator) -> list[Mesh]:
    """Low walls beside cars that are parked across, and plants in some of the larger gaps before the others."""
    meshes = []
    for slot in slots:
        station = slot.station - slot.extent / 2 - slot.gap / 2
        kerb = float(kerb_line(np.array([station]), slot.side)[0])
        if slot.across and slot.gap > 0.9:
            meshes.append(bay_wall(road, station, (slot.side * KERB, slot.side * (kerb + 0.1))))
        elif slot.kerb == KERB and slot.gap > 1.8 and rng.uniform() < 0.5:
            meshes.append(bush(road, station, slot.side * (KERB - rng.uniform(0.7, 1.7)), rng=rng))
    return meshes
