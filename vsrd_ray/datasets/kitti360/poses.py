"""Poses of the rectified camera 0, from `data_poses/<sequence>/cam0_to_world.txt`."""

import logging

import numpy as np

from vsrd_ray.data.drive import LAST_FRAME
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import is_rigid, why_not_rigid
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

NUMBERS_PER_LINE = 17  # frame, and a row-major 4 x 4 matrix

# What lines with other counts of numbers are, and the fix.
_OTHER_COUNTS = {
    12: "a 3 x 4 matrix without its frame, as KITTI's odometry has it: add the frame before it and 0 0 0 1 after it",
    13: "a 3 x 4 matrix, as poses.txt has it, which holds the vehicle's (IMU's) poses: give cam0_to_world.txt",
    16: "a 4 x 4 matrix without its frame: add the frame number before it",
    8: "a time stamp, a position and a quaternion, as TUM's form has it: convert it to a frame and a 4 x 4 matrix",
}


def read_poses(root: Location, sequence: str) -> dict[int, np.ndarray]:
    """`T_world_cam0` [4, 4] float64, metres, for every frame in the file, in its order.

    Frames may be missing (the car stood still), and lines may hold tabs or end with spaces. Nothing is rounded:
    positions kilometres from the origin keep every digit of the file.

    Raises:
        InputError: no such file, a line with another count of numbers, something that is no number, a matrix that is
            no rigid motion, or a frame with two poses.
    """
    return read_pose_file(paths.poses_file(root, sequence))


def read_pose_file(path: Location) -> dict[int, np.ndarray]:
    """`T_world_sensor` [4, 4] of every frame of a file in the form of cam0_to_world.txt; see `read_poses`.

    Raises:
        InputError: see `read_poses`.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"no poses file {path}: download KITTI-360's poses into the root folder") from None
    except (IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path}: expected a file, got a folder: put the file of that name there") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected lines of numbers, got a file that is no text: download it again") from None
    poses: dict[int, np.ndarray] = {}
    places: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        frame, pose = _parse(line, f"{path}, line {number}")
        if frame in poses and not np.array_equal(poses[frame], pose):
            raise InputError(
                f"{path}, line {number}: another pose of frame {frame}, which line {places[frame]} has already: "
                "remove one of them"
            )
        poses[frame], places[frame] = pose, number
    if not poses:
        raise InputError(f"{path}: no pose in the file: restore it")
    T_world_cam0 = np.stack(list(poses.values()))
    if not is_rigid(T_world_cam0).all():
        frame = list(poses)[int(np.argmin(is_rigid(T_world_cam0)))]
        raise InputError(
            f"{path}, line {places[frame]}: the pose of frame {frame} is no rotation and translation: "
            f"{why_not_rigid(poses[frame])}"
        )
    if list(poses) != sorted(poses):
        logger.warning("%s: lines are not in the order of their frames; each is taken by its frame number.", path)
    return poses


def _parse(line: str, place: str) -> tuple[int, np.ndarray]:
    tokens = line.split()
    if len(tokens) != NUMBERS_PER_LINE:
        expected = f"{place}: expected {NUMBERS_PER_LINE} numbers (frame, 4 x 4 matrix), got {len(tokens)}"
        if "," in line or ";" in line:
            raise InputError(f"{expected}: write spaces between them, not commas or semicolons")
        raise InputError(f"{expected}: {_OTHER_COUNTS.get(len(tokens), 'restore the file')}")
    try:
        values = [float(token) for token in tokens[1:]]
        frame = _frame(tokens[0], place)
    except ValueError as error:
        raise InputError(f"{place}: expected a frame and 16 numbers, got {error}: restore the file") from None
    pose = np.array(values, dtype=np.float64).reshape(4, 4)
    if not np.isfinite(pose).all():
        raise InputError(f"{place}: expected finite numbers, got {' '.join(tokens[1:])!r}: remove the line")
    return frame, pose


def _frame(token: str, place: str) -> int:
    """A frame number, however it is written: 3, 3.0 or 3.000e+00."""
    number = float(token)
    if not number.is_integer() or not 0 <= number <= LAST_FRAME:
        raise InputError(
            f"{place}: expected a whole frame number from 0 to {LAST_FRAME}, got {token}: number the frames, and "
            "name the files of masks and images alike"
        )
    return int(number)
