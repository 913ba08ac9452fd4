"""KITTI-360's fisheye cameras, and where all four cameras are on the car.

The calibration of a fisheye is a file of OpenCV's YAML; of its numbers each stands on a line of its own.
"""

import numpy as np

from vsrd_ray.data.rectified import CalibrationText
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.mei import MEI
from vsrd_ray.storage import Location

FISHEYES = ("image_02", "image_03")

_GET = "download KITTI-360's calibrations into the root folder"
_FIX = "use the file as KITTI-360 ships it"


def read_fisheye(root: Location, camera: str) -> MEI:
    """The projection of a fisheye camera.

    Raises:
        InputError: another camera, a missing file, or one without a number that the model needs.
    """
    if camera not in FISHEYES:
        raise InputError(f"{camera!r} is no fisheye of KITTI-360: give one of {', '.join(FISHEYES)}")
    text = CalibrationText.read(paths.fisheye_calibration_file(root, camera), get=_GET, fix=_FIX)

    def number(name: str) -> float:
        return float(text.numbers(name, 1)[0])

    return MEI(
        xi=number("xi"),
        distortion=(number("k1"), number("k2"), number("p1"), number("p2")),
        gamma=(number("gamma1"), number("gamma2")),
        center=(number("u0"), number("v0")),
        image_size=(round(number("image_width")), round(number("image_height"))),
    )


def read_T_pose_cam(root: Location, camera: str) -> np.ndarray:  # noqa: N802 - a transform's name
    """`T_pose_cam` [4, 4], metres: one of the four cameras, rectified if it is a perspective one, on the car.

    Raises:
        InputError: a missing file, or one without the camera's 12 numbers.
    """
    if camera not in (*paths.IMAGE_CAMERAS, *FISHEYES):
        raise InputError(f"unknown camera {camera!r}: give one of {', '.join((*paths.IMAGE_CAMERAS, *FISHEYES))}")
    T_pose_raw, R_rect = np.eye(4), np.eye(4)
    text = CalibrationText.read(paths.camera_poses_file(root), get=_GET, fix=_FIX)
    T_pose_raw[:3] = text.numbers(camera, 12).reshape(3, 4)
    if camera in paths.IMAGE_CAMERAS:
        rectified = CalibrationText.read(paths.calibration_file(root), get=_GET, fix=_FIX)
        R_rect[:3, :3] = rectified.numbers(f"R_rect_{camera.removeprefix('image_')}", 9).reshape(3, 3)
    return T_pose_raw @ np.linalg.inv(R_rect)
