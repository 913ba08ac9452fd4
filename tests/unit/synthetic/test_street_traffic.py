from collections.abc import Sequence
from itertools import combinations

import cv2
import numpy as np
import pytest

from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic.scenery import BUILDING, KERB, POLE, SIDEWALK, TRAFFIC_SIGN, VEGETATION, WALL
from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.street import Street, build_street
from vsrd_ray.synthetic.traffic import Vehicle

SEEDS = range(8)
CAR = 26
OTHERS = {"trucks": 2, "buses": 1, "caravans": 2, "trailers": 2}
OTHER_CLASSES = {"trucks": 27, "buses": 28, "caravans": 29, "trailers": 30}


def street(seed: int, **values: int) -> Street:
    return build_street(StreetSettings(seed=seed, **values))


def others(scene: Street) -> list[Vehicle]:
    """The vehicles that are no cars."""
    return [vehicle for vehicle in scene.vehicles if vehicle.instance_id // 1000 != CAR]


def turns(scene: Street, vehicles: Sequence[Vehicle]) -> np.ndarray:
    """Yaws of parked vehicles relative to the road beside them, radians."""
    stations = np.linspace(0, 70, 281)
    points, headings = scene.road.points(stations, 0.0), scene.road.heading_at(stations)
    nearest = [np.linalg.norm(points - vehicle.centers_street[0], axis=1).argmin() for vehicle in vehicles]
    return np.array([vehicle.yaws[0] for vehicle in vehicles]) - headings[nearest]


def footprint(vehicle: Vehicle, frame: int = 0) -> tuple[tuple[float, float], tuple[float, float], float]:
    """A vehicle's base as OpenCV's rotated rectangle, about the street's origin."""
    center, yaw = vehicle.pose_at(frame)
    length, width, _ = vehicle.dimensions_lwh
    return (float(center[0]), float(center[1])), (float(length), float(width)), float(np.degrees(yaw))


def overlap(a: Vehicle, b: Vehicle, frame: int = 0) -> bool:
    kind, _ = cv2.rotatedRectangleIntersection(footprint(a, frame), footprint(b, frame))
    return kind != cv2.INTERSECT_NONE


def test_the_overlap_test_sees_overlaps() -> None:
    car = street(0).vehicles[0]
    assert overlap(car, car)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"cars": 30},
        {"frames": 10},
        {"cars": 3, "frames": 200},
        OTHERS,
        {**OTHERS, "cars": 0},
        {"cars": 4, "buses": 16},
    ],
    ids=str,
)
def test_no_parked_vehicle_overlaps_another(seed: int, values: dict[str, int]) -> None:
    vehicles = street(seed, **values).vehicles
    numbers = {CAR: values.get("cars", 12)} | {OTHER_CLASSES[name]: values.get(name, 0) for name in OTHER_CLASSES}
    expected = [1000 * label + i + 1 for label, count in numbers.items() for i in range(count)]
    assert [vehicle.instance_id for vehicle in vehicles] == expected
    assert not [(a.instance_id, b.instance_id) for a, b in combinations(vehicles, 2) if overlap(a, b)]


@pytest.mark.parametrize("seed", SEEDS)
def test_driving_cars_meet_nobody(seed: int) -> None:
    scene = street(seed, moving=6, **OTHERS)
    moving = [car for car in scene.vehicles if car.is_moving]
    assert len(moving) == 6
    for frame in range(0, 60, 3):
        pairs = combinations(scene.vehicles, 2)
        assert not [
            (a.instance_id, b.instance_id) for a, b in pairs if (a in moving or b in moving) and overlap(a, b, frame)
        ]
    for car in moving:
        steps = np.linalg.norm(np.diff(car.centers_street, axis=0), axis=1)
        assert (steps > 0.5).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_camera_has_its_way(seed: int) -> None:
    scene = street(seed, moving=4, **OTHERS)
    for frame, T_street_cam in enumerate(scene.T_street_cam):
        for car in scene.vehicles:
            center, yaw = car.pose_at(frame)
            offset = T_street_cam[:2, 3] - center[:2]
            ahead = offset @ [np.cos(yaw), np.sin(yaw)], offset @ [-np.sin(yaw), np.cos(yaw)]
            clearance = np.abs(ahead) - car.dimensions_lwh[:2] / 2
            assert clearance.max() > 1.0, (frame, car.instance_id)


@pytest.mark.parametrize("seed", SEEDS)
def test_wheels_stand_on_the_road_and_in_it_nowhere(seed: int) -> None:
    scene = street(seed, moving=2, **OTHERS)
    for vehicle in scene.vehicles:
        vertices = vehicle.mesh_at(0).faces.reshape(-1, 3)
        wheels = vertices[vertices[:, 2] < vertices[:, 2].min() + 0.02]
        gaps = wheels[:, 2] - scene.road.dropped(wheels)[:, 2]
        assert gaps.min() > -0.01
        assert gaps.min() < 0.03
        assert gaps.max() < (0.2 if vehicle.dimensions_lwh[0] < 5 else 0.3)  # the road slopes, and they stand level


@pytest.mark.parametrize("seed", SEEDS)
def test_cars_line_the_drive(seed: int) -> None:
    scene = street(seed)
    first, last = scene.T_street_cam[0], scene.T_street_cam[-1]
    centers = np.stack([car.centers_street[0] for car in scene.vehicles])
    forward = rigid.apply(rigid.inverse(first), centers)[:, 2]
    assert forward.min() > 8.0
    sides = np.sign(rigid.apply(rigid.inverse(first), centers)[:, 0])
    assert len(set(sides)) == 2
    assert rigid.apply(rigid.inverse(last), centers)[:, 2].max() < 12.0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("values", [OTHERS, {"cars": 30, "trucks": 1, "trailers": 1}], ids=str)
def test_the_camera_passes_the_other_vehicles(seed: int, values: dict[str, int]) -> None:
    scene = street(seed, **values)
    first, last = scene.T_street_cam[0], scene.T_street_cam[-1]
    centers = np.stack([vehicle.centers_street[0] for vehicle in others(scene)])
    assert rigid.apply(rigid.inverse(first), centers)[:, 2].min() > 8.0
    assert rigid.apply(rigid.inverse(last), centers)[:, 2].max() < 8.0
    assert len(set(np.sign(rigid.apply(rigid.inverse(first), centers)[:, 0]))) == 2


def test_other_vehicles_stand_along_the_road_either_way_among_the_cars() -> None:
    cosines, is_between = [], []
    for seed in range(20):
        scene = street(seed, cars=6, trucks=1, buses=1)
        cosines += np.cos(turns(scene, others(scene))).tolist()
        ahead = rigid.apply(
            rigid.inverse(scene.T_street_cam[0]), np.stack([vehicle.centers_street[0] for vehicle in scene.vehicles])
        )[:, 2]
        is_between += [ahead[:6].min() < z < ahead[:6].max() for z in ahead[6:]]
    assert (np.abs(cosines) > np.cos(np.radians(2))).all()
    assert 0.25 < (np.array(cosines) > 0).mean() < 0.75
    assert np.mean(is_between) > 0.4


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_stands_beside_the_road_reaches_into_other_vehicles(seed: int) -> None:
    scene = street(seed, cars=4, frames=100, buses=2, trucks=2, caravans=1, trailers=1)
    labels = scene.scenery.ids.repeat(4)
    is_stuff = np.isin(labels, (BUILDING, WALL, POLE, TRAFFIC_SIGN, VEGETATION))
    corners, is_pole = scene.scenery.faces.reshape(-1, 3)[is_stuff], labels[is_stuff] == POLE
    for vehicle in others(scene):
        center, yaw = vehicle.pose_at(0)
        forward = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        offsets = corners - center
        ahead, aside = offsets @ forward, offsets @ [-forward[1], forward[0], 0.0]
        length, width, height = vehicle.dimensions_lwh
        is_beside = (np.abs(ahead) > length / 2) | (np.abs(aside) > width / 2)
        is_arm = is_pole & (offsets[:, 2] > height / 2)  # of a lamp; no branch hangs over a vehicle
        assert (is_beside | is_arm).all(), vehicle.instance_id


@pytest.mark.parametrize("seed", SEEDS)
def test_no_tubs_stand_before_other_vehicles(seed: int) -> None:
    scene = street(seed, cars=0, frames=100, buses=4, trucks=2)
    walls = scene.scenery.faces[scene.scenery.ids == WALL].reshape(-1, 1, 3)
    centreline = scene.road.points(np.linspace(0, 150, 301), 0.0)
    assert np.linalg.norm((walls - centreline)[..., :2], axis=-1).min() > KERB


@pytest.mark.parametrize("seed", SEEDS)
def test_other_vehicles_stand_beside_the_kerb(seed: int) -> None:
    scene = street(seed, cars=4, frames=100, buses=2, trucks=2, caravans=1, trailers=1)
    sidewalks = scene.scenery.faces[scene.scenery.ids == SIDEWALK][:, :3, :2].astype(np.float32)
    for vehicle in others(scene):
        vertices = vehicle.mesh_at(0).faces.reshape(-1, 3)
        is_low = vertices[:, 2] < vertices[:, 2].min() + 0.12
        center = vehicle.centers_street[0, :2]
        near = sidewalks[np.linalg.norm(sidewalks.mean(axis=1) - center, axis=1) < vehicle.dimensions_lwh[0]]
        for x, y in np.unique(vertices[is_low, :2], axis=0).tolist():
            assert max(cv2.pointPolygonTest(triangle, (x, y), False) for triangle in near) < 0, vehicle.instance_id


def test_some_cars_park_across_and_headings_vary() -> None:
    scenes = [street(seed) for seed in range(20)]
    turned = np.concatenate([turns(scene, scene.vehicles) for scene in scenes])
    cosines, sines = np.cos(turned), np.sin(turned)
    across = np.abs(sines) > 0.9
    assert 0.1 < across.mean() < 0.25
    assert (np.abs(cosines[~across]) > np.cos(np.radians(5))).all()
    assert 0.3 < (cosines[~across] > 0).mean() < 0.7
    assert np.abs(sines[~across]).std() > 0.005
