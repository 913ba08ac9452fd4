"""Times of a stream in KITTI's form: timestamps.txt, a date and time per line; line k, from 0, is of frame k."""

import re
from datetime import UTC, datetime
from itertools import pairwise

from vsrd_ray.errors import InputError, explained
from vsrd_ray.storage import Location

_LINE = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d+)?")


def read_timestamps(file: Location) -> dict[int, float]:
    """Seconds since 1970, as if the clock were UTC's, by frame; lines may be blank. Nothing where there is no file.

    Raises:
        InputError: the file cannot be read, or a line is no date and time.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(explained(error)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: no text: put the dataset's own file there, or remove it") from error
    return {number: _seconds(file, number, line) for number, line in enumerate(lines) if line.strip()}


def check_growing(times: dict[int, float], file: Location) -> None:
    """Refuse times, in the order of frames, that do not grow.

    Raises:
        InputError: a frame is no later than the one before.
    """
    for before, after in pairwise(times):
        if times[after] <= times[before]:
            raise InputError(
                f"{file}, line {after + 1}: frame {after} is no later than frame {before}: "
                "put the dataset's own file there, or remove it"
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
