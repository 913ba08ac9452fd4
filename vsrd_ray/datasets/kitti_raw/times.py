"""Times of a stream: timestamps.txt beside its folder, a date and time a line; line k, from 0, is of frame k."""

import re
from datetime import UTC, datetime

import numpy as np

from vsrd_ray.errors import InputError, explained
from vsrd_ray.storage import Location

_LINE = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d+)?")


def read_times(file: Location) -> dict[int, float]:
    """Seconds since 1970, as if the clock were UTC's, by frame; lines may be blank. Nothing where there is no file.

    Raises:
        InputError: the file cannot be read, a line is no date and time, or times do not grow.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(explained(error)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: no text: put the dataset's own file there, or remove it") from error
    times = {number: _seconds(file, number, line) for number, line in enumerate(lines) if line.strip()}
    frames, seconds = list(times), np.array(list(times.values()))
    if len(late := np.flatnonzero(np.diff(seconds) <= 0)):
        frame, before = frames[late[0] + 1], frames[late[0]]
        raise InputError(
            f"{file}, line {frame + 1}: frame {frame} is no later than frame {before}: "
            "put the dataset's own file there, or remove it"
        )
    return times


def filled(times: dict[int, float], frames: list[int]) -> dict[int, float]:
    """Times of frames, with those that are missing between two others put in evenly; nothing where one is not between.

    Cameras are triggered evenly, to 0.3 % of the spacing.
    """
    if not frames or not times or frames[0] < min(times) or frames[-1] > max(times):
        return {}
    seconds = np.interp(frames, list(times), list(times.values()))
    return dict(zip(frames, seconds.tolist(), strict=True))


def _seconds(file: Location, number: int, line: str) -> float:
    match = _LINE.fullmatch(line.strip())
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError(
            f"{file}, line {number + 1}: {line[:40]!r} is no date and time such as 2011-09-26 13:02:25.961661696: "
            "put the dataset's own file there, or remove it"
        ) from error
    return moment.timestamp() + float(match[2] or 0)
