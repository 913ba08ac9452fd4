"""Where the car's sensors sit and how they see: the calibration of every layer of the street.

Frames, metres: `ego` stands on the road below the rear axle (x forward, y left, z up); `pose` is that of KITTI-360's
GPS unit, 0.9 m above it (x forward, y right, z down); a camera has x right, y down, z forward; `velo`, the LiDAR of
KITTI-360's layout, has x forward, y left, z up; `top`, that of nuScenes' layout, has x right, y forward, z up.
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.mei import MEI
from vsrd_ray.synthetic.settings import FRAME_PERIOD

BASELINE = 0.6  # m between the left and the right camera
CAMERA_HEIGHT = 1.55  # m above the road
FISHEYES = ("image_02", "image_03")
SURROUND = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")

_PITCH = np.radians(5.0)  # of cameras 0 and 1, downward
# Columns: the camera's x, y and z in a frame with x forward, y left, z up.
_LOOKING_AHEAD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
# Position (m, ego), heading (degrees, positive to the left), focal length as a share of the image's width.
_SURROUND_MOUNTS = {
    "CAM_FRONT": ((1.70, 0.00, 1.50), 0.0, 0.79),
    "CAM_FRONT_RIGHT": ((1.55, -0.50, 1.50), -56.0, 0.79),
    "CAM_BACK_RIGHT": ((1.00, -0.48, 1.56), -110.0, 0.79),
    "CAM_BACK": ((0.05, 0.00, 1.56), 180.0, 0.505),
    "CAM_BACK_LEFT": ((1.05, 0.48, 1.56), 110.0, 0.79),
    "CAM_FRONT_LEFT": ((1.55, 0.50, 1.50), 56.0, 0.79),
}


@dataclass(frozen=True)
class Mount:
    """A pinhole camera on the car."""

    T_ego_cam: np.ndarray  # [4, 4]
    K: np.ndarray  # [3, 3] pixels


def _transform(rotation: np.ndarray, position: tuple[float, float, float]) -> np.ndarray:
    T_a_b = np.eye(4)
    T_a_b[:3, :3], T_a_b[:3, 3] = rotation, position
    return T_a_b


def _heading(angle: float) -> np.ndarray:
    """A rotation [3, 3] about z, radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _downward(angle: float) -> np.ndarray:
    """A rotation [3, 3] about a camera's x that turns its view down, radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, sin], [0.0, -sin, cos]])


T_EGO_CAM0 = _transform(_LOOKING_AHEAD @ _downward(_PITCH), (1.60, BASELINE / 2, CAMERA_HEIGHT))
T_CAM0_CAM1 = _transform(np.eye(3), (BASELINE, 0.0, 0.0))
T_EGO_POSE = _transform(np.diag([1.0, -1.0, -1.0]), (0.0, 0.0, 0.90))
T_EGO_VELO = _transform(np.eye(3), (0.80, 0.0, 1.73))
T_EGO_TOP = _transform(_heading(-np.pi / 2), (0.95, 0.0, 1.84))
T_EGO_FISHEYE = {
    "image_02": _transform(_heading(np.pi / 2) @ _LOOKING_AHEAD, (0.72, 0.45, 1.95)),
    "image_03": _transform(_heading(-np.pi / 2) @ _LOOKING_AHEAD, (0.72, -0.45, 1.95)),
}


def surround_mounts(image_size: tuple[int, int]) -> dict[str, Mount]:
    """The six cameras around, by name, for images of a size (width, height), px."""
    width, height = image_size
    mounts = {}
    for name in SURROUND:
        position, degrees, focal = _SURROUND_MOUNTS[name]
        f = focal * width
        K = np.array([[f, 0.0, 0.505 * width], [0.0, f, 0.52 * height], [0.0, 0.0, 1.0]])
        mounts[name] = Mount(_transform(_heading(np.radians(degrees)) @ _LOOKING_AHEAD, position), K)
    return mounts


def surround_delay(name: str) -> float:
    """Seconds from a frame to the moment when a LiDAR that looks ahead in the frame passes a camera's optical axis.

    It turns clockwise once a frame; the camera behind is read at the end of the turn. Whole microseconds.
    """
    _, degrees, _ = _SURROUND_MOUNTS[name]
    clockwise = 180.0 if degrees == 180.0 else -degrees
    return round(clockwise / 360.0 * FRAME_PERIOD, 6)


def fisheye_models(side: int) -> dict[str, MEI]:
    """The projections of both fisheye cameras for square images of `side` px."""
    return {
        "image_02": MEI(
            xi=2.2,
            distortion=(0.02, 1.6, 4e-4, 4e-4),
            gamma=(0.952 * side, 0.952 * side),
            center=(0.51 * side, 0.504 * side),
            image_size=(side, side),
        ),
        "image_03": MEI(
            xi=2.5,
            distortion=(0.05, 4.3, 1.2e-3, -7e-4),
            gamma=(1.055 * side, 1.055 * side),
            center=(0.499 * side, 0.4985 * side),
            image_size=(side, side),
        ),
    }


def pose_text() -> str:
    """calib_cam_to_pose.txt: four cameras into the GPS unit's frame, three rows of a 4 x 4 matrix each."""
    T_pose_ego = rigid.inverse(T_EGO_POSE)
    T_ego_cams = {"image_00": T_EGO_CAM0, "image_01": T_EGO_CAM0 @ T_CAM0_CAM1, **T_EGO_FISHEYE}
    return "".join(f"{name}: {numbers(T_pose_ego @ T_ego_cam)}\n" for name, T_ego_cam in T_ego_cams.items())


def velo_text() -> str:
    """calib_cam_to_velo.txt: camera 0 into the LiDAR, three rows of a 4 x 4 matrix."""
    return numbers(rigid.inverse(T_EGO_VELO) @ T_EGO_CAM0) + "\n"


def numbers(T_a_b: np.ndarray) -> str:
    """The upper three rows of a transform, with all their digits."""
    return " ".join(f"{value:.17g}" for value in (T_a_b[:3] + 0.0).ravel())
