"""Copies of raw drives with bad masks, and raw drives in notebooks."""

import cv2
import numpy as np
import pytest

import vsrd_ray
from vsrd_ray.data.drive import MASKS
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.degradation import DegradeSettings, degrade
from vsrd_ray.errors import InputError

NAME = "2011_09_29_drive_0004_sync"


@pytest.fixture
def masked(raw):
    folder = raw / "mots" / "instances" / "0018"
    folder.mkdir(parents=True)
    instance_map = np.zeros((40, 120), np.uint16)
    instance_map[15:35, 50:80], instance_map[2:9, 3:9], instance_map[:2, :5] = 1004, 2000, 10000
    for frame in (2, 3):
        cv2.imwrite(str(folder / f"{frame:06d}.png"), instance_map)
    return raw


def test_a_copy_without_a_fault_is_the_drive(masked, tmp_path):
    counts = degrade(masked, tmp_path / "copy", DegradeSettings())
    assert counts[NAME]["masks"] == 4
    own, copy = open_drive(masked, NAME), open_drive(tmp_path / "copy", NAME)
    assert copy.layers == own.layers
    for frame in (2, 3):
        np.testing.assert_array_equal(copy.read(MASKS, "image_02", frame), own.read(MASKS, "image_02", frame))
    for frame, pose in own.T_world_cam.items():
        np.testing.assert_array_equal(copy.T_world_cam[frame], pose)


def test_masks_shrink(masked, tmp_path):
    degrade(masked, tmp_path / "copy", DegradeSettings(erode=2))
    shrunk = open_drive(tmp_path / "copy", NAME).read(MASKS, "image_02", 2)
    assert 0 < (shrunk == 1005).sum() < 600


def test_poses_and_masks_are_given_in_notebooks(masked, tmp_path):
    odometry = tmp_path / "orb.txt"
    odometry.write_text("".join(f"1 0 0 0 0 1 0 0 0 0 1 {2 * frame}\n" for frame in range(12)))
    drive = vsrd_ray.open_sequence(masked, NAME, poses=odometry, masks=masked / "mots" / "instances" / "0018")
    assert drive.pose_scale == pytest.approx(0.5, abs=1e-3) and drive.mask_frames == (2, 3)
    published = vsrd_ray.open_sequence(masked, NAME, poses="oxts-published")
    assert not np.allclose(published.T_world_cam[5], vsrd_ray.open_sequence(masked, NAME).T_world_cam[5], atol=1e-4)
    with pytest.raises(InputError, match="is for `label`"):
        vsrd_ray.open_sequence(masked, NAME, poses="visual")
