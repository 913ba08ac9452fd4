"""Objects of sweeps that are made up: two cameras side by side, walls of points, and masks drawn by hand."""

import numpy as np
import pytest

from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.points.clusters import clusters_of, confidences
from vsrd_ray.labelers.points.ground import fit_ground
from vsrd_ray.labelers.points.keyframe import look_up, published
from vsrd_ray.labelers.points.objects import label_objects
from vsrd_ray.labelers.points.projection import project
from vsrd_ray.labels.points.classes import NO_INSTANCE, NONE

SIZE = (400, 300)
K = np.array([[300.0, 0, 200], [0, 300, 150], [0, 0, 1]])
CLASSES = np.full(66, NONE)
CLASSES[[1, 2]] = 0, 7  # car, pedestrian
CAR, PERSON = 1001, 2001
# x forward, y left, z up -> x right, y down, z forward
R_CAM_LIDAR = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
SETTINGS = {"front_share": 0.6, "reach": 0.4}


def camera(degrees=0.0, height=0.0):
    """`T_cam_lidar` of a camera below the LiDAR by -height, turned to the left."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    T_lidar_cam = np.eye(4)
    T_lidar_cam[:3, :3] = turn @ R_CAM_LIDAR.T
    T_lidar_cam[2, 3] = height
    return rigid.inverse(T_lidar_cam)


def wall(x, y, z=(-1.4, 0.0), step=0.12):
    """Points of a wall across the view at a distance x, between two y and two z."""
    ys, zs = np.meshgrid(np.arange(*y, step), np.arange(*z, step))
    return np.column_stack([np.full(ys.size, x), ys.ravel(), zs.ravel()])


def road():
    x, y = np.meshgrid(np.arange(3, 40, 0.7), np.arange(-20, 20, 0.7))
    return np.column_stack([x.ravel(), y.ravel(), np.full(x.size, -1.8)])


def mask_of(parts, T_cam_lidar, *, grow=2):
    """An instance map: the boxes around the projections of some points, in the order of drawing."""
    image = np.zeros(SIZE[::-1], dtype=np.uint16)
    for number, points in parts:
        uv = project(points, T_cam_lidar, K, SIZE).uv
        if len(uv):
            (left, top), (right, low) = np.floor(uv.min(axis=0)) - grow, np.ceil(uv.max(axis=0)) + grow
            image[int(max(top, 0)) : int(low) + 1, int(max(left, 0)) : int(right) + 1] = number
    return image


def seen(xyz, parts, T_cam_lidar):
    points = project(xyz, T_cam_lidar, K, SIZE)
    return look_up(points, mask_of(parts, T_cam_lidar), CLASSES, K)


def labelled(pieces, views, **changes):
    """Labels, and the instances of each piece's points; there is a road below."""
    xyz = np.concatenate([*pieces, road()])
    labels = label_objects(xyz, fit_ground(xyz).clearance(xyz) < 0.2, views(xyz), **{**SETTINGS, **changes})
    ends = np.cumsum([len(piece) for piece in pieces])
    return labels, np.split(labels.instances, ends)


def test_cars_that_stand_close_are_two_objects_and_one_by_the_published_rule():
    left, right = wall(10, (0.3, 2.1)), wall(10, (-2.1, -0.3))
    parts = [(CAR, left), (CAR + 1, right)]
    xyz = np.concatenate([left, right, road()])
    view = seen(xyz, parts, camera())
    labels = label_objects(xyz, fit_ground(xyz).clearance(xyz) < 0.2, [view], **SETTINGS)
    assert set(labels.instances[: len(left)]) == {0}
    assert set(labels.instances[len(left) :][: len(right)]) == {1}
    assert len(np.unique(published(xyz, [view]).instances[: len(left) + len(right)])) == 1


def test_ground_and_what_lies_behind_a_mask_are_no_part_of_its_object():
    car, house = wall(12, (-1, 1)), wall(25, (-4, 4), z=(-1.4, 4))
    T = camera(height=-0.5)  # the LiDAR sees over the car
    labels, (of_car, of_house, of_road) = labelled(
        [car, house], lambda xyz: [seen(xyz, [(CAR, np.concatenate([car, car + np.array([0, 0, 0.4])]))], T)]
    )
    assert set(of_car) == {0}
    assert set(of_house) == {NO_INSTANCE}
    assert set(of_road) == {NO_INSTANCE}
    assert set(labels.classes[: len(car)]) == {0}


def test_a_wall_behind_a_person_is_too_deep_for_a_mask_of_that_height():
    """It has many more points, but a mask of the person's height would be 4 m tall there."""
    person, house = wall(6, (-0.2, 0.2), step=0.3), wall(16, (-4, 4), step=0.05, z=(-1.6, 4))
    _, (of_person, of_house, _) = labelled([person, house], lambda xyz: [seen(xyz, [(PERSON, person)], camera())])
    assert set(of_person) == {0}
    assert set(of_house) == {NO_INSTANCE}


def test_parts_of_a_car_on_both_sides_of_a_pole_are_one_object():
    left, right = wall(10, (1.2, 2.4)), wall(10, (-2.4, -1.2))
    whole = np.concatenate([left, right])
    _, (of_left, of_right, _) = labelled([left, right], lambda xyz: [seen(xyz, [(CAR, whole)], camera())])
    assert set(of_left) == set(of_right) == {0}


def test_a_car_that_two_cameras_see_in_part_is_one_object():
    """The cameras' views overlap by some degrees, and the car lies across both borders."""
    car = wall(8, (3.2, 7.0))
    turns = (0.0, 60.0)

    def views(xyz):
        return [seen(xyz, [(CAR + 5 * place, car)], camera(degrees)) for place, degrees in enumerate(turns)]

    _, (of_car, _) = labelled([car], views)
    assert set(of_car) == {0}


def test_a_car_in_the_gap_between_two_cameras_is_one_object():
    car = wall(8, (3.2, 9.0))
    turns = (0.0, 70.0)  # views of 67 degrees: a gap of 3

    def views(xyz):
        return [seen(xyz, [(CAR + 5 * place, car)], camera(degrees)) for place, degrees in enumerate(turns)]

    _, (of_car, _) = labelled([car], views)
    assert set(of_car) == {0}


def test_points_around_an_object_are_its_up_to_the_reach():
    car, beside = wall(10, (-1, 1)), wall(10, (1.1, 1.3))
    far = wall(10, (1.8, 2.0))
    _, (_, of_beside, of_far, _) = labelled([car, beside, far], lambda xyz: [seen(xyz, [(CAR, car)], camera())])
    assert set(of_beside) == {0}
    assert set(of_far) == {NO_INSTANCE}
    _, (_, of_beside, _, _) = labelled([car, beside, far], lambda xyz: [seen(xyz, [(CAR, car)], camera())], reach=0.0)
    assert set(of_beside[4:]) <= {0, NO_INSTANCE}


def test_the_rest_of_a_car_that_the_border_cuts_is_its_up_to_its_length():
    """Nothing beyond 5.3 m to the side is in view at 8 m; the car begins before that, and a wall goes on."""
    front, rest = wall(8, (4.0, 5.2), step=0.3), wall(8, (5.2, 8.0), step=0.3)
    on_and_on = wall(8, (8.0, 20.0), step=0.3)

    def views(xyz):
        return [seen(xyz, [(CAR, np.concatenate([front, rest]))], camera())]

    _, (of_front, of_rest, _) = labelled([front, rest], views)
    assert set(of_front) == set(of_rest) == {0}
    pieces = [front, rest, on_and_on]
    labels, _ = labelled(pieces, views)
    far = np.concatenate(pieces)[np.flatnonzero(labels.instances[: sum(map(len, pieces))] == 0), 1]
    assert 8.0 < far.max() <= 4.0 + 6.5
    inside, beside = wall(8, (-1, 1), step=0.3), wall(40, (30.0, 31.0), step=0.3)
    _, (_, of_beside, _) = labelled([inside, beside], lambda xyz: [seen(xyz, [(CAR, inside)], camera())])
    assert set(of_beside) == {NO_INSTANCE}


def test_stuff_and_other_classes_label_nothing():
    car = wall(10, (-1, 1))
    labels, _ = labelled([car], lambda xyz: [seen(xyz, [(1000, car)], camera())])
    assert set(labels.classes) == {NONE}
    labels, _ = labelled([car], lambda xyz: [seen(xyz, [(9001, car)], camera())])
    assert set(labels.instances) == {NO_INSTANCE}


def test_no_camera_labels_nothing():
    labels, _ = labelled([wall(10, (-1, 1))], lambda xyz: [])
    assert set(labels.classes) == {NONE}


def test_a_cluster_that_fills_its_mask_is_more_confident_than_one_that_does_not():
    car, half, behind = wall(10, (0.5, 2.5)), wall(12, (-2.5, -1.5)), wall(22, (-4.8, -2.7))
    xyz = np.concatenate([car, half, behind, road()])
    view = seen(xyz, [(CAR, car), (CAR + 1, np.concatenate([half, wall(12, (-2.5, -0.5))]))], camera())
    labels = label_objects(xyz, fit_ground(xyz).clearance(xyz) < 0.2, [view], **SETTINGS)
    clusters = clusters_of(xyz, labels)
    sure = confidences(labels, [view], clusters.counts)
    assert len(sure) == 2
    assert 1 >= sure[0] > sure[1] > 0


@pytest.mark.parametrize("columns", [1, 3, 7])
def test_a_mask_is_as_tall_as_its_pixels(columns):
    """Where each of its columns may be passed over, it counts as flat, and no part is too deep."""
    image = np.zeros(SIZE[::-1], dtype=np.uint16)
    image[100:160, 200 : 200 + columns] = CAR
    points = project(np.array([[10.0, -0.02, 0.3]]), camera(), K, SIZE)
    view = look_up(points, image, CLASSES, K)
    assert view.labels.instances.tolist() == [CAR]
    assert view.tallness[0] == pytest.approx(60 / 300)
