from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vsrd_ray.geometry.boxes import (
    CORNER_SIGNS_FLU,
    CORNER_SIGNS_RDF,
    EDGES,
    UprightBoxes,
    wrap_angle,
)

CAR_LWH = np.array([4.0, 2.0, 1.5])
# A camera at (0, 0, 1.5) that looks along the world's +x: x right = -y, y down = -z.
T_CAM_WORLD = np.array([[0.0, -1, 0, 0], [0, 0, -1, 1.5], [1, 0, 0, 0], [0, 0, 0, 1]])


BATCHES = [(), (1,), (3, 1, 2)]


def car(center, yaw=0.0):
    """One box of a car's size."""
    return UprightBoxes(np.array(center, dtype=float), CAR_LWH, np.array(yaw))


def test_corners_by_hand():
    corners = car([10.0, 20, 30]).corners()
    top = [[12, 21], [12, 19], [8, 19], [8, 21]]  # front left, front right, rear right, rear left
    np.testing.assert_allclose(corners[:4], [[*xy, 30.75] for xy in top])
    np.testing.assert_allclose(corners[4:], [[*xy, 29.25] for xy in top])


def test_a_quarter_turn_is_counter_clockwise():
    corners = car([0, 0, 0], np.pi / 2).corners()
    np.testing.assert_allclose(corners[0], [-1, 2, 0.75], atol=1e-12)  # front left


def test_order_is_that_of_the_published_code():
    """(-,-,+) (+,-,+) (+,-,-) (-,-,-) (-,+,+) (+,+,+) (+,+,-) (-,+,-) with x right, y down, z forward."""
    published = ["--+", "+-+", "+--", "---", "-++", "+++", "++-", "-+-"]
    assert CORNER_SIGNS_RDF.tolist() == [[1 if sign == "+" else -1 for sign in signs] for signs in published]


def test_world_corners_are_the_same_corners_in_the_same_order_as_the_camera_axes():
    """A car that faces where the camera looks: its object axes are the camera's, up to their names."""
    center = np.array([10.0, 2, 0.5])
    corners_cam = car(center).corners() @ T_CAM_WORLD[:3, :3].T + T_CAM_WORLD[:3, 3]
    center_cam = T_CAM_WORLD[:3, :3] @ center + T_CAM_WORLD[:3, 3]
    np.testing.assert_allclose(corners_cam, center_cam + CORNER_SIGNS_RDF * CAR_LWH[[1, 2, 0]] / 2)


def test_edges_join_corners_that_differ_in_one_axis():
    differences = CORNER_SIGNS_FLU[EDGES[:, 0]] != CORNER_SIGNS_FLU[EDGES[:, 1]]
    assert (differences.sum(axis=1) == 1).all()
    assert differences.sum(axis=0).tolist() == [4, 4, 4]
    assert len({frozenset(edge) for edge in EDGES.tolist()}) == 12


def from_corners(corners):
    """Upright boxes from their corners [..., 8, 3]."""
    front, rear, left, right, top, bottom = (
        corners[..., side, :].mean(axis=-2)
        for side in ([0, 1, 4, 5], [2, 3, 6, 7], [0, 3, 4, 7], [1, 2, 5, 6], [0, 1, 2, 3], [4, 5, 6, 7])
    )
    axes = np.stack([front - rear, left - right, top - bottom], axis=-2)
    yaws = np.arctan2(axes[..., 0, 1], axes[..., 0, 0])
    return UprightBoxes(corners.mean(axis=-2), np.linalg.norm(axes, axis=-1), yaws)


def random_boxes(seed, batch):
    rng = np.random.default_rng(seed)
    sizes, yaws = rng.uniform(0.1, 9, (*batch, 3)), rng.uniform(-np.pi, np.pi, batch)
    return UprightBoxes(rng.uniform(-5000, 5000, (*batch, 3)), sizes, yaws)


def assert_same(boxes, others, atol=0.0):
    assert boxes.shape == others.shape
    np.testing.assert_allclose(boxes.centers, others.centers, rtol=0, atol=atol)
    np.testing.assert_allclose(boxes.dimensions_lwh, others.dimensions_lwh, rtol=0, atol=atol)
    np.testing.assert_allclose(wrap_angle(boxes.yaws - others.yaws), 0, rtol=0, atol=atol)


@pytest.mark.parametrize("batch", BATCHES)
def test_from_corners_is_the_inverse(batch):
    boxes = random_boxes(1, batch)
    assert boxes.corners().shape == (*batch, 8, 3)
    assert_same(from_corners(boxes.corners()), boxes, atol=1e-9)


@pytest.mark.parametrize("batch", BATCHES)
def test_each_box_of_a_batch_is_as_it_is_alone(batch):
    boxes, others = random_boxes(2, batch), random_boxes(2, batch)
    others = replace(others, centers=others.centers + 0.5)
    bottoms, rotation_y, alpha = boxes.to_kitti_camera(T_CAM_WORLD)
    iou_3d, iou_bev = boxes.iou(others)
    for place in np.ndindex(batch):
        box = boxes[place]
        assert box.shape == ()
        np.testing.assert_array_equal(box.corners(), boxes.corners()[place])
        for alone, together in zip(box.to_kitti_camera(T_CAM_WORLD), (bottoms, rotation_y, alpha), strict=True):
            np.testing.assert_allclose(alone, together[place], rtol=1e-14)
        assert box.iou(others[place]) == (iou_3d[place], iou_bev[place])


@pytest.mark.parametrize("batch", BATCHES)
def test_kitti_boxes_of_any_batch_come_back(batch):
    boxes = random_boxes(3, batch)
    bottoms, rotation_y, alpha = boxes.to_kitti_camera(T_CAM_WORLD)
    assert bottoms.shape == (*batch, 3) and rotation_y.shape == alpha.shape == batch
    back = UprightBoxes.from_kitti_camera(bottoms, boxes.dimensions_lwh, rotation_y, np.linalg.inv(T_CAM_WORLD))
    assert_same(back, boxes, atol=1e-9)


def test_boxes_are_indexed_as_arrays_are():
    boxes = random_boxes(4, (5,))
    assert len(boxes) == 5 and [box.yaws for box in boxes] == boxes.yaws.tolist()
    assert_same(boxes[1:3], UprightBoxes(boxes.centers[1:3], boxes.dimensions_lwh[1:3], boxes.yaws[1:3]))
    assert_same(boxes[boxes.yaws > 0], boxes[np.flatnonzero(boxes.yaws > 0)])
    assert boxes[:, None].shape == (5, 1) and boxes[[]].shape == (0,)
    with pytest.raises(IndexError):
        boxes[5]


def test_boxes_are_put_together():
    boxes = random_boxes(5, (5,))
    assert_same(UprightBoxes.concatenate([boxes[:2], boxes[:0], boxes[2:]]), boxes)
    assert_same(UprightBoxes.stack(list(boxes)), boxes)
    assert UprightBoxes.stack([]).shape == (0,)


def test_numbers_of_any_kind_become_float64():
    box = UprightBoxes([1, 2, 3], np.float32([4, 2, 1]), 0)
    assert {values.dtype for values in (box.centers, box.dimensions_lwh, box.yaws)} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("centers", "sizes", "yaws"), [((2, 3), (3,), (2,)), ((2, 3), (2, 3), ()), ((2, 2), (2, 2), (2,))]
)
def test_other_shapes_are_refused(centers, sizes, yaws):
    with pytest.raises(ValueError, match=r"expected centres \[..., 3\]"):
        UprightBoxes(np.zeros(centers), np.zeros(sizes), np.zeros(yaws))


@given(st.floats(-100, 100))
def test_wrapped_angles_are_in_range_and_mean_the_same(angle):
    wrapped = wrap_angle(angle)
    assert -np.pi <= wrapped < np.pi
    assert np.cos(wrapped) == pytest.approx(np.cos(angle), abs=1e-9)
    assert np.sin(wrapped) == pytest.approx(np.sin(angle), abs=1e-9)


def test_half_a_turn_wraps_to_its_negative():
    assert wrap_angle(np.pi) == -np.pi
    np.testing.assert_allclose(wrap_angle(np.array([3 * np.pi / 2, -3 * np.pi / 2])), [-np.pi / 2, np.pi / 2])


def test_kitti_camera_by_hand():
    # ahead and facing away; ahead and facing right; 10 m ahead and 10 m to the left, facing the camera's way
    centers = np.array([[10.0, 0, 0.75], [10.0, 0, 0.75], [10.0, 10, 0.75]])
    boxes = UprightBoxes(centers, np.tile(CAR_LWH, (3, 1)), np.array([0.0, -np.pi / 2, 0.0]))
    bottoms, rotation_y, alpha = boxes.to_kitti_camera(T_CAM_WORLD)
    np.testing.assert_allclose(bottoms, [[0, 1.5, 10], [0, 1.5, 10], [-10, 1.5, 10]], atol=1e-12)
    np.testing.assert_allclose(rotation_y, [-np.pi / 2, 0, -np.pi / 2], atol=1e-12)
    np.testing.assert_allclose(alpha, [-np.pi / 2, 0, -np.pi / 4], atol=1e-12)


def test_kitti_angles_are_wrapped():
    # facing left is half a turn from +x; seen on the far right, alpha leaves the range from below
    _, rotation_y, alpha = car([5.0, -10, 0], np.pi / 2).to_kitti_camera(T_CAM_WORLD)
    assert rotation_y == pytest.approx(-np.pi)
    assert alpha == pytest.approx(np.pi - np.arctan2(10, 5))


def test_kitti_keeps_the_box_upright_for_a_tilted_camera():
    """The bottom lies half a height along the camera's own y, as the published export has it."""
    pitch = 0.05
    R = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    T = T_CAM_WORLD.copy()
    T[:3] = R @ T[:3]
    center = np.array([10.0, 1, 0.75])
    bottom, _, _ = car(center, 0.2).to_kitti_camera(T)
    np.testing.assert_allclose(bottom - (T[:3, :3] @ center + T[:3, 3]), [0, 0.75, 0], atol=1e-12)


@settings(deadline=None)
@given(st.floats(-np.pi, np.pi), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(-np.pi, np.pi))
def test_kitti_boxes_come_back_whatever_the_cameras_tilt(yaw, pitch, roll, heading):
    T_world_level = np.eye(4)
    T_world_level[:3, :3] = Rotation.from_euler("z", heading).as_matrix() @ T_CAM_WORLD[:3, :3].T
    T_world_cam = T_world_level.copy()
    T_world_cam[:3, :3] = T_world_level[:3, :3] @ Rotation.from_euler("xz", [pitch, roll]).as_matrix()
    T_world_cam[:3, 3] = [2000.0, -1500.0, 110.0]
    box = car([2010.0, -1507.0, 109.0], yaw)
    bottom, rotation_y, _ = box.to_kitti_camera(np.linalg.inv(T_world_cam))
    assert_same(UprightBoxes.from_kitti_camera(bottom, CAR_LWH, rotation_y, T_world_cam), box, atol=1e-8)


def test_many_kitti_boxes_come_back_at_once_and_none_gives_none():
    bottoms, rotations = np.array([[0, 1.5, 10], [-10, 1.5, 10.0]]), np.array([-np.pi / 2, 0])
    T_world_cam = np.linalg.inv(T_CAM_WORLD)
    boxes = UprightBoxes.from_kitti_camera(bottoms, np.tile(CAR_LWH, (2, 1)), rotations, T_world_cam)
    np.testing.assert_allclose(boxes.centers, [[10, 0, 0.75], [10, 10, 0.75]], atol=1e-12)
    np.testing.assert_allclose(boxes.yaws, [0, -np.pi / 2], atol=1e-12)
    none = UprightBoxes.from_kitti_camera(np.empty((0, 3)), np.empty((0, 3)), np.empty(0), T_world_cam)
    assert none.shape == (0,)
