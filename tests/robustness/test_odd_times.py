"""Times of images that no camera has: holes, other units, clocks that go back or jump."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.times import read_times
from vsrd_ray.errors import InputError

SEQUENCE, CAMERA, FRAMES = "2013_05_28_drive_0000_sync", "image_00", range(8)


def lines(*seconds: float) -> list[str]:
    return [f"{datetime(2013, 5, 28, 8) + timedelta(seconds=one):%Y-%m-%d %H:%M:%S.%f}000" for one in seconds]


@pytest.fixture
def read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[[list[str]], tuple[dict[int, float], str]]:
    """Reads the times of 8 frames from some lines; gives these and what was said."""

    def run(some: list[str]) -> tuple[dict[int, float], str]:
        file = Path(paths.timestamps_file(tmp_path, SEQUENCE, CAMERA))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(some))
        return read_times(tmp_path, SEQUENCE, CAMERA, FRAMES), caplog.text

    return run


SOUND = lines(*(0.1 * frame for frame in FRAMES))


@pytest.mark.parametrize("some", [SOUND, [*SOUND, *lines(*range(60, 70))], [one.replace(" ", "T") for one in SOUND]])
def test_times_of_a_camera_are_read_without_a_word(read, some):
    times, said = read(some)
    assert list(times) == list(FRAMES) and not said
    assert times[7] - times[0] == pytest.approx(0.7, abs=1e-5)


@pytest.mark.parametrize("some", [SOUND[:5], [*SOUND[:3], "", *SOUND[4:]], []])
def test_holes_are_told_and_no_time_counts(read, some):
    times, said = read(some)
    assert times == {} and "velocities will be in metres per frame" in said


@pytest.mark.parametrize(
    ("some", "words"),
    [
        (SOUND[::-1], "frame 1 is no later than frame 0"),
        ([SOUND[0]] * 8, "frame 1 is no later than frame 0"),
        ([*lines(5), *SOUND[1:]], "line 2: frame 1 is no later"),
        (lines(*(1e-4 * frame for frame in FRAMES)), "s apart, expected 0.002 to 10 s"),
        (lines(*(100 * frame for frame in FRAMES)), "frames are 100 s apart"),
        ([str(1369730762904 + 100 * frame) for frame in FRAMES], "line 1: '1369730762904' is no date and time"),
        ([*SOUND[:7], "2013-05-28 08:46:60.5"], "line 8"),
    ],
)
def test_times_that_no_camera_has_are_refused(read, some, words):
    with pytest.raises(InputError, match=words) as caught:
        read(some)
    assert "or remove it" in str(caught.value)


def test_a_clock_that_jumps_is_told(read):
    times, said = read([*SOUND[:4], *lines(*(3600 + 0.1 * frame for frame in range(4, 8)))])
    assert len(times) == 8 and "jumps by 3600 s between frames 3 and 4" in said


@given(seconds=st.lists(st.floats(0, 1e6), min_size=8, max_size=8))
def test_whatever_times_there_are_they_grow_or_are_refused(tmp_path_factory, seconds):
    folder = tmp_path_factory.mktemp("times")
    file = Path(paths.timestamps_file(folder, SEQUENCE, CAMERA))
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(lines(*seconds)))
    try:
        times = list(read_times(folder, SEQUENCE, CAMERA, FRAMES).values())
    except InputError as error:
        assert str(error).startswith(str(file))
    else:
        assert times == sorted(set(times)) and times[-1] - times[0] > 0.01
