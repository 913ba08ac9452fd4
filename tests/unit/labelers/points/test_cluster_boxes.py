"""Oriented boxes of clusters, from points on the sides of cars that a sensor at the origin sees."""

import numpy as np
import pytest

from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labelers.points.boxes import boxes_of
from vsrd_ray.labelers.points.ground import fit_ground
from vsrd_ray.labels.points.classes import NAMES
from vsrd_ray.labels.points.evaluation.boxes import BoxTally, table

SIZE = np.array([4.6, 1.95, 1.5])
ROAD = np.column_stack([*(axis.ravel() for axis in np.mgrid[-40:40:1.0, -40:40:1.0]), np.full(6400, -1.8)])
CAR, BARRIER = NAMES.index("car"), NAMES.index("barrier")


def sides(center, yaw, size=SIZE, bottom=-1.6):
    """Points of a box's sides that face the origin."""
    along, up = np.meshgrid(np.linspace(-0.5, 0.5, 25), np.linspace(bottom, bottom + size[2], 5))
    cos, sin = np.cos(yaw), np.sin(yaw)
    found = []
    for axis in range(2):
        for sign in (-1, 1):
            local = np.zeros((along.size, 2))
            local[:, axis], local[:, 1 - axis] = sign * size[axis] / 2, along.ravel() * size[1 - axis]
            normal = sign * (np.array([cos, sin]) if axis == 0 else np.array([-sin, cos]))
            xy = local @ np.array([[cos, sin], [-sin, cos]]) + center
            if (center + normal * size[axis] / 2) @ normal < 0:
                found.append(np.column_stack([xy, up.ravel()]))
    return np.concatenate(found)


def boxes(*clusters, class_=CAR):
    xyz = np.concatenate([ROAD, *clusters])
    ids = np.concatenate([np.full(len(ROAD), -1), *(np.full(len(one), k) for k, one in enumerate(clusters))])
    return boxes_of(xyz, ids, np.full(len(clusters), class_), fit_ground(ROAD))


@pytest.mark.parametrize("yaw", np.deg2rad([0, 17, 45, 64, 90, 121]))
def test_a_car_of_which_two_sides_are_seen(yaw):
    center = np.array([11.0, 6.0])
    found = boxes(sides(center, yaw))
    truth = UprightBoxes(np.array([[*center, -0.95]]), np.array([[4.6, 1.95, 1.7]]), np.array([yaw]))
    assert found.iou(truth)[1][0] > 0.93
    assert -np.pi / 2 <= found.yaws[0] < np.pi / 2
    np.testing.assert_allclose(found.centers[0, 2] - found.dimensions_lwh[0, 2] / 2, -1.8, atol=0.02)
    np.testing.assert_allclose(found.dimensions_lwh[0, 2], 1.7, atol=0.03)  # from the ground to the roof


def test_what_is_hidden_lies_behind_what_is_seen():
    rear = sides(np.array([12.0, 0.0]), 0.0)
    rear = rear[rear[:, 0] < 9.71]
    found = boxes(rear)
    np.testing.assert_allclose(found.centers[0, :2], (12.0, 0.0), atol=0.05)
    np.testing.assert_allclose(np.abs(np.sin(found.yaws)), 0, atol=0.01)


def test_a_barrier_is_wider_than_long():
    across = sides(np.array([10.0, 0.0]), 0.0, size=np.array([0.5, 2.5, 0.9]))
    found = boxes(across, class_=BARRIER)
    np.testing.assert_allclose(found.dimensions_lwh[0, :2], (0.5, 2.5), atol=0.1)
    np.testing.assert_allclose(found.yaws, 0, atol=0.05)


def test_single_points_and_no_clusters_at_all():
    assert len(boxes()) == 0
    found = boxes(np.array([[10.0, 3.0, -1.0]]))
    assert np.isfinite(found.centers).all()
    assert found.dimensions_lwh[0].tolist()[:2] == [4.6, 1.95]


def test_boxes_are_counted_as_detections_are():
    truth = UprightBoxes(np.array([[0.0, 0, 0], [10, 0, 0], [20, 0, 0]]), np.tile(SIZE, (3, 1)), np.zeros(3))
    labels = UprightBoxes(
        np.array([[0.5, 0, 0], [10, 0, 0], [40, 0, 0]]), np.tile(SIZE, (3, 1)), np.array([np.pi, 0, 0])
    )
    tally = BoxTally()
    tally.add(labels, np.full(3, CAR), truth, np.full(3, CAR), np.array([True, False, True]))
    values = tally.values
    assert (values["truths"], values["labels"]) == (2, 2)  # the second truth does not count, nor its label
    assert values["recall"] == values["precision"] == 0.5
    assert values["center_error"] == 0.5
    assert values["yaw_error_deg"] == pytest.approx(0)
    assert values["iou_bev"] == pytest.approx(4.1 / 5.1)
    assert "0.500" in table({"clusters": tally})
