"""Times of a drive's images: times.txt, a line each, in seconds or as date and time."""

from datetime import UTC, datetime
from itertools import pairwise

from vsrd_ray.datasets.folder import paths
from vsrd_ray.datasets.folder.frames import Frames
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, read_bytes


def read_times(folder: Location, frames: Frames) -> dict[int, float]:
    """Seconds of frames: of times.txt or, without one, of images that are named by their times, or of the video.

    Raises:
        InputError: a line is no time, times do not grow, or there are fewer lines than frames.
    """
    path = paths.times_file(folder)
    if path is None:
        return frames.times_s
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: no text: write a time a line, or remove it") from None
    rows = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()[:1] not in ("", "#")]
    times = [_seconds(line, f"{path}, line {number}") for number, line in rows]
    for (before, after), (number, _) in zip(pairwise(times), rows[1:], strict=False):
        if after <= before:
            raise InputError(f"{path}, line {number}: {after:.6f} is no later than {before:.6f}: times must grow")
    return dict(zip(frames.of_lines(len(times), place=path), times, strict=True))


def _seconds(text: str, place: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise InputError(
            f"{place}: {text[:40]!r} is no time: write seconds, or dates as 2026-01-31 12:00:00.25"
        ) from None
