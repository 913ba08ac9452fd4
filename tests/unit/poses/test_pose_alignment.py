"""Poses of another world and scale brought into a level one in metres, and how steps are judged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse, is_rigid
from vsrd_ray.poses.align import align, levelled
from vsrd_ray.poses.check import check_steps, jitter
from vsrd_ray.poses.source import check_poses_of, file_of

LOOKING_EAST = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def rotation(roll, pitch, yaw):
    turns = []
    for axis, angle in enumerate((roll, pitch, yaw)):
        one, (i, j) = np.eye(3), [(1, 2), (2, 0), (0, 1)][axis]
        one[i, i] = one[j, j] = np.cos(angle)
        one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
        turns.append(one)
    return turns[2] @ turns[1] @ turns[0]


def drive(num_frames=40, *, noise=0.0, seed=0):
    """A level drive along a bend, a metre a frame."""
    chance = np.random.default_rng(seed)
    poses, position = {}, np.array([5.0, -3.0, 1.6])
    for frame in range(num_frames):
        yaw = 0.01 * frame
        poses[frame] = np.eye(4)
        poses[frame][:3, :3] = rotation(0, 0, yaw) @ LOOKING_EAST
        poses[frame][:3, 3] = position
        position = position + (1 + noise * chance.normal()) * np.array([np.cos(yaw), np.sin(yaw), 0])
    return poses


def moved(poses, R, scale):
    """The same poses in a world of the first camera, turned and scaled."""
    T = np.eye(4)
    T[:3, :3] = R
    found = {frame: T @ inverse(poses[0]) @ pose for frame, pose in poses.items()}
    for pose in found.values():
        pose[:3, 3] *= scale
    return found


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.2, 5))
def test_poses_come_back_from_any_world_and_scale(angles, scale):
    reference = drive()
    aligned = align(moved(reference, rotation(*angles), scale), reference, scaled=True)
    assert aligned.ratio == pytest.approx(1 / scale)
    for frame, pose in aligned.poses.items():
        assert is_rigid(pose)
        np.testing.assert_allclose(pose, reference[frame], atol=1e-8)


def test_some_wrong_attitudes_do_not_tilt_the_world():
    reference = drive()
    given_poses = moved(reference, rotation(0.2, -0.1, 1.0), 1.0)
    for frame in range(10, 18):
        reference[frame] = reference[frame].copy()
        reference[frame][:3, :3] = rotation(0.3, 0.2, 0) @ reference[frame][:3, :3]
    aligned = align(given_poses, reference, scaled=True)
    np.testing.assert_allclose(aligned.poses[30][:3, :3], reference[30][:3, :3], atol=1e-6)


def test_scale_can_be_left_and_its_fault_is_told():
    reference = drive(80)
    long = moved(reference, np.eye(3), 1.03)
    left = levelled(long, reference, is_scaled=False, place="orb.txt", by="OxTS")
    assert "orb.txt: its path is 3.0% longer than that by OxTS" in left.warnings[0]
    np.testing.assert_allclose(
        left.poses[79][:3, 3] - left.poses[0][:3, 3], 1.03 * (reference[79] - reference[0])[:3, 3]
    )
    assert levelled(long, reference, is_scaled=True, place="orb.txt", by="OxTS").warnings == ()


def test_what_cannot_be_known_is_told():
    reference = drive(80)
    short = {frame: reference[frame] for frame in range(30)}
    found = levelled(short, reference, is_scaled=True, place="orb.txt", by="OxTS").warnings
    assert found == (
        "orb.txt: 29 m of common path alone tell its scale by OxTS.",
        "orb.txt: 50 of 80 frames have no pose in it, and get no labels.",
    )
    standing = dict.fromkeys(range(9), reference[0])
    assert "hardly moves" in levelled(standing, standing, is_scaled=True, place="p", by="OxTS").warnings[0]
    assert "no OxTS tells its scale" in levelled(reference, {}, is_scaled=True, place="p", by="OxTS").warnings[0]
    with pytest.raises(InputError, match="none of its 80 frames has a pose by OxTS"):
        levelled(reference, {500: np.eye(4)}, is_scaled=True, place="orb.txt", by="OxTS")


def opengl(poses):
    return {frame: pose @ np.diag([1.0, -1, -1, 1]) for frame, pose in poses.items()}


def stop_and_go(poses):
    """The same way, fast and slow in turns."""
    found, position = {}, poses[0][:3, 3]
    for frame, pose in poses.items():
        found[frame] = pose.copy()
        found[frame][:3, 3] = position
        position = position + (0.4 + 1.2 * (frame % 20 < 10)) * pose[:3, 2]
    return found


@pytest.mark.parametrize(
    "wrong",
    [lambda poses: {frame: inverse(pose) for frame, pose in poses.items()}, opengl, stop_and_go],
    ids=["world to camera", "axes of OpenGL", "another drive"],
)
def test_poses_of_other_conventions_or_drives_are_refused(wrong):
    reference = drive(80)
    with pytest.raises(InputError, match=r"steps of the camera differ by \d+% from those by OxTS: check"):
        levelled(wrong(moved(reference, np.eye(3), 1.0)), reference, is_scaled=True, place="orb.txt", by="OxTS")


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_jitter_is_the_noise_of_steps(noise):
    found = jitter(drive(1000, noise=noise))
    assert found == pytest.approx(noise, rel=0.15)
    assert len(check_steps(drive(1000, noise=noise), place="oxts/data")) == (noise > 0.03)


def test_few_or_short_steps_tell_no_jitter():
    assert np.isnan(jitter(drive(10)))
    assert np.isnan(jitter(dict.fromkeys(range(50), np.eye(4))))
    assert np.isnan(jitter({}))
    stood = drive(100, noise=0.01)
    assert 0.005 < jitter(stood | dict.fromkeys(range(100, 110), stood[99])) < 0.02  # steps of 0 tell nothing


def test_a_folder_holds_a_file_for_each_drive(tmp_path):
    (tmp_path / "a.txt").touch()
    assert file_of(tmp_path, "a") == tmp_path / "a.txt"
    assert file_of(tmp_path / "a.txt", "b") == tmp_path / "a.txt"
    with pytest.raises(InputError, match=r"no b\.txt and no images\.txt"):
        file_of(tmp_path, "b")
    with pytest.raises(InputError, match="one file for 2 sequences"):
        check_poses_of(tmp_path / "a.txt", ["a", "b"])
    (tmp_path / "b.txt").touch()
    check_poses_of(tmp_path, ["a", "b"])
