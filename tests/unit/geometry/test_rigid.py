import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.geometry import rigid

# Columns are the camera's axes in the world (z up): x right = -y, y down = -z, z ahead = +x.
LOOKING_ALONG_X = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
DOWN = np.array([0.0, 0, -1])
angles = st.floats(-1.2, 1.2)
seeds = st.integers(0, 2**31)


def about(axis, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    R = np.eye(3)
    R[a, a], R[a, b], R[b, a], R[b, b] = cos, -sin, sin, cos
    return R


def camera_pose(*, heading, pitch, roll, position=(0.0, 0, 0)):
    """T_world_cam of a level camera turned about the world's z, then pitched and rolled about its own x and z."""
    T = np.eye(4)
    T[:3, :3] = about(2, heading) @ LOOKING_ALONG_X @ about(0, pitch) @ about(2, roll)
    T[:3, 3] = position
    return T


def random_poses(seed, batch=()):
    rng = np.random.default_rng(seed)
    T = np.tile(np.eye(4), (*batch, 1, 1))
    T[..., :3, :3] = np.linalg.qr(rng.normal(size=(*batch, 3, 3)))[0]
    T[..., :3, 3] = rng.normal(scale=5, size=(*batch, 3))
    return T


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)])
def test_inverse_undoes(batch):
    T_a_b = random_poses(0, batch)
    T_b_a = rigid.inverse(T_a_b)
    np.testing.assert_allclose(T_b_a @ T_a_b, np.broadcast_to(np.eye(4), T_a_b.shape), atol=1e-12)
    np.testing.assert_allclose(rigid.inverse(T_b_a), T_a_b, atol=1e-12)


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)])
def test_apply_composes(batch):
    T_a_b, T_b_c = random_poses(1, batch), random_poses(2, batch)
    points_c = np.random.default_rng(3).normal(size=(*batch, 7, 3))
    twice = rigid.apply(T_a_b, rigid.apply(T_b_c, points_c))
    np.testing.assert_allclose(twice, rigid.apply(T_a_b @ T_b_c, points_c), atol=1e-12)


def test_apply_by_hand():
    T = camera_pose(heading=0, pitch=0, roll=0, position=(10, 20, 30))
    np.testing.assert_allclose(rigid.apply(T, np.array([[1.0, 2, 3]])), [[10 + 3, 20 - 1, 30 - 2]])


@given(st.floats(-3.14, 3.14), angles, st.floats(-3.14, 3.14), seeds)
def test_levelled_frame_stands_upright_where_the_camera_looks(heading, pitch, roll, seed):
    position = np.random.default_rng(seed).uniform(-5000, 5000, 3)
    T_world_cam = camera_pose(heading=heading, pitch=pitch, roll=roll, position=position)
    T_world_ref = rigid.levelled_at(T_world_cam)
    right, down, ahead = T_world_ref[:3, :3].T
    np.testing.assert_array_equal(down, DOWN)
    assert right[2] == pytest.approx(0, abs=1e-12)  # no roll
    assert ahead[2] == pytest.approx(0, abs=1e-12)  # no pitch
    np.testing.assert_allclose(np.cross(down, ahead), right, atol=1e-12)
    np.testing.assert_allclose(T_world_ref[:3, :3].T @ T_world_ref[:3, :3], np.eye(3), atol=1e-12)
    # ahead, gravity and the view lie in one plane, ahead on the view's side
    view = T_world_cam[:3, 2]
    assert np.linalg.det(np.stack([ahead, DOWN, view])) == pytest.approx(0, abs=1e-9)
    assert ahead @ view > 0
    np.testing.assert_allclose(ahead[:2], [np.cos(heading), np.sin(heading)], atol=1e-9)
    np.testing.assert_array_equal(T_world_ref[:3, 3], position)
    np.testing.assert_array_equal(T_world_ref[3], [0, 0, 0, 1])


@given(st.floats(-3.14, 3.14), angles)
def test_pure_pitch_is_undone_by_a_turn_about_x(heading, pitch):
    """What the published code does, which knows no roll."""
    T_world_cam = camera_pose(heading=heading, pitch=pitch, roll=0)
    T_world_ref = rigid.levelled_at(T_world_cam)
    expected = T_world_cam[:3, :3] @ about(0, -pitch)
    np.testing.assert_allclose(T_world_ref[:3, :3], expected, atol=1e-9)


@given(st.floats(-3.14, 3.14), angles, angles)
def test_levelling_a_level_frame_changes_nothing(heading, pitch, roll):
    T_world_ref = rigid.levelled_at(camera_pose(heading=heading, pitch=pitch, roll=roll))
    np.testing.assert_allclose(rigid.levelled_at(T_world_ref), T_world_ref, atol=1e-12)


@pytest.mark.parametrize("pitch", [np.pi / 2, -np.pi / 2])
def test_a_camera_that_looks_along_gravity_is_refused(pitch):
    with pytest.raises(ValueError, match="looks along gravity"):
        rigid.levelled_at(camera_pose(heading=0.3, pitch=pitch, roll=0))
