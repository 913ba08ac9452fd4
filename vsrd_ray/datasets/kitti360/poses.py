"""Poses of the rectified camera 0, from `data_poses/<sequence>/cam0_to_world.txt`."""

import numpy as np

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location

NUMBERS_PER_LINE = 17  # frame, and a row-major 4 x 4 matrix


def read_poses(root: Location, sequence: str) -> dict[int, np.ndarray]:
    """`T_world_cam0` [4, 4] float64, metres, for every frame in the file, in its order.

    Frames may be missing (the car stood still), and lines may hold tabs or end with spaces. Nothing is rounded:
    positions kilometres from the origin keep every digit of the file.

    Raises:
        InputError: no such file, a line with another count of numbers, or something that is no number.
    """
    path = paths.poses_file(root, sequence)
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise InputError(f"no poses file {path}: download KITTI-360's poses into the root folder") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected lines of numbers, got a file that is no text: download it again") from None
    poses = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            frame, pose = _parse(line, f"{path}, line {number}")
            poses[frame] = pose
    if not poses:
        raise InputError(f"{path}: no pose in the file: restore it")
    return poses


def _parse(line: str, place: str) -> tuple[int, np.ndarray]:
    tokens = line.split()
    if len(tokens) != NUMBERS_PER_LINE:
        raise InputError(
            f"{place}: expected {NUMBERS_PER_LINE} numbers (frame, 4 x 4 matrix), got {len(tokens)}: restore the file"
        )
    try:
        frame, values = int(tokens[0]), [float(token) for token in tokens[1:]]
    except ValueError as error:
        raise InputError(f"{place}: expected a frame and 16 numbers, got {error}: restore the file") from None
    pose = np.array(values, dtype=np.float64).reshape(4, 4)
    if not np.isfinite(pose).all():
        raise InputError(f"{place}: expected finite numbers, got {' '.join(tokens[1:])!r}: remove the line")
    return frame, pose
