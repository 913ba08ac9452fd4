"""Calibration of a day: the chain from IMU to LiDAR to rectified camera 0 to the other rectified cameras."""

import numpy as np

from vsrd_ray.data.rectified import CalibrationText, RectifiedCamera
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import is_rigid, why_not_rigid
from vsrd_ray.storage import Location


def read_camera(root: Location, name: str, camera: str) -> RectifiedCamera:
    """Intrinsics, image size and place of one rectified camera.

    Raises:
        InputError: no such file, no entry of the camera, or a matrix that no camera has.
    """
    return _read(paths.calibration_file(root, name)).camera(camera.removeprefix("image_"))


def read_T_cam0_lidar(root: Location, name: str) -> np.ndarray:  # noqa: N802 - a transform's name
    """`T_cam0_lidar` [4, 4], metres, of rectified camera 0: R_rect_00 after `calib_velo_to_cam.txt`.

    Raises:
        InputError: see `read_camera`.
    """
    R_rect = np.eye(4)
    R_rect[:3, :3] = _read(paths.calibration_file(root, name)).numbers("R_rect_00", 9).reshape(3, 3)
    return R_rect @ _read_rigid(paths.lidar_calibration_file(root, name))


def read_T_cam0_imu(root: Location, name: str) -> np.ndarray:  # noqa: N802 - a transform's name
    """`T_cam0_imu` [4, 4], metres, of rectified camera 0, by way of the LiDAR.

    Raises:
        InputError: see `read_camera`.
    """
    return read_T_cam0_lidar(root, name) @ _read_rigid(paths.imu_calibration_file(root, name))


def read_matrices(root: Location, name: str) -> dict[str, np.ndarray]:
    """The matrices of a day under the names of the object benchmark's calibration files.

    P0 to P3 [3, 4], R0_rect [3, 3], Tr_velo_to_cam and Tr_imu_to_velo [3, 4], which end before rectification.

    Raises:
        InputError: see `read_camera`.
    """
    text = _read(paths.calibration_file(root, name))
    matrices = {f"P{number}": text.numbers(f"P_rect_{number:02d}", 12).reshape(3, 4) for number in range(4)}
    return {
        **matrices,
        "R0_rect": text.numbers("R_rect_00", 9).reshape(3, 3),
        "Tr_velo_to_cam": _read_rigid(paths.lidar_calibration_file(root, name))[:3],
        "Tr_imu_to_velo": _read_rigid(paths.imu_calibration_file(root, name))[:3],
    }


def _read_rigid(path: Location) -> np.ndarray:
    text, T = _read(path), np.eye(4)
    T[:3, :3], T[:3, 3] = text.numbers("R", 9).reshape(3, 3), text.numbers("T", 3)
    if not is_rigid(T):
        raise InputError(f"{path}: R is no rotation: {why_not_rigid(T)}: put the dataset's own file there")
    return T


def _read(path: Location) -> CalibrationText:
    get = f"unpack the calibration of that day ({path.parent.name}_calib.zip)"
    return CalibrationText.read(path, get=get, fix="put the dataset's own file there")
