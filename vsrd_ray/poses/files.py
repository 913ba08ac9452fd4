"""Pose files of SLAM, odometry and structure from motion: KITTI's, KITTI-360's and TUM's form, and COLMAP's images.txt.

| numbers a line | form | pose |
|---|---|---|
| 12 | KITTI odometry; frame = line, from 0 | camera 0 to world, 3 x 4 |
| 13, 17 | KITTI-360: frame, then 3 x 4 or 4 x 4 | camera 0 to world |
| 8 | TUM: time (or frame), x y z, qx qy qz qw | camera 0 to world |
| images.txt | COLMAP: id, qw qx qy qz, x y z, camera, name; a line of points after each | world to the named image |

Cameras have x right, y down, z ahead. The world may be any, and so may be the scale: see `align`.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.drive import LAST_FRAME
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse, is_rigid, why_not_rigid
from vsrd_ray.poses.colmap import images_in_text
from vsrd_ray.poses.models import quaternion_pose
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

KITTI, KITTI360, TUM, COLMAP = "KITTI odometry", "KITTI-360", "TUM", "COLMAP"
_FORMS = {12: KITTI, 13: KITTI360, 17: KITTI360, 8: TUM}
_EPOCH = 1e8  # seconds; times from here on count from 1970, others from the first image
_DIGITS = re.compile("[0-9]+")


@dataclass(frozen=True)
class PoseFile:
    """Poses of a file, in a world of its own."""

    form: str
    poses: dict[int, np.ndarray]  # frame -> T_world_cam [4, 4] float64, in the file's unit

    @property
    def is_of_camera_0(self) -> bool:
        """Whether the poses are of a dataset's camera 0, else of the camera whose images are named."""
        return self.form != COLMAP


def read_pose_file(path: Location, *, camera: str, times_s: Mapping[int, float]) -> PoseFile:
    """The poses in a file, of whichever form it has.

    Args:
        path: the file.
        camera: whose images count in COLMAP's form, where names hold the folders of several cameras.
        times_s: frame -> seconds since 1970 of the drive's images, which TUM's form needs; may be empty.

    Raises:
        InputError: no such file, none of these forms, a value that cannot be used, or two poses of one frame.
    """
    lines = _lines(path)
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not filled:
        raise InputError(f"{path}: no pose in the file: restore it")
    first = filled[0][1].split()
    if len(first) >= 10 and not _is_number(first[9]):
        return PoseFile(COLMAP, _colmap(path, camera))
    if (form := _FORMS.get(len(first))) is None:
        comma = ": write spaces between them, not commas" if "," in filled[0][1] else ""
        raise InputError(
            f"{path}, line {filled[0][0]}: {len(first)} numbers are no pose{comma}. Give 12 a line (KITTI odometry), "
            "a frame and 12 or 16 (KITTI-360), time x y z qx qy qz qw (TUM), or COLMAP's images.txt"
        )
    poses: dict[int, np.ndarray] = {}
    rows = [(number, _numbers(line, len(first), f"{path}, line {number}")) for number, line in filled]
    if form == TUM:
        rows = _with_frames(path, rows, times_s)
    elif form == KITTI:
        rows = [(number, np.append(place, row)) for place, (number, row) in enumerate(rows)]
        if filled[-1][0] - filled[0][0] != len(filled) - 1:
            raise InputError(f"{path}: a blank line or a comment between poses, whose lines are frames: remove it")
    for number, row in rows:
        place = f"{path}, line {number}"
        _add(
            poses,
            _frame(row[0], place),
            quaternion_pose(row[4:], row[1:4], place) if form == TUM else _matrix(row[1:]),
            place,
        )
    return PoseFile(form, poses)


def _lines(path: Location) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"no pose file {path}: check the path") from None
    except (IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path}: expected a file of poses, got a folder: give the file") from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: expected lines of numbers, got a file that is no text: convert it, as COLMAP's "
            "model_converter does with --output_type TXT"
        ) from None


def _numbers(line: str, count: int, place: str) -> np.ndarray:
    tokens = line.split()
    try:
        values = np.array([float(token) for token in tokens])
    except ValueError as error:
        raise InputError(f"{place}: expected {count} numbers, got {error}: restore the file") from None
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(f"{place}: expected {count} finite numbers as in the first line, got {line.strip()[:60]!r}")
    return values


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def _frame(number: float, place: str) -> int:
    if not float(number).is_integer() or not 0 <= number <= LAST_FRAME:
        raise InputError(f"{place}: expected a whole frame number from 0 to {LAST_FRAME}, got {number:g}")
    return int(number)


def _add(poses: dict[int, np.ndarray], frame: int, pose: np.ndarray, place: str) -> None:
    if not is_rigid(pose):
        raise InputError(f"{place}: the pose of frame {frame} is no rotation and translation: {why_not_rigid(pose)}")
    if frame in poses:
        raise InputError(f"{place}: another pose of frame {frame}: remove one of them")
    poses[frame] = pose


def _matrix(
    values: np.ndarray,  # [12] or [16]
) -> np.ndarray:
    pose = np.eye(4)
    rows = values.reshape(-1, 4)
    pose[: len(rows)] = rows
    return pose


def _with_frames(
    path: Location, rows: list[tuple[int, np.ndarray]], times_s: Mapping[int, float]
) -> list[tuple[int, np.ndarray]]:
    """TUM's rows with the frame in the place of the time: that of the image nearest in time, or the time itself."""
    times = np.array([row[0] for _, row in rows])
    if (times == np.round(times)).all():
        return rows
    if len(times_s) < 2:
        raise InputError(
            f"{path}: the drive has no times of images, which would tell the frames of times such as {times[0]:.6f}: "
            "put frame numbers in the first column"
        )
    frames = np.array(sorted(times_s))
    of_images = np.array([times_s[frame] for frame in frames.tolist()])
    if times.max() < _EPOCH <= of_images[0]:
        times = times + of_images[0]
    spacing = float(np.median(np.diff(of_images)))
    nearest = np.abs(times[:, None] - of_images).argmin(axis=1)
    is_near = np.abs(times - of_images[nearest]) < spacing / 2
    if is_near.sum() < len(rows) / 2:
        raise InputError(
            f"{path}: {len(rows) - is_near.sum()} of {len(rows)} poses are of times at which the drive has no image: "
            "check that it is of this drive, or put frame numbers in the first column"
        )
    if not is_near.all():
        logger.warning("%s: %d poses are of no image, and are left out.", path, (~is_near).sum())
    return [
        (number, np.append(frames[place], row[1:]))
        for (number, row), place, near in zip(rows, nearest, is_near, strict=True)
        if near
    ]


def _colmap(path: Location, camera: str) -> dict[int, np.ndarray]:
    images = list(images_in_text(path))
    of_camera = [image for image in images if camera in image.name.split("/")[:-1]]
    poses: dict[int, np.ndarray] = {}
    for image in of_camera or images:
        digits = _DIGITS.findall(image.name.rsplit("/", 1)[-1].rsplit(".", 1)[0])
        if not digits:
            raise InputError(f"{image.place}: no frame number in the name {image.name!r}: number the images")
        _add(poses, int(digits[-1]), inverse(image.T_cam_world), image.place)
    return poses
