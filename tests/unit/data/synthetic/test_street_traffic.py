from itertools import combinations

import cv2
import numpy as np
import pytest

from vsrd_ray.data.synthetic.settings import StreetSettings
from vsrd_ray.data.synthetic.street import Street, build_street
from vsrd_ray.data.synthetic.traffic import Car
from vsrd_ray.geometry import rigid

SEEDS = range(8)


def street(seed: int, **values: int) -> Street:
    return build_street(StreetSettings(seed=seed, **values))


def footprint(car: Car, frame: int = 0) -> tuple[tuple[float, float], tuple[float, float], float]:
    """A car's base as OpenCV's rotated rectangle, about the street's origin."""
    center, yaw = car.pose_at(frame)
    length, width, _ = car.dimensions_lwh
    return (float(center[0]), float(center[1])), (float(length), float(width)), float(np.degrees(yaw))


def overlap(a: Car, b: Car, frame: int = 0) -> bool:
    kind, _ = cv2.rotatedRectangleIntersection(footprint(a, frame), footprint(b, frame))
    return kind != cv2.INTERSECT_NONE


def test_the_overlap_test_sees_overlaps() -> None:
    car = street(0).cars[0]
    assert overlap(car, car)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("values", [{}, {"cars": 30}, {"frames": 10}, {"cars": 3, "frames": 200}], ids=str)
def test_no_parked_car_overlaps_another(seed: int, values: dict[str, int]) -> None:
    cars = street(seed, **values).cars
    assert [car.instance_id for car in cars] == list(range(26001, 26001 + values.get("cars", 12)))
    assert not [(a.instance_id, b.instance_id) for a, b in combinations(cars, 2) if overlap(a, b)]


@pytest.mark.parametrize("seed", SEEDS)
def test_driving_cars_meet_nobody(seed: int) -> None:
    scene = street(seed, moving=6)
    moving = [car for car in scene.cars if car.is_moving]
    assert len(moving) == 6
    for frame in range(0, 60, 3):
        pairs = combinations(scene.cars, 2)
        assert not [
            (a.instance_id, b.instance_id) for a, b in pairs if (a in moving or b in moving) and overlap(a, b, frame)
        ]
    for car in moving:
        steps = np.linalg.norm(np.diff(car.centers_street, axis=0), axis=1)
        assert (steps > 0.5).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_camera_has_its_way(seed: int) -> None:
    scene = street(seed, moving=4)
    for frame, T_street_cam in enumerate(scene.T_street_cam):
        for car in scene.cars:
            center, yaw = car.pose_at(frame)
            offset = T_street_cam[:2, 3] - center[:2]
            ahead = offset @ [np.cos(yaw), np.sin(yaw)], offset @ [-np.sin(yaw), np.cos(yaw)]
            clearance = np.abs(ahead) - car.dimensions_lwh[:2] / 2
            assert clearance.max() > 1.0, (frame, car.instance_id)


@pytest.mark.parametrize("seed", SEEDS)
def test_wheels_stand_on_the_road_and_in_it_nowhere(seed: int) -> None:
    scene = street(seed, moving=2)
    for car in scene.cars:
        vertices = car.mesh_at(0).faces.reshape(-1, 3)
        wheels = vertices[vertices[:, 2] < vertices[:, 2].min() + 0.02]
        gaps = wheels[:, 2] - scene.road.dropped(wheels)[:, 2]
        assert gaps.min() > -0.01
        assert gaps.min() < 0.03
        assert gaps.max() < 0.2  # the road slopes below a car that stands level


@pytest.mark.parametrize("seed", SEEDS)
def test_cars_line_the_drive(seed: int) -> None:
    scene = street(seed)
    first, last = scene.T_street_cam[0], scene.T_street_cam[-1]
    centers = np.stack([car.centers_street[0] for car in scene.cars])
    forward = rigid.apply(rigid.inverse(first), centers)[:, 2]
    assert forward.min() > 8.0
    sides = np.sign(rigid.apply(rigid.inverse(first), centers)[:, 0])
    assert len(set(sides)) == 2
    assert rigid.apply(rigid.inverse(last), centers)[:, 2].max() < 12.0


def test_some_cars_park_across_and_headings_vary() -> None:
    turned = []
    for seed in range(20):
        scene = street(seed)
        for car in scene.cars:
            stations = np.linspace(0, 70, 281)
            nearest = np.linalg.norm(scene.road.points(stations, 0.0) - car.centers_street[0], axis=1).argmin()
            turned.append(float(car.yaws[0]) - float(scene.road.heading_at(stations[nearest])))
    cosines, sines = np.cos(turned), np.sin(turned)
    across = np.abs(sines) > 0.9
    assert 0.1 < across.mean() < 0.25
    assert (np.abs(cosines[~across]) > np.cos(np.radians(5))).all()
    assert 0.3 < (cosines[~across] > 0).mean() < 0.7
    assert np.abs(sines[~across]).std() > 0.005
