"""Cars on the street: rows parked along both sides, some across, and cars that drive."""

from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.data.kitti360.instances import IDS_PER_CLASS, SEMANTIC_IDS
from vsrd_ray.data.synthetic.cars import SHAPES, CarShape, car_mesh
from vsrd_ray.data.synthetic.meshes import Mesh
from vsrd_ray.data.synthetic.road import Road
from vsrd_ray.data.synthetic.scenery import BAY_KERB, KERB
from vsrd_ray.data.synthetic.settings import StreetSettings
from vsrd_ray.geometry.boxes import wrap_angle

CAR = IDS_PER_CLASS * SEMANTIC_IDS["car"]  # mask value without the instance
EGO_LATERAL = -1.5  # m, where the camera drives; oncoming cars drive on the other side of the centreline

_FIRST_STATION = 8.0  # m ahead of the first camera
_BEYOND = 4.0  # m past the last camera
_MIN_GAP = 0.5  # m between neighbours
_ACROSS_SHARE = 0.17
_MAX_YAW_NOISE = np.radians(4.0)
_SHAPE_SHARES = (0.3, 0.3, 0.27, 0.13)  # in the order of SHAPES
_PAINTS = (
    (212, 212, 210),
    (34, 36, 40),
    (158, 162, 166),
    (104, 108, 114),
    (44, 70, 122),
    (146, 34, 34),
    (46, 76, 58),
    (188, 174, 144),
    (70, 120, 160),
)


@dataclass(frozen=True)
class Car:
    """A car and its box over time. T is 1 for a parked car, and the number of frames for one that drives."""

    instance_id: int  # semantic id * 1000 + instance id
    dimensions_lwh: np.ndarray  # [3] metres
    centers_street: np.ndarray  # [T, 3] metres
    yaws: np.ndarray  # [T] radians about z
    mesh: Mesh  # in the frame of the box
    is_moving: bool

    def pose_at(self, frame: int) -> tuple[np.ndarray, float]:
        """Centre [3] (metres, street) and yaw (radians) in a frame."""
        index = frame if self.is_moving else 0
        return self.centers_street[index], float(self.yaws[index])

    def mesh_at(self, frame: int) -> Mesh:
        """The car where it stands in a frame, in the frame of the street."""
        center, yaw = self.pose_at(frame)
        return self.mesh.placed(yaw, center)


@dataclass(frozen=True)
class Slot:
    """A place by the roadside that one parked car takes."""

    station: float  # m, of the middle
    extent: float  # m along the road
    gap: float  # m to the neighbour before it
    side: int  # 1 left, -1 right
    across: bool
    lateral: float  # m, of the car's centre
    yaw: float  # radians relative to the road's heading
    shape: CarShape
    dimensions_lwh: np.ndarray  # [3] metres


def parking_slots(road: Road, settings: StreetSettings, rng: np.random.Generator) -> list[Slot]:
    """Slots of all parked cars, the left side first, each side in the order of the drive."""
    across = np.zeros(settings.cars, dtype=bool)
    across[rng.permutation(settings.cars)[: round(_ACROSS_SHARE * settings.cars)]] = True
    num_left = settings.cars // 2 + int(settings.cars % 2 and rng.integers(2))
    left = _row(road, settings, across[:num_left], side=1, rng=rng)
    return left + _row(road, settings, across[num_left:], side=-1, rng=rng)


def parked_car(road: Road, slot: Slot, *, number: int, rng: np.random.Generator) -> Car:
    """The car in a slot, standing level on the ground."""
    center, yaw = _standing(road, slot.station, slot.lateral, yaw=slot.yaw, dimensions_lwh=slot.dimensions_lwh)
    return _car(slot.shape, slot.dimensions_lwh, center[None], np.array([yaw]), number=number, is_moving=False, rng=rng)


def moving_cars(road: Road, settings: StreetSettings, rng: np.random.Generator) -> list[Car]:
    """Cars that drive: every other one comes towards the camera, the others lead it. None meets another."""
    speeds = {1: -rng.uniform(0.7, 1.1) * settings.frame_spacing, -1: rng.uniform(1.0, 1.1) * settings.frame_spacing}
    starts = {1: rng.uniform(28.0, 40.0), -1: rng.uniform(14.0, 20.0)}
    cars = []
    for i in range(settings.moving):
        lane = 1 if i % 2 == 0 else -1
        shape, lateral = _random_shape(rng), -lane * EGO_LATERAL + rng.normal(0, 0.1)
        dimensions = shape.random_dimensions(rng)
        stations = starts[lane] + speeds[lane] * np.arange(settings.frames)
        turn = np.pi if lane == 1 else 0.0
        poses = [_standing(road, s, lateral, yaw=turn, dimensions_lwh=dimensions) for s in stations]
        centers, yaws = np.stack([center for center, _ in poses]), np.array([yaw for _, yaw in poses])
        number = settings.cars + i + 1
        cars.append(_car(shape, dimensions, centers, yaws, number=number, is_moving=True, rng=rng))
        starts[lane] += rng.uniform(12.0, 25.0)
    return cars


def road_reach(settings: StreetSettings) -> tuple[float, float]:
    """First and last station that a car can come to, metres; neither depends on chance."""
    ahead = max(settings.drive_length, 7.0 * settings.cars) + 1.1 * settings.drive_length + 13.0 * settings.moving
    return -1.1 * settings.drive_length - 30.0, ahead + 60.0


def kerb_distance(stations: np.ndarray, side: int, slots: list[Slot]) -> np.ndarray:
    """Distance [S] from the centreline to the kerb on one side at stations [S]: it recedes where cars park across."""
    distance = np.full(len(stations), KERB)
    for slot in slots:
        if slot.across and slot.side == side:
            beyond = np.abs(stations - slot.station) - slot.extent / 2 - 0.4
            bay = BAY_KERB - (BAY_KERB - KERB) * np.clip(beyond / 1.5, 0, 1)
            distance = np.maximum(distance, bay)
    return distance


def _row(
    road: Road,
    settings: StreetSettings,
    across: np.ndarray,  # [n] bool
    *,
    side: int,
    rng: np.random.Generator,
) -> list[Slot]:
    """Slots along one side, spread over the drive; where they do not fit they run on beyond it."""
    drafts = [_draft(bool(is_across), side, rng) for is_across in across]
    room = max(settings.drive_length + _BEYOND - _FIRST_STATION, 0.0)
    spare = room - sum(_MIN_GAP + draft.extent for draft in drafts)
    shares = rng.dirichlet(np.full(len(drafts), 2.5)) if drafts else np.empty(0)
    slots, station = [], _FIRST_STATION - _MIN_GAP
    for draft, share in zip(drafts, shares, strict=True):
        gap = _MIN_GAP + (share * spare if spare > 0 else rng.uniform(0.0, 0.7))
        # Inside a bend a metre of kerb is more than a metre of centreline: keep the gap at the row's far edge.
        far_edge = side * (BAY_KERB if draft.across else KERB)
        scale = min(1.0, 1.0 - float(road.curvature_at(station + gap + draft.extent / 2)) * far_edge)
        middle = station + (gap + draft.extent / 2) / scale
        slots.append(replace(draft, station=middle, gap=gap))
        station = middle + draft.extent / 2 / scale
    return slots


def _draft(across: bool, side: int, rng: np.random.Generator) -> Slot:
    """A slot that has no station and no gap yet."""
    shape = _random_shape(rng)
    dimensions = shape.random_dimensions(rng)
    length, width, _ = dimensions
    noise = float(np.clip(rng.normal(0.0, np.radians(1.8)), -_MAX_YAW_NOISE, _MAX_YAW_NOISE))
    if across:
        lateral = 3.6 + rng.uniform(0.0, 0.25) + length / 2
        turn, size_along, size_beside = np.pi / 2, width, length
    else:
        lateral = KERB - rng.uniform(0.2, 0.4) - width / 2
        turn, size_along, size_beside = 0.0, length, width
    return Slot(
        station=0.0,
        extent=size_along * np.cos(noise) + size_beside * abs(np.sin(noise)),
        gap=0.0,
        side=side,
        across=across,
        lateral=side * lateral,
        yaw=turn + np.pi * int(rng.integers(2)) + noise,
        shape=shape,
        dimensions_lwh=dimensions,
    )


def _random_shape(rng: np.random.Generator) -> CarShape:
    return SHAPES[int(rng.choice(len(SHAPES), p=_SHAPE_SHARES))]


def _standing(
    road: Road, station: float, lateral: float, *, yaw: float, dimensions_lwh: np.ndarray
) -> tuple[np.ndarray, float]:
    """Centre [3] (metres) and yaw of a level car whose lowest wheel touches the road where that is highest."""
    center = road.points(station, lateral)
    heading = float(wrap_angle(road.heading_at(station) + yaw))
    length, width, height = dimensions_lwh
    wheels = np.array([[0.31 * length, 0.0, 0.0], [-0.29 * length, 0.0, 0.0]])
    sides = np.array([[0.0, 0.45 * width, 0.0], [0.0, -0.45 * width, 0.0]])
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    contacts = (wheels[:, None] + sides).reshape(-1, 3) @ turn.T + center
    center[2] = road.dropped(contacts)[:, 2].max() + height / 2
    return center, heading


def _car(
    shape: CarShape,
    dimensions_lwh: np.ndarray,
    centers_street: np.ndarray,
    yaws: np.ndarray,
    *,
    number: int,
    is_moving: bool,
    rng: np.random.Generator,
) -> Car:
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    return Car(
        instance_id=CAR + number,
        dimensions_lwh=dimensions_lwh,
        centers_street=centers_street,
        yaws=yaws,
        mesh=car_mesh(shape, dimensions_lwh, paint=paint, instance_id=CAR + number),
        is_moving=is_moving,
    )
