"""One's own drive holds the street's poses, pixels and masks, whatever form its poses have."""

import shutil

import numpy as np
import pytest
from own_drives import DRIVE, SEQUENCE, WRITERS, write_drive
from scipy.spatial.transform import Rotation

from vsrd_ray.data.drive import IMAGES, MASKS
from vsrd_ray.data.given import Given
from vsrd_ray.datasets.base import dataset_of, open_drive
from vsrd_ray.errors import InputError


@pytest.mark.parametrize("form", WRITERS)
def test_poses_are_those_of_the_street(street, tmp_path, form):
    write_drive(tmp_path, street, form)
    assert dataset_of(tmp_path).name == "folder"
    own, there = open_drive(tmp_path, DRIVE), open_drive(street, SEQUENCE)
    assert list(own.T_world_cam) == list(there.T_world_cam)
    for frame, pose in there.T_world_cam.items():
        np.testing.assert_allclose(own.T_world_cam[frame], pose, atol=1e-6, rtol=0)
    np.testing.assert_allclose(own.K, there.K, atol=1e-9)
    assert own.image_size == there.image_size
    assert own.frames_with(IMAGES, "camera") == own.frames_with(MASKS, "camera") == tuple(range(24))
    facts = own.detail("facts")
    assert len(facts) == 3 and "estimated" not in facts[1]


def test_pixels_and_masks_are_those_of_the_street(street, tmp_path):
    write_drive(tmp_path, street, "kitti360")
    own, there = open_drive(tmp_path, DRIVE), open_drive(street, SEQUENCE)
    for layer in (IMAGES, MASKS):
        np.testing.assert_array_equal(own.read(layer, "camera", 7), there.read(layer, "image_00", 7))
    assert own.file(MASKS, "camera", 7) == tmp_path / DRIVE / "masks" / "0000000007.png"


def test_times_are_the_images(street, tmp_path):
    folder = write_drive(tmp_path, street, "tum")
    times = open_drive(tmp_path, DRIVE).camera.times_s
    assert times[0] == pytest.approx(1700000000.003, abs=1e-6) and times[23] - times[0] == pytest.approx(2.3, abs=1e-6)
    (folder / "times.txt").rename(folder / "timestamps.txt")
    assert open_drive(tmp_path, DRIVE).camera.times_s == times


def test_a_changed_file_changes_the_fingerprint(street, tmp_path):
    folder = write_drive(tmp_path, street, "colmap binary")
    dataset = dataset_of(tmp_path)
    first = dataset.fingerprint(tmp_path, DRIVE, ("camera",))
    assert dataset.fingerprint(tmp_path, DRIVE, ("camera",)) == first
    found = {first}
    for file in ("camera.yaml", "sparse/0/points3D.bin", "masks/0000000003.png", "images/0000000003.png"):
        (folder / file).write_bytes((folder / file).read_bytes() + b"\n")
        found.add(dataset.fingerprint(tmp_path, DRIVE, ("camera",)))
    assert len(found) == 5
    with pytest.raises(FileNotFoundError):
        dataset.fingerprint(tmp_path, "other", ("camera",))


def test_poses_of_images_that_are_not_there_are_left_out(street, tmp_path):
    folder = write_drive(tmp_path, street, "colmap text")
    for name in ("images", "masks"):
        (folder / name / "0000000005.png").unlink()
    drive = open_drive(tmp_path, DRIVE)
    assert 5 not in drive.T_world_cam and len(drive.T_world_cam) == 23
    (warning,) = drive.warnings
    assert "1 poses are of images that are not there" in warning


def test_a_drive_without_poses_opens_and_says_so(street, tmp_path, caplog):
    folder = write_drive(tmp_path, street, "kitti")
    (folder / "poses.txt").unlink()
    assert open_drive(tmp_path, DRIVE).T_world_cam == {}
    assert "no poses: give poses.txt, transforms.json or a COLMAP model in sparse/0" in caplog.text


def test_models_that_colmap_could_not_join_are_told(street, tmp_path):
    folder = write_drive(tmp_path, street, "colmap binary")
    shutil.copytree(folder / "sparse" / "0", folder / "sparse" / "1")
    (warning,) = open_drive(tmp_path, DRIVE).warnings
    assert warning == f"{folder / 'sparse' / '0'}: not joined with 1 beside it, whose frames have no pose."


@pytest.mark.parametrize("form", ["kitti", "tum", "transforms.json", "colmap text"])
def test_poses_of_a_file_are_levelled_and_scaled_by_the_drives_own(street, tmp_path, form):
    write_drive(tmp_path, street, "tum")
    there = open_drive(street, SEQUENCE)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_euler("xyz", [80, 10, 40], degrees=True).as_matrix(), [4, 5, 6]
    poses = {frame: T @ pose for frame, pose in there.T_world_cam.items()}
    for pose in poses.values():
        pose[:3, 3] *= 1.25
    other = tmp_path / "other"
    other.mkdir()
    WRITERS[form](other, poses, there.K, there.image_size, {frame: f"{frame}.png" for frame in poses})
    file = other / {"transforms.json": "transforms.json", "colmap text": "sparse/0/images.txt"}.get(form, "poses.txt")
    own = open_drive(tmp_path, DRIVE, given=Given(pose_file=file))
    for frame, pose in there.T_world_cam.items():
        np.testing.assert_allclose(own.T_world_cam[frame], pose, atol=1e-5, rtol=0)
    unscaled = open_drive(tmp_path, DRIVE, given=Given(pose_file=file, pose_scale="none"))
    path = [np.linalg.norm(drive.T_world_cam[23][:3, 3] - drive.T_world_cam[0][:3, 3]) for drive in (unscaled, there)]
    assert path[0] / path[1] == pytest.approx(1.25, rel=1e-6)
    assert any("longer than that by the drive's own" in warning for warning in unscaled.warnings)


def test_poses_of_a_file_serve_a_drive_that_has_none(street, tmp_path):
    folder = write_drive(tmp_path, street, "kitti360")
    file = (folder / "poses.txt").rename(tmp_path / "elsewhere.txt")
    own = open_drive(tmp_path, DRIVE, given=Given(pose_file=file))
    assert len(own.T_world_cam) == 24 and own.warnings == ()
    with pytest.raises(InputError, match="oxts"):
        open_drive(tmp_path, DRIVE, given=Given(poses="oxts"))
