"""Calibration of KITTI-360's rectified perspective cameras, from `calibration/perspective.txt`."""

import numpy as np

from vsrd_ray.data.rectified import CalibrationText, RectifiedCamera
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location


def read_calibration(root: Location, camera: str) -> RectifiedCamera:
    """Intrinsics, image size and stereo shift of one camera.

    Args:
        root: the dataset's root folder.
        camera: "image_00" or "image_01".

    Raises:
        InputError: an unknown camera, a missing file, one without this camera's P_rect and S_rect, or a matrix that no
            camera has.
    """
    if camera not in paths.IMAGE_CAMERAS:
        raise InputError(f"unknown camera {camera!r}: give one of {', '.join(paths.IMAGE_CAMERAS)}")
    return _read(root).camera(camera.removeprefix("image_"))


def read_lidar(root: Location, camera: str) -> np.ndarray | None:
    """`T_cam_lidar` [4, 4] of one rectified camera, metres; None where the dataset has no LiDAR calibration.

    Raises:
        InputError: as `read_calibration`, or a LiDAR calibration that is no 3 x 4 matrix.
    """
    path = paths.lidar_calibration_file(root)
    try:
        text = CalibrationText(path, {"matrix": path.read_text()}, fix="")
    except FileNotFoundError:
        return None
    T_lidar_raw, R_rect = np.eye(4), np.eye(4)
    T_lidar_raw[:3] = text.numbers("matrix", 12).reshape(3, 4)
    R_rect[:3, :3] = _read(root).numbers("R_rect_00", 9).reshape(3, 3)
    return read_calibration(root, camera).T_cam_cam0 @ R_rect @ np.linalg.inv(T_lidar_raw)


def _read(root: Location) -> CalibrationText:
    get = "download KITTI-360's calibrations into the root folder"
    return CalibrationText.read(paths.calibration_file(root), get=get, fix="use perspective.txt as KITTI-360 ships it")
