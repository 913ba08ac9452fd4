"""Times of a stream: timestamps.txt beside its folder."""

import numpy as np

from vsrd_ray.data.timestamps import check_growing, read_timestamps
from vsrd_ray.storage import Location


def read_times(file: Location) -> dict[int, float]:
    """Seconds since 1970, as if the clock were UTC's, by frame; lines may be blank. Nothing where there is no file.

    Raises:
        InputError: the file cannot be read, a line is no date and time, or times do not grow.
    """
    times = read_timestamps(file)
    check_growing(times, file)
    return times


def filled(times: dict[int, float], frames: list[int]) -> dict[int, float]:
    """Times of frames, with those that are missing between two others put in evenly; nothing where one is not between.

    Cameras are triggered evenly, to 0.3 % of the spacing.
    """
    if not frames or not times or frames[0] < min(times) or frames[-1] > max(times):
        return {}
    seconds = np.interp(frames, list(times), list(times.values()))
    return dict(zip(frames, seconds.tolist(), strict=True))
