"""Times of a camera's images: timestamps.txt beside its folder of images, a date and time a line."""

import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError, explained
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

# Seconds from a frame to the next, in the median over a drive, that any camera on a vehicle has.
_LEAST, _MOST = 0.002, 10.0
_JUMP, _JUMP_SECONDS = 20.0, 5.0  # median intervals, and seconds, beyond which a clock jumps
_LINE = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d+)?")


def read_times(root: Location, sequence: str, camera: str, frames: Iterable[int]) -> dict[int, float]:
    """Seconds since 1970 of frames; line k is of frame k. Nothing where there is no file.

    A file that lacks the time of any of the frames is not used, and a warning says so: speeds of half of the frames
    would be in another unit.

    Raises:
        InputError: the file cannot be read, a line is no date and time, times do not grow, or no camera takes images
            at such intervals.
    """
    file, wanted = paths.timestamps_file(root, sequence, camera), sorted(frames)
    if not file.exists():
        return {}
    times = all_times(root, sequence, camera)
    missing = [frame for frame in wanted if frame not in times]
    if missing:
        logger.warning("%s has no time of frame %d: velocities will be in metres per frame.", file, missing[0])
        return {}
    for before, after in pairwise(wanted):
        if times[after] <= times[before]:
            raise InputError(
                f"{file}, line {after + 1}: frame {after} is no later than frame {before}: "
                "put the dataset's own file there, or remove it"
            )
    _check_intervals(file, {frame: times[frame] for frame in wanted})
    return {frame: times[frame] for frame in wanted}


def all_times(root: Location, sequence: str, camera: str) -> dict[int, float]:
    """Seconds since 1970 of the frames of all lines that are not blank. Nothing where there is no file.

    Raises:
        InputError: the file cannot be read, or a line is no date and time.
    """
    file = paths.timestamps_file(root, sequence, camera)
    if not file.exists():
        return {}
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(explained(error)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: no text: put the dataset's own file there, or remove it") from error
    return {number: _seconds(file, number, line) for number, line in enumerate(lines) if line.strip()}


def _check_intervals(file: Location, times: dict[int, float]) -> None:
    """Refuse times in another unit, and say where a clock jumps."""
    intervals = {(a, b): (times[b] - times[a]) / (b - a) for a, b in pairwise(times)}
    if not intervals:
        return
    usual = median(intervals.values())
    if not _LEAST <= usual <= _MOST:
        raise InputError(
            f"{file}: frames are {usual:g} s apart, expected {_LEAST:g} to {_MOST:g} s: put the dataset's own file "
            "there, with fractions of a second, or remove it"
        )
    jumps = [pair for pair, interval in intervals.items() if interval > max(_JUMP * usual, _JUMP_SECONDS)]
    if jumps:
        before, after = jumps[0]
        logger.warning(
            "%s: the clock jumps by %.0f s between frames %d and %d: velocities there may be wrong.",
            file,
            times[after] - times[before],
            before,
            after,
        )


def _seconds(file: Location, number: int, line: str) -> float:
    match = _LINE.fullmatch(line.strip())
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError(
            f"{file}, line {number + 1}: {line[:40]!r} is no date and time such as 2013-05-28 08:46:02.904000000: "
            "put the dataset's own file there, or remove it"
        ) from error
    return moment.timestamp() + float(match[2] or 0)
