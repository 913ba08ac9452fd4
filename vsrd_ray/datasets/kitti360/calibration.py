"""Calibration of KITTI-360's rectified perspective cameras, from `calibration/perspective.txt`."""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.pinhole import why_no_camera, why_no_size
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location


@dataclass(frozen=True)
class Calibration:
    """One rectified camera. Its axes are parallel to those of camera 0 (x right, y down, z forward)."""

    K: np.ndarray  # [3, 3] float64, pixels
    image_size: tuple[int, int]  # (width, height), pixels
    T_cam_cam0: np.ndarray  # [4, 4] float64, metres; camera 0 into this camera


def read_calibration(root: Location, camera: str) -> Calibration:
    """Intrinsics, image size and stereo shift of one camera.

    The shift is P_rect[:, 3] / diag(K): nothing for image_00, the baseline for image_01.

    Args:
        root: the dataset's root folder.
        camera: "image_00" or "image_01".

    Raises:
        InputError: an unknown camera, a missing file, one without this camera's P_rect and S_rect, or a matrix that no
            camera has.
    """
    if camera not in paths.IMAGE_CAMERAS:
        raise InputError(f"unknown camera {camera!r}: give one of {', '.join(paths.IMAGE_CAMERAS)}")
    number = camera.removeprefix("image_")
    path = paths.calibration_file(root)
    entries = _read_entries(path)
    P = _numbers(entries, f"P_rect_{number}", 12, path).reshape(3, 4)
    width, height = _numbers(entries, f"S_rect_{number}", 2, path)
    if reason := why_no_size(width, height):
        raise InputError(f"{path}: S_rect_{number} is no image size: {reason}")
    if reason := why_no_camera(P, width, height):
        raise InputError(f"{path}: P_rect_{number} is no camera matrix of this dataset: {reason}")
    T_cam_cam0 = np.eye(4)
    T_cam_cam0[:3, 3] = P[:, 3] / np.diag(P[:, :3])
    return Calibration(K=P[:, :3].copy(), image_size=(round(width), round(height)), T_cam_cam0=T_cam_cam0)


def read_lidar(root: Location, camera: str) -> np.ndarray | None:
    """`T_cam_lidar` [4, 4] of one rectified camera, metres; None where the dataset has no LiDAR calibration.

    Raises:
        InputError: as `read_calibration`, or a LiDAR calibration that is no 3 x 4 matrix.
    """
    path = paths.lidar_calibration_file(root)
    try:
        entries = {"matrix": path.read_text()}
    except FileNotFoundError:
        return None
    T_lidar_raw, R_rect = np.eye(4), np.eye(4)
    T_lidar_raw[:3] = _numbers(entries, "matrix", 12, path).reshape(3, 4)
    perspective = paths.calibration_file(root)
    R_rect[:3, :3] = _numbers(_read_entries(perspective), "R_rect_00", 9, perspective).reshape(3, 3)
    return read_calibration(root, camera).T_cam_cam0 @ R_rect @ np.linalg.inv(T_lidar_raw)


def _read_entries(path: Location) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(
            f"no calibration file {path}: download KITTI-360's calibrations into the root folder"
        ) from None
    except (IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path}: expected a file, got a folder: put the file of that name there") from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: expected lines 'name: numbers', got a file that is no text: download it again"
        ) from None
    entries: dict[str, str] = {}
    for line in lines:
        name, _, values = line.partition(":")
        if entries.setdefault(name.strip(), values).split() != values.split():
            raise InputError(f"{path}: two entries {name.strip()} with other values: remove one of them")
    return entries


def _numbers(entries: dict[str, str], name: str, count: int, path: Location) -> np.ndarray:
    if name not in entries:
        raise InputError(f"{path}: no entry {name}: use perspective.txt as KITTI-360 ships it")
    values = entries[name].split()
    try:
        numbers = np.array([float(value) for value in values])
    except ValueError:
        numbers = np.array([np.nan])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise InputError(
            f"{path}: expected {count} numbers after {name}, got {entries[name].strip()!r}: restore the file"
        )
    return numbers
