"""Vehicles on the street: rows parked along both sides, some cars across, and cars that drive."""

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.synthetic.bodies import Shape
from vsrd_ray.synthetic.cars import SHAPES
from vsrd_ray.synthetic.measured import measured_car
from vsrd_ray.synthetic.meshes import Mesh
from vsrd_ray.synthetic.road import Road
from vsrd_ray.synthetic.scenery import BAY_KERB, KERB, LAY_BY_KERB
from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.vehicles import OTHER_SHAPES

EGO_LATERAL = -1.5  # m, where the camera drives; oncoming cars drive on the other side of the centreline

_FIRST_STATION = 8.0  # m ahead of the first camera
_BEYOND = 4.0  # m past the last camera
_MIN_GAP = 0.5  # m between neighbours
_ACROSS_SHARE = 0.17
_MAX_YAW_NOISE = np.radians(4.0)
_MAX_LAY_BY_YAW_NOISE = np.radians(0.8)
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
class Vehicle:
    """A vehicle and its box over time. T is 1 for a parked one, and the number of frames for one that drives."""

    instance_id: int  # semantic id * 1000 + instance id
    dimensions_lwh: np.ndarray  # [3] metres
    centers_street: np.ndarray  # [T, 3] metres
    yaws: np.ndarray  # [T] radians about z
    mesh: Mesh  # in the frame of the box
    is_moving: bool

    def pose_at(self, frame: float) -> tuple[np.ndarray, float]:
        """Centre [3] (metres, street) and yaw (radians) in a frame, or between frames or a little beyond them."""
        before, after, share = between(frame if self.is_moving else 0, len(self.yaws))
        center, yaw = self.centers_street[before], float(self.yaws[before])
        if share != 0:
            center = center + share * (self.centers_street[after] - center)
            yaw += share * float(wrap_angle(self.yaws[after] - yaw))
        return center, yaw

    def mesh_at(self, frame: float) -> Mesh:
        """The vehicle where it stands in a frame, in the frame of the street."""
        center, yaw = self.pose_at(frame)
        return self.mesh.placed(yaw, center)


@dataclass(frozen=True)
class Slot:
    """A place by the roadside that one parked vehicle takes."""

    station: float  # m, of the middle
    extent: float  # m along the road
    gap: float  # m to the neighbour before it
    side: int  # 1 left, -1 right
    across: bool
    kerb: float  # m from the centreline, where it recedes to beside the slot
    lateral: float  # m, of the vehicle's centre
    yaw: float  # radians relative to the road's heading
    shape: Shape
    dimensions_lwh: np.ndarray  # [3] metres


def between(frame: float, count: int) -> tuple[int, int, float]:
    """The frames, of `count`, before and after a time in frames, and the share of the way; beyond both ends it goes on.

    The share is 0 in every frame itself, and where there is but one frame.
    """
    before = min(max(math.floor(frame), 0), count - 1)
    if before == frame or count == 1:
        return before, before, 0.0
    before = min(before, count - 2)
    return before, before + 1, frame - before


def parking_slots(
    road: Road, settings: StreetSettings, *, car_rng: np.random.Generator, other_rng: np.random.Generator
) -> list[Slot]:
    """Slots of all parked vehicles, the left side first, each side in the order of the drive.

    Args:
        road: what they stand along.
        settings: how many there are of each class, and how long the drive is.
        car_rng: decides on the cars and on the gaps; without other vehicles it alone counts.
        other_rng: decides on the other vehicles and on their places among the cars.
    """
    across = np.zeros(settings.cars, dtype=bool)
    across[car_rng.permutation(settings.cars)[: round(_ACROSS_SHARE * settings.cars)]] = True
    num_left = settings.cars // 2 + int(settings.cars % 2 and car_rng.integers(2))
    shapes, first = _other_shapes(settings, other_rng), int(other_rng.integers(2))
    room = max(settings.drive_length + _BEYOND - _FIRST_STATION, 0.0)
    left, right = (1, across[:num_left], shapes[first::2]), (-1, across[num_left:], shapes[1 - first :: 2])
    slots = []
    for side, turned, others in (left, right):
        cars = [_car_slot(bool(is_across), side, settings, car_rng) for is_across in turned]
        row = _mixed(cars, [_lay_by(shape, side, other_rng) for shape in others], room, other_rng)
        slots += _spread(road, row, room, car_rng)
    return slots


def parked_vehicles(
    road: Road, slots: list[Slot], *, car_rng: np.random.Generator, other_rng: np.random.Generator
) -> list[Vehicle]:
    """The vehicles in all slots, standing level on the ground; each class is numbered from 1 in the slots' order."""
    counts: Counter[str] = Counter()
    vehicles = []
    for slot in slots:
        counts[slot.shape.class_name] += 1
        center, yaw = _standing(
            road, slot.station, slot.lateral, shape=slot.shape, yaw=slot.yaw, dimensions_lwh=slot.dimensions_lwh
        )
        vehicle = _vehicle(
            slot.shape,
            slot.dimensions_lwh,
            center[None],
            np.array([yaw]),
            number=counts[slot.shape.class_name],
            is_moving=False,
            rng=car_rng if slot.shape.class_name == "car" else other_rng,
        )
        vehicles.append(vehicle)
    return vehicles


def moving_cars(road: Road, settings: StreetSettings, rng: np.random.Generator) -> list[Vehicle]:
    """Cars that drive: every other one comes towards the camera, the others lead it. None meets another."""
    speeds = {1: -rng.uniform(0.7, 1.1) * settings.frame_spacing, -1: rng.uniform(1.0, 1.1) * settings.frame_spacing}
    starts = {1: rng.uniform(28.0, 40.0), -1: rng.uniform(14.0, 20.0)}
    cars = []
    for i in range(settings.moving):
        lane = 1 if i % 2 == 0 else -1
        shape, lateral = _random_shape(settings, rng), -lane * EGO_LATERAL + rng.normal(0, 0.1)
        dimensions = shape.random_dimensions(rng)
        stations = starts[lane] + speeds[lane] * np.arange(settings.frames)
        turn = np.pi if lane == 1 else 0.0
        poses = [_standing(road, s, lateral, shape=shape, yaw=turn, dimensions_lwh=dimensions) for s in stations]
        centers, yaws = np.stack([center for center, _ in poses]), np.array([yaw for _, yaw in poses])
        number = settings.cars + i + 1
        cars.append(_vehicle(shape, dimensions, centers, yaws, number=number, is_moving=True, rng=rng))
        starts[lane] += rng.uniform(12.0, 25.0)
    return cars


def road_reach(settings: StreetSettings) -> tuple[float, float]:
    """First and last station that a vehicle can come to, metres; neither depends on chance."""
    parked = 7.0 * settings.cars + 8.0 * sum(settings.others.values())
    ahead = max(settings.drive_length, parked) + 1.1 * settings.drive_length + 13.0 * settings.moving
    return -1.1 * settings.drive_length - 30.0, ahead + 60.0


def kerb_distance(stations: np.ndarray, side: int, slots: list[Slot]) -> np.ndarray:
    """Distance [S] from the centreline to the kerb on one side at stations [S]: it recedes beside some slots."""
    distance = np.full(len(stations), KERB)
    for slot in slots:
        if slot.side == side:
            beyond = np.abs(stations - slot.station) - slot.extent / 2 - 0.4
            bay = slot.kerb - (slot.kerb - KERB) * np.clip(beyond / 1.5, 0, 1)
            distance = np.maximum(distance, bay)
    return distance


def _other_shapes(settings: StreetSettings, rng: np.random.Generator) -> list[Shape]:
    """A shape for each parked vehicle that is no car, in random order."""
    shapes = []
    for class_name, count in settings.others.items():
        choices = [shape for shape in OTHER_SHAPES if shape.class_name == class_name]
        shapes += [choices[int(i)] for i in rng.integers(len(choices), size=count)]
    return [shapes[int(i)] for i in rng.permutation(len(shapes))]


def _mixed(cars: list[Slot], others: list[Slot], room: float, rng: np.random.Generator) -> list[Slot]:
    """One row of both: the others at random places; first, where the row runs on beyond the drive, to be passed."""
    fits = sum(_MIN_GAP + slot.extent for slot in (*cars, *others)) <= room
    row = list(cars)
    for slot in others:
        row.insert(int(rng.integers(len(row) + 1)) if fits else 0, slot)
    return row


def _spread(
    road: Road,
    drafts: list[Slot],
    room: float,  # m of road
    rng: np.random.Generator,
) -> list[Slot]:
    """The slots of one side, spread over the drive; where they do not fit they run on beyond it."""
    spare = room - sum(_MIN_GAP + draft.extent for draft in drafts)
    shares = rng.dirichlet(np.full(len(drafts), 2.5)) if drafts else np.empty(0)
    slots, station = [], _FIRST_STATION - _MIN_GAP
    for draft, share in zip(drafts, shares, strict=True):
        gap = _MIN_GAP + (share * spare if spare > 0 else rng.uniform(0.0, 0.7))
        # Inside a bend a metre of kerb is more than a metre of centreline: keep the gap at the row's far edge.
        far_edge = draft.side * draft.kerb
        scale = min(1.0, 1.0 - float(road.curvature_at(station + gap + draft.extent / 2)) * far_edge)
        middle = station + (gap + draft.extent / 2) / scale
        slots.append(replace(draft, station=middle, gap=gap))
        station = middle + draft.extent / 2 / scale
    return slots


def _car_slot(across: bool, side: int, settings: StreetSettings, rng: np.random.Generator) -> Slot:
    """A car's slot that has no station and no gap yet."""
    shape = _random_shape(settings, rng)
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
        kerb=BAY_KERB if across else KERB,
        lateral=side * lateral,
        yaw=turn + np.pi * int(rng.integers(2)) + noise,
        shape=shape,
        dimensions_lwh=dimensions,
    )


def _lay_by(shape: Shape, side: int, rng: np.random.Generator) -> Slot:
    """A slot along the road that is deep enough for any vehicle, without a station and a gap yet."""
    dimensions = shape.random_dimensions(rng)
    length, width, _ = dimensions
    noise = float(rng.uniform(-_MAX_LAY_BY_YAW_NOISE, _MAX_LAY_BY_YAW_NOISE))
    return Slot(
        station=0.0,
        extent=length * np.cos(noise) + width * abs(np.sin(noise)),
        gap=0.0,
        side=side,
        across=False,
        kerb=LAY_BY_KERB,
        lateral=side * (LAY_BY_KERB - rng.uniform(0.15, 0.35) - width / 2),
        yaw=np.pi * int(rng.integers(2)) + noise,
        shape=shape,
        dimensions_lwh=dimensions,
    )


def _random_shape(settings: StreetSettings, rng: np.random.Generator) -> Shape:
    if settings.shapes == "measured":
        return measured_car(rng)
    return SHAPES[int(rng.choice(len(SHAPES), p=_SHAPE_SHARES))]


def _standing(
    road: Road, station: float, lateral: float, *, shape: Shape, yaw: float, dimensions_lwh: np.ndarray
) -> tuple[np.ndarray, float]:
    """Centre [3] (metres) and yaw of a level vehicle whose lowest wheel touches the road where that is highest."""
    center = road.points(station, lateral)
    heading = float(wrap_angle(road.heading_at(station) + yaw))
    length, width, height = dimensions_lwh
    wheels = np.array([[share * length, 0.0, 0.0] for share in shape.axles])
    sides = np.array([[0.0, 0.45 * width, 0.0], [0.0, -0.45 * width, 0.0]])
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    contacts = (wheels[:, None] + sides).reshape(-1, 3) @ turn.T + center
    center[2] = road.dropped(contacts)[:, 2].max() + height / 2
    return center, heading


def _vehicle(
    shape: Shape,
    dimensions_lwh: np.ndarray,
    centers_street: np.ndarray,
    yaws: np.ndarray,
    *,
    number: int,
    is_moving: bool,
    rng: np.random.Generator,
) -> Vehicle:
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    instance_id = CLASSES.first_id(shape.class_name) + number
    return Vehicle(
        instance_id=instance_id,
        dimensions_lwh=dimensions_lwh,
        centers_street=centers_street,
        yaws=yaws,
        mesh=shape.mesh(dimensions_lwh, paint=paint, instance_id=instance_id),
        is_moving=is_moving,
    )
