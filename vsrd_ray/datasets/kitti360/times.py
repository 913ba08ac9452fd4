"""Times of a camera's images: timestamps.txt beside its folder of images, a date and time a line."""

import logging
from collections.abc import Iterable
from itertools import pairwise
from statistics import median

from vsrd_ray.data.timestamps import check_growing, read_timestamps
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

# Seconds from a frame to the next, in the median over a drive, that any camera on a vehicle has.
_LEAST, _MOST = 0.002, 10.0
_JUMP, _JUMP_SECONDS = 20.0, 5.0  # median intervals, and seconds, beyond which a clock jumps


def read_times(root: Location, sequence: str, camera: str, frames: Iterable[int]) -> dict[int, float]:
    """Seconds since 1970 of frames; line k is of frame k. Nothing where there is no file.

    A file that lacks the time of any of the frames is not used, and a warning says so: speeds of half of the frames
    would be in another unit.

    Raises:
        InputError: the file cannot be read, a line is no date and time, times do not grow, or no camera takes images
            at such intervals.
    """
    file, wanted = paths.timestamps_file(root, sequence, camera), sorted(frames)
    if not (times := read_timestamps(file)) and not file.exists():
        return {}
    missing = [frame for frame in wanted if frame not in times]
    if missing:
        logger.warning("%s has no time of frame %d: velocities will be in metres per frame.", file, missing[0])
        return {}
    times = {frame: times[frame] for frame in wanted}
    check_growing(times, file)
    _check_intervals(file, times)
    return times


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
