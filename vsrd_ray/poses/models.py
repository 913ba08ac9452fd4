"""What a tool found of one camera: its poses in a world of its own, and often its intrinsics.

Cameras have x right, y down, z ahead. The world may be any, and so may be its unit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.pinhole import why_no_camera, why_no_size
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import is_rigid, why_not_rigid
from vsrd_ray.storage import Location

# The frame that the name of an image stands for; None where it stands for none.
NumberOf = Callable[[str], int | None]

UNDISTORT = "undistort the images first (colmap image_undistorter), and give the model that it writes"
_QUATERNION = 0.02  # by which the length of a quaternion may be off 1
_SAME = 1e-3  # px, within which cameras are one


@dataclass(frozen=True)
class Pinhole:
    """A camera without distortion."""

    K: np.ndarray  # [3, 3] float64, pixels; a pixel (u, v) names its centre
    image_size: tuple[int, int]  # (width, height), pixels

    @staticmethod
    def of(fx: float, fy: float, cx: float, cy: float, size: tuple[int, int], *, place: str) -> "Pinhole":
        """The camera of some numbers in pixels.

        Raises:
            InputError: no camera on a vehicle has these; `place` says where they stand.
        """
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64)
        P = np.concatenate([K, np.zeros((3, 1))], axis=1)
        if not np.isfinite(K).all():
            raise InputError(f"{place}: intrinsics that are no finite numbers: restore the file")
        if reason := why_no_size(*map(float, size)) or why_no_camera(P, *map(float, size)):
            raise InputError(f"{place}: these are no intrinsics of a camera: {reason}")
        return Pinhole(K, size)

    def is_same(self, other: "Pinhole") -> bool:
        """Whether both are one camera, to rounding."""
        return self.image_size == other.image_size and bool(np.abs(self.K - other.K).max() <= _SAME)


@dataclass(frozen=True)
class PoseModel:
    """Poses of one camera as a tool gave them."""

    form: str  # in words, such as "COLMAP model"
    place: Location  # the file or folder
    T_given_cam: dict[int, np.ndarray]  # frame -> [4, 4] float64
    pinhole: Pinhole | None = None
    is_metric: bool = False  # the form is one of odometry, which has metres; structure from motion has none
    num_without_frame: int = 0  # poses of images that are no frames of the drive


def check_rigid(pose: np.ndarray, place: str) -> np.ndarray:
    """The pose [4, 4] itself.

    Raises:
        InputError: it is no rotation and translation of finite numbers; `place` says where it stands.
    """
    if not np.isfinite(pose).all():
        raise InputError(f"{place}: expected finite numbers in the pose, got {pose[:3].ravel().tolist()}: remove it")
    if not is_rigid(pose):
        raise InputError(f"{place}: the pose is no rotation and translation: {why_not_rigid(pose)}")
    return pose


def quaternion_pose(xyzw: np.ndarray, position: np.ndarray, place: str) -> np.ndarray:
    """The pose [4, 4] of a quaternion [4] and a position [3].

    Raises:
        InputError: numbers that are not finite, or no unit quaternion; `place` says where they stand.
    """
    length = float(np.linalg.norm(xyzw))
    if not np.isfinite([*xyzw, *position]).all():
        raise InputError(f"{place}: expected finite numbers in the pose, got {[*position, *xyzw]}: remove it")
    if abs(length - 1) > _QUATERNION:
        raise InputError(f"{place}: a quaternion of length {length:g}, expected 1: check the order of the columns")
    pose = np.eye(4)
    x, y, z, w = xyzw / length
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = position
    return pose
