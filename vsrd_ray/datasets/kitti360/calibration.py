"""Calibration of KITTI-360's rectified perspective cameras, from `calibration/perspective.txt`."""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location

# Beyond these, a matrix is not one of a camera on a vehicle. Focal lengths are in widths of the image: at 0.1 it
# would see 157 degrees, at 20 less than 3.
_MIN_FOCAL, _MAX_FOCAL, _MAX_ASPECT, _MAX_SKEW = 0.1, 20.0, 2.0, 0.1
_MAX_SHIFT = 20.0  # metres from camera 0
_MAX_SIDE = 65_535  # pixels


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
    if reason := _why_no_size(width, height):
        raise InputError(f"{path}: S_rect_{number} is no image size: {reason}")
    if reason := _why_no_camera(P, width, height):
        raise InputError(f"{path}: P_rect_{number} is no camera matrix of this dataset: {reason}")
    T_cam_cam0 = np.eye(4)
    T_cam_cam0[:3, 3] = P[:, 3] / np.diag(P[:, :3])
    return Calibration(K=P[:, :3].copy(), image_size=(round(width), round(height)), T_cam_cam0=T_cam_cam0)


def _why_no_size(width: float, height: float) -> str | None:
    """What is wrong with an image size, and the fix; None where nothing is."""
    for value in (width, height):
        if not value.is_integer() or not 1 <= value <= _MAX_SIDE:
            return f"expected a width and a height in whole pixels, got {width:g} {height:g}"
    return None


def _why_no_camera(P: np.ndarray, width: float, height: float) -> str | None:  # noqa: PLR0911 - a reason each
    """What keeps P [3, 4] from being K (I | t) of a pinhole camera with such images, and the fix; None for nothing."""
    (fx, skew, cx), (low, fy, cy), last = P[:, :3]
    if not np.allclose(last, (0, 0, 1), atol=1e-6):
        if last[2] > 0 and not last[:2].any():
            return f"its third row ends with {last[2]:g} in place of 1: divide the matrix by it"
        return f"its third row is {' '.join(f'{value:g}' for value in last)}, expected 0 0 1"
    if fx <= 0 or fy <= 0:
        return f"its focal lengths are {fx:g} and {fy:g}, expected numbers above 0"
    if fx < _MIN_FOCAL * width or fy < _MIN_FOCAL * width:
        return (
            f"focal lengths of {fx:g} and {fy:g} px are too small for images of {width:.0f} px: "
            "give pixels, not millimetres or parts of the image"
        )
    if max(fx, fy) > _MAX_FOCAL * width:
        return f"focal lengths of {fx:g} and {fy:g} px are too large for images of {width:.0f} px: use the images' own"
    if max(fx, fy) > _MAX_ASPECT * min(fx, fy):
        return f"focal lengths of {fx:g} and {fy:g} px belong to no camera: they differ by a few percent at most"
    if low or abs(skew) > _MAX_SKEW * fx:
        return f"it is skewed ({skew:g} and {low:g} beside the focal lengths), expected 0"
    if not (0 < cx < width and 0 < cy < height):
        return (
            f"its principal point ({cx:g}, {cy:g}) lies outside images of {width:.0f} x {height:.0f} px: "
            "use the calibration of the images as they are, cropped and resized"
        )
    baseline = P[:, 3] / (fx, fy, 1.0)
    if np.abs(baseline).max() > _MAX_SHIFT:
        return f"its last column shifts the camera by {np.abs(baseline).max():g} m: P[0, 3] is -fx times the baseline"
    return None


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
