from pathlib import Path

import numpy as np
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.calibration import read_calibration, read_lidar
from vsrd_ray.errors import InputError


@pytest.fixture
def root(write_sequence) -> Path:
    return write_sequence({0: np.zeros((16, 20))})


def edit(root: Path, old: str, new: str) -> None:
    path = paths.calibration_file(root)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_camera_0_has_no_shift(root: Path) -> None:
    calibration = read_calibration(root, "image_00")
    np.testing.assert_array_equal(calibration.K, [[50, 0, 10], [0, 40, 8], [0, 0, 1]])
    assert calibration.image_size == (20, 16)
    np.testing.assert_array_equal(calibration.T_cam_cam0, np.eye(4))


def test_camera_1_is_shifted_by_the_baseline(root: Path) -> None:
    T_cam_cam0 = read_calibration(root, "image_01").T_cam_cam0
    np.testing.assert_array_equal(T_cam_cam0[:3, 3], [-30 / 50, 0, 0])
    np.testing.assert_array_equal(T_cam_cam0[:3, :3], np.eye(3))


def test_real_calibration(shared: Path) -> None:
    calibration = read_calibration(shared / "data" / "kitti360_real", "image_01")
    assert calibration.image_size == (1408, 376)
    assert calibration.K[0, 0] == 552.554261
    assert calibration.T_cam_cam0[0, 3] == pytest.approx(-0.594183, abs=1e-6)


def test_without_p_rect_00(root: Path) -> None:
    edit(root, "P_rect_00", "P_00")
    with pytest.raises(InputError, match=r"perspective\.txt: no entry P_rect_00"):
        read_calibration(root, "image_00")


def test_with_too_few_numbers(root: Path) -> None:
    edit(root, "P_rect_01: 50.0", "P_rect_01:")
    with pytest.raises(InputError, match="expected 12 numbers after P_rect_01"):
        read_calibration(root, "image_01")


def test_with_a_word_for_a_number(root: Path) -> None:
    edit(root, "S_rect_00: 20", "S_rect_00: wide")
    with pytest.raises(InputError, match="expected 2 numbers after S_rect_00, got 'wide 16'"):
        read_calibration(root, "image_00")


def test_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no calibration file .*perspective\.txt"):
        read_calibration(tmp_path, "image_00")


def test_a_binary_file(root: Path) -> None:
    paths.calibration_file(root).write_bytes(b"\x89\xff\xfe")
    with pytest.raises(InputError, match="no text"):
        read_calibration(root, "image_00")


def test_unknown_camera(root: Path) -> None:
    with pytest.raises(InputError, match="unknown camera 'image_02': give one of image_00, image_01"):
        read_calibration(root, "image_02")


def test_a_dataset_without_lidar_has_no_calibration_of_it(root: Path) -> None:
    assert read_lidar(root, "image_00") is None


def test_the_real_lidar_is_behind_the_camera_and_looks_its_way(shared: Path) -> None:
    T_cam_lidar = read_lidar(shared / "data" / "kitti360_real", "image_00")
    assert T_cam_lidar is not None
    # 10 m ahead of the LiDAR, on its left and above it; the camera looks down by some degrees
    ahead, left, up = (T_cam_lidar[:3, :3] @ axis for axis in np.eye(3))
    assert ahead[2] > 0.98 and left[0] < -0.99 and up[1] < -0.98
    position = T_cam_lidar[:3, 3]
    assert position[2] == pytest.approx(-0.8, abs=0.1) and abs(position[0]) < 0.5
    np.testing.assert_allclose(T_cam_lidar[:3, :3] @ T_cam_lidar[:3, :3].T, np.eye(3), atol=1e-6)
    other = read_lidar(shared / "data" / "kitti360_real", "image_01")
    assert other is not None and (other - T_cam_lidar)[0, 3] == pytest.approx(-0.594183, abs=1e-6)


def test_a_damaged_lidar_calibration_is_named(root: Path) -> None:
    paths.lidar_calibration_file(root).write_text("1 0 0 1 0 1 0")
    with pytest.raises(InputError, match=r"calib_cam_to_velo\.txt: expected 12 numbers"):
        read_lidar(root, "image_00")
