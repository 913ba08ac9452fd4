import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vsrd_ray.geometry.boxes import (
    CORNER_SIGNS_FLU,
    CORNER_SIGNS_RDF,
    EDGES,
    corners_world,
    from_kitti_camera,
    to_kitti_camera,
    wrap_angle,
)

CAR_LWH = np.array([4.0, 2.0, 1.5])
# A camera at (0, 0, 1.5) that looks along the world's +x: x right = -y, y down = -z.
T_CAM_WORLD = np.array([[0.0, -1, 0, 0], [0, 0, -1, 1.5], [1, 0, 0, 0], [0, 0, 0, 1]])


def test_corners_by_hand():
    corners = corners_world(np.array([10.0, 20, 30]), CAR_LWH, 0.0)
    top = [[12, 21], [12, 19], [8, 19], [8, 21]]  # front left, front right, rear right, rear left
    np.testing.assert_allclose(corners[:4], [[*xy, 30.75] for xy in top])
    np.testing.assert_allclose(corners[4:], [[*xy, 29.25] for xy in top])


def test_a_quarter_turn_is_counter_clockwise():
    corners = corners_world(np.zeros(3), CAR_LWH, np.pi / 2)
    np.testing.assert_allclose(corners[0], [-1, 2, 0.75], atol=1e-12)  # front left


def test_order_is_that_of_the_published_code():
    """(-,-,+) (+,-,+) (+,-,-) (-,-,-) (-,+,+) (+,+,+) (+,+,-) (-,+,-) with x right, y down, z forward."""
    published = ["--+", "+-+", "+--", "---", "-++", "+++", "++-", "-+-"]
    assert CORNER_SIGNS_RDF.tolist() == [[1 if sign == "+" else -1 for sign in signs] for signs in published]


def test_world_corners_are_the_same_corners_in_the_same_order_as_the_camera_axes():
    """A car that faces where the camera looks: its object axes are the camera's, up to their names."""
    center = np.array([10.0, 2, 0.5])
    corners_cam = corners_world(center, CAR_LWH, 0.0) @ T_CAM_WORLD[:3, :3].T + T_CAM_WORLD[:3, 3]
    center_cam = T_CAM_WORLD[:3, :3] @ center + T_CAM_WORLD[:3, 3]
    np.testing.assert_allclose(corners_cam, center_cam + CORNER_SIGNS_RDF * CAR_LWH[[1, 2, 0]] / 2)


def test_edges_join_corners_that_differ_in_one_axis():
    differences = CORNER_SIGNS_FLU[EDGES[:, 0]] != CORNER_SIGNS_FLU[EDGES[:, 1]]
    assert (differences.sum(axis=1) == 1).all()
    assert differences.sum(axis=0).tolist() == [4, 4, 4]
    assert len({frozenset(edge) for edge in EDGES.tolist()}) == 12


def from_corners_world(corners):
    """Centres [..., 3], dimensions_lwh [..., 3] and yaws [...] of upright boxes from their corners [..., 8, 3]."""
    front, rear, left, right, top, bottom = (
        corners[..., side, :].mean(axis=-2)
        for side in ([0, 1, 4, 5], [2, 3, 6, 7], [0, 3, 4, 7], [1, 2, 5, 6], [0, 1, 2, 3], [4, 5, 6, 7])
    )
    axes = np.stack([front - rear, left - right, top - bottom], axis=-2)
    yaws = np.arctan2(axes[..., 0, 1], axes[..., 0, 0])
    return corners.mean(axis=-2), np.linalg.norm(axes, axis=-1), yaws


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)])
def test_from_corners_is_the_inverse(batch):
    rng = np.random.default_rng(1)
    centers = rng.uniform(-5000, 5000, (*batch, 3))
    dimensions, yaws = rng.uniform(0.1, 9, (*batch, 3)), rng.uniform(-np.pi, np.pi, batch)
    corners = corners_world(centers, dimensions, yaws)
    assert corners.shape == (*batch, 8, 3)
    back = from_corners_world(corners)
    for ours, given_values in zip(back, (centers, dimensions, yaws), strict=True):
        np.testing.assert_allclose(ours, given_values, atol=1e-9)


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
    yaws = np.array([0.0, -np.pi / 2, 0.0])
    bottoms, rotation_y, alpha = to_kitti_camera(centers, np.tile(CAR_LWH, (3, 1)), yaws, T_CAM_WORLD)
    np.testing.assert_allclose(bottoms, [[0, 1.5, 10], [0, 1.5, 10], [-10, 1.5, 10]], atol=1e-12)
    np.testing.assert_allclose(rotation_y, [-np.pi / 2, 0, -np.pi / 2], atol=1e-12)
    np.testing.assert_allclose(alpha, [-np.pi / 2, 0, -np.pi / 4], atol=1e-12)


def test_kitti_angles_are_wrapped():
    # facing left is half a turn from +x; seen on the far right, alpha leaves the range from below
    _, rotation_y, alpha = to_kitti_camera(np.array([5.0, -10, 0]), CAR_LWH, np.array(np.pi / 2), T_CAM_WORLD)
    assert rotation_y == pytest.approx(-np.pi)
    assert alpha == pytest.approx(np.pi - np.arctan2(10, 5))


def test_kitti_keeps_the_box_upright_for_a_tilted_camera():
    """The bottom lies half a height along the camera's own y, as the published export has it."""
    pitch = 0.05
    R = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    T = T_CAM_WORLD.copy()
    T[:3] = R @ T[:3]
    center = np.array([10.0, 1, 0.75])
    bottom, _, _ = to_kitti_camera(center, CAR_LWH, np.array(0.2), T)
    np.testing.assert_allclose(bottom - (T[:3, :3] @ center + T[:3, 3]), [0, 0.75, 0], atol=1e-12)


@given(st.floats(-np.pi, np.pi), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(-np.pi, np.pi))
def test_kitti_boxes_come_back_whatever_the_cameras_tilt(yaw, pitch, roll, heading):
    T_world_level = np.eye(4)
    T_world_level[:3, :3] = Rotation.from_euler("z", heading).as_matrix() @ T_CAM_WORLD[:3, :3].T
    T_world_cam = T_world_level.copy()
    T_world_cam[:3, :3] = T_world_level[:3, :3] @ Rotation.from_euler("xz", [pitch, roll]).as_matrix()
    T_world_cam[:3, 3] = [2000.0, -1500.0, 110.0]
    center = np.array([2010.0, -1507.0, 109.0])
    bottom, rotation_y, _ = to_kitti_camera(center, CAR_LWH, np.array(yaw), np.linalg.inv(T_world_cam))
    back, yaw_back = from_kitti_camera(bottom, CAR_LWH, rotation_y, T_world_cam)
    np.testing.assert_allclose(back, center, atol=1e-8)
    assert np.exp(1j * yaw_back) == pytest.approx(np.exp(1j * yaw), abs=1e-8)


def test_many_kitti_boxes_come_back_at_once_and_none_gives_none():
    bottoms, rotations = np.array([[0, 1.5, 10], [-10, 1.5, 10.0]]), np.array([-np.pi / 2, 0])
    centers, yaws = from_kitti_camera(bottoms, np.tile(CAR_LWH, (2, 1)), rotations, np.linalg.inv(T_CAM_WORLD))
    np.testing.assert_allclose(centers, [[10, 0, 0.75], [10, 10, 0.75]], atol=1e-12)
    np.testing.assert_allclose(yaws, [0, -np.pi / 2], atol=1e-12)
    centers, yaws = from_kitti_camera(np.empty((0, 3)), np.empty((0, 3)), np.empty(0), np.eye(4)[[2, 0, 1, 3]])
    assert centers.shape == (0, 3) and yaws.shape == (0,)
