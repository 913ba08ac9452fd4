"""Calibration of a day: the chain from IMU to LiDAR to rectified camera 0 to the other rectified cameras."""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.pinhole import why_no_camera, why_no_size
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import is_rigid, why_not_rigid
from vsrd_ray.storage import Location


@dataclass(frozen=True)
class CameraCalibration:
    """One rectified camera. Its axes are parallel to those of rectified camera 0 (x right, y down, z ahead)."""

    K: np.ndarray  # [3, 3] float64, pixels
    image_size: tuple[int, int]  # (width, height), pixels
    T_cam_cam0: np.ndarray  # [4, 4] float64, metres


def read_camera(root: Location, name: str, camera: str) -> CameraCalibration:
    """Intrinsics, image size and place of one rectified camera: x_cam = x_cam0 + K^-1 P_rect[:, 3].

    Raises:
        InputError: no such file, no entry of the camera, or a matrix that no camera has.
    """
    path, number = paths.calibration_file(root, name), camera.removeprefix("image_")
    entries = _read_entries(path)
    P = _numbers(entries, f"P_rect_{number}", 12, path).reshape(3, 4)
    width, height = _numbers(entries, f"S_rect_{number}", 2, path)
    if reason := why_no_size(width, height):
        raise InputError(f"{path}: S_rect_{number} is no image size: {reason}")
    if reason := why_no_camera(P, width, height):
        raise InputError(f"{path}: P_rect_{number} is no camera matrix of this dataset: {reason}")
    T_cam_cam0 = np.eye(4)
    T_cam_cam0[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    return CameraCalibration(P[:, :3].copy(), (round(width), round(height)), T_cam_cam0)


def read_T_cam0_lidar(root: Location, name: str) -> np.ndarray:  # noqa: N802 - a transform's name
    """`T_cam0_lidar` [4, 4], metres, of rectified camera 0: R_rect_00 after `calib_velo_to_cam.txt`.

    Raises:
        InputError: see `read_camera`.
    """
    path = paths.calibration_file(root, name)
    R_rect = np.eye(4)
    R_rect[:3, :3] = _numbers(_read_entries(path), "R_rect_00", 9, path).reshape(3, 3)
    return R_rect @ _read_rigid(paths.lidar_calibration_file(root, name))


def read_T_cam0_imu(root: Location, name: str) -> np.ndarray:  # noqa: N802 - a transform's name
    """`T_cam0_imu` [4, 4], metres, of rectified camera 0, by way of the LiDAR.

    Raises:
        InputError: see `read_camera`.
    """
    return read_T_cam0_lidar(root, name) @ _read_rigid(paths.imu_calibration_file(root, name))


def _read_rigid(path: Location) -> np.ndarray:
    entries = _read_entries(path)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = _numbers(entries, "R", 9, path).reshape(3, 3), _numbers(entries, "T", 3, path)
    if not is_rigid(T):
        raise InputError(f"{path}: R is no rotation: {why_not_rigid(T)}: put the dataset's own file there")
    return T


def _read_entries(path: Location) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(
            f"no calibration file {path}: unpack the calibration of that day ({path.parent.name}_calib.zip)"
        ) from None
    except (IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path}: expected a file, got a folder: put the file of that name there") from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: expected lines 'name: numbers', got a file that is no text: download it again"
        ) from None
    return {name.strip(): values for name, _, values in (line.partition(":") for line in lines)}


def _numbers(entries: dict[str, str], name: str, count: int, path: Location) -> np.ndarray:
    if name not in entries:
        raise InputError(f"{path}: no entry {name}: put the dataset's own file there")
    try:
        numbers = np.array([float(value) for value in entries[name].split()])
    except ValueError:
        numbers = np.array([np.nan])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise InputError(
            f"{path}: expected {count} numbers after {name}, got {entries[name].strip()!r}: restore the file"
        )
    return numbers
