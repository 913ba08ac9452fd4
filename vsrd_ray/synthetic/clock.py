"""When things happen on the street: the drive begins at the date of KITTI-360's recordings."""

from datetime import UTC, datetime, timedelta

from vsrd_ray.synthetic.settings import FRAME_PERIOD

_START = datetime(2013, 5, 28, 8, 46, 2, tzinfo=UTC)


def microseconds(time: float) -> int:
    """A time (s since the first frame) as microseconds since 1970."""
    return round(_START.timestamp()) * 1_000_000 + round(time * 1e6)


def timestamps_text(frames: int, delay: float = 0.0) -> str:
    """timestamps.txt of a sensor that is read `delay` seconds after every frame: a date and time a line."""
    moments = (_START + timedelta(microseconds=round((k * FRAME_PERIOD + delay) * 1e6)) for k in range(frames))
    return "".join(f"{moment:%Y-%m-%d %H:%M:%S.%f}000\n" for moment in moments)
