import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsrd_ray.data.drive import IMAGES, MASKS
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.drives import list_drives
from vsrd_ray.datasets.kitti360.instances import read_instance_map
from vsrd_ray.datasets.kitti360.spec import SPEC
from vsrd_ray.errors import InputError

SEQUENCE = "2013_05_28_drive_0042_sync"
EMPTY = np.zeros((16, 20))


def test_opening(write_sequence) -> None:
    root = write_sequence({5: EMPTY, 2: EMPTY}, poses={2: np.eye(4), 9: np.eye(4)})
    sequence = open_drive(root, SEQUENCE)
    assert sequence.mask_frames == (2, 5)
    assert list(sequence.T_world_cam) == [2, 9]
    assert sequence.image_size == (20, 16)
    view = sequence.view(9)
    assert view.frame == 9
    assert view.image_size == (20, 16)
    np.testing.assert_array_equal(view.K, [[50, 0, 10], [0, 40, 8], [0, 0, 1]])


def test_other_files_among_the_masks_are_no_frames(write_sequence) -> None:
    root = write_sequence({5: EMPTY})
    for name in ("Thumbs.db", "._0000000005.png", "5.png", "0000000006.png.part"):
        (paths.mask_folder(root, SEQUENCE, "image_00") / name).touch()
    assert open_drive(root, SEQUENCE).mask_frames == (5,)


def test_camera_1_stands_to_the_right_of_camera_0_kilometres_away(write_sequence) -> None:
    yaw = 0.7
    T_world_cam0 = np.eye(4)
    right = np.array([np.cos(yaw), np.sin(yaw), 0])
    T_world_cam0[:3, :3] = np.stack([right, [0, 0, -1], np.cross(right, [0, 0, -1])], axis=-1)
    T_world_cam0[:3, 3] = [1070.5861234567, -38000.125, 119.1374]
    root = write_sequence({0: EMPTY}, poses={0: T_world_cam0}, camera="image_01")
    T_world_cam1 = open_drive(root, SEQUENCE, "image_01").T_world_cam[0]
    np.testing.assert_array_equal(T_world_cam1[:3, :3], T_world_cam0[:3, :3])
    np.testing.assert_allclose(T_world_cam1[:3, 3] - T_world_cam0[:3, 3], 0.6 * right, atol=1e-11)


def test_poses_of_camera_0_are_kept_bit_by_bit(write_sequence) -> None:
    pose = np.eye(4)
    pose[:3, 3] = [1234567.8901234567, -1e-9, 7654321.1]
    root = write_sequence({0: EMPTY}, poses={0: pose})
    np.testing.assert_array_equal(open_drive(root, SEQUENCE).T_world_cam[0], pose)


def test_real_sequence(shared: Path) -> None:
    root = shared / "data" / "kitti360_real"
    assert list_drives(root) == ["2013_05_28_drive_0008_sync"]
    sequence = open_drive(root, "2013_05_28_drive_0008_sync")
    assert sequence.mask_frames == tuple(range(3000, 3050))
    assert sequence.T_world_cam[3000][:3, 3].tolist() == [-1070.586, -1700.357, 119.1374]


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no dataset folder .*nowhere: give --root, or set KITTI360_DATASET"):
        open_drive(tmp_path / "nowhere", SEQUENCE)


def test_unknown_sequence_names_those_that_are_there(write_sequence) -> None:
    root = write_sequence({0: EMPTY})
    paths.poses_file(root, "another").parent.mkdir()
    with pytest.raises(InputError, match=rf"no sequence 'drive' under .*: give one of {SEQUENCE}, another"):
        open_drive(root, "drive")


def test_root_without_sequences(tmp_path: Path) -> None:
    assert list_drives(tmp_path) == []
    with pytest.raises(InputError, match="there is none: check --root"):
        open_drive(tmp_path, SEQUENCE)


def test_a_drive_without_masks_can_be_opened(write_sequence) -> None:
    root = write_sequence({0: EMPTY, 4: EMPTY})
    image = paths.image_file(root, SEQUENCE, "image_00", 4)
    image.parent.mkdir(parents=True)
    assert cv2.imwrite(str(image), np.full((16, 20, 3), 7, np.uint8))
    shutil.rmtree(paths.masks_root(root))
    assert list_drives(root) == [SEQUENCE]
    drive = open_drive(root, SEQUENCE)
    assert drive.mask_frames == () and drive.frames_with(IMAGES, "image_00") == (4,)
    assert all_frames(drive, (IMAGES,)) == [0, 4]
    index = index_frames(drive, [0, 4], layers=(IMAGES,))
    assert index.select(["frame", "skipped"]).to_pylist() == [
        {"frame": 0, "skipped": "no image"},
        {"frame": 4, "skipped": None},
    ]
    assert (drive.read(IMAGES, "image_00", 4) == 7).all()


def test_what_is_said_where_there_are_no_masks(write_sequence) -> None:
    root = write_sequence({0: EMPTY})
    folder = paths.mask_folder(root, SEQUENCE, "image_00")
    assert SPEC.missing(root, SEQUENCE, MASKS, "image_00") == (
        f"no instance masks in {folder}: download KITTI-360's 2D semantics into the root folder"
    )
    with pytest.raises(InputError, match=r"no instance mask .*0000000007\.png: restore the file"):
        open_drive(root, SEQUENCE).read(MASKS, "image_00", 7)


def test_unknown_camera(write_sequence) -> None:
    root = write_sequence({0: EMPTY})
    with pytest.raises(InputError, match="unknown camera 'left'"):
        open_drive(root, SEQUENCE, "left")


def test_a_relative_root_can_be_read_from_anywhere(write_sequence, monkeypatch) -> None:
    root = write_sequence({0: np.full((16, 20), 7000, np.uint16)})
    monkeypatch.chdir(root.parent)
    sequence = open_drive(Path(root.name), SEQUENCE)
    monkeypatch.chdir("/")
    assert read_instance_map(sequence, "image_00", 0).shape == (16, 20)
