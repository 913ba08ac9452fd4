"""KITTI-360's fisheye cameras, as such and as pinhole cameras, and where all four cameras are on the car.

The calibration of a fisheye is a file of OpenCV's YAML; of its numbers each stands on a line of its own.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from vsrd_ray.data.rectified import CalibrationText, RectifiedCamera
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.calibration import read_calibration
from vsrd_ray.datasets.kitti360.paths import FISHEYES
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.fisheye import fisheye_pixels, lookup, turned
from vsrd_ray.geometry.mei import MEI
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.storage import Location

PITCH_DEG = -15.0  # of the pinhole cameras, from the fisheyes' axes (published code of BTS)

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


def read_pinhole(root: Location, camera: str) -> RectifiedCamera:
    """A fisheye as a pinhole camera that looks to its side and 15 degrees down, with image_00's intrinsics.

    Raises:
        InputError: see `read_fisheye` and `read_T_pose_cam`.
    """
    read_fisheye(root, camera)
    like = read_calibration(root, paths.IMAGE_CAMERAS[0])
    T_fisheye_cam = np.eye(4)
    T_fisheye_cam[:3, :3] = turned(yaw_deg=0, pitch_deg=PITCH_DEG)
    T_pose_cam0, T_pose_fisheye = (read_T_pose_cam(root, name) for name in (paths.IMAGE_CAMERAS[0], camera))
    return replace(like, T_cam_cam0=inverse(T_pose_fisheye @ T_fisheye_cam) @ T_pose_cam0)


def as_pinhole(
    image: np.ndarray,  # [H', W', 3] uint8
    model: MEI,
    K: np.ndarray,  # [3, 3] px
    image_size: tuple[int, int],  # (width, height)
) -> np.ndarray:
    """What the pinhole camera of `read_pinhole` sees of a fisheye's image, [H, W, 3] uint8; black outside of it."""
    seen = lookup(image, _pixels(model, image_size, tuple(K.ravel().tolist())))
    return np.rint(seen).astype(np.uint8)


@lru_cache(maxsize=4)
def _pixels(model: MEI, image_size: tuple[int, int], K: tuple[float, ...]) -> np.ndarray:
    """Pixels [H, W, 2] of the fisheye that those of the pinhole camera look at."""
    width, height = image_size
    into = np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
    K_norm = into @ np.reshape(K, (3, 3))
    return fisheye_pixels(model, K_norm, turned(yaw_deg=0, pitch_deg=PITCH_DEG), image_size)
