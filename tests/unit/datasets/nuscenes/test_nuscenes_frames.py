"""How readings are numbered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.datasets.nuscenes.frames import number_frames


def numbered(keyframes, is_key, times):
    return number_frames(np.array(keyframes), np.array(is_key), np.array(times)).tolist()


def test_keyframes_have_hundreds_and_sweeps_their_share_of_the_way() -> None:
    # a LiDAR at 20 Hz and a camera at 12 Hz, with keyframes every half second
    lidar = np.arange(21) * 50_000
    assert numbered(-(-np.arange(21) // 10), np.arange(21) % 10 == 0, lidar) == list(range(0, 201, 10))
    camera = np.arange(13) * 1_000_000 // 12 + 31_000
    assert numbered(-(-np.arange(13) // 6), np.arange(13) % 6 == 0, camera)[:8] == [0, 17, 33, 50, 67, 83, 100, 117]


def test_sweeps_after_the_last_keyframe_go_on_as_before() -> None:
    assert numbered([0, 1, 1, 1], [True, True, False, False], [0, 1000, 1250, 2500]) == [0, 100, 125, 250]
    assert numbered([3, 3], [True, False], [0, 50_000]) == [300, 310]  # of one keyframe alone: at 2 Hz


def test_sweeps_before_the_first_keyframe_have_no_frame() -> None:
    assert numbered([0, 0, 1], [False, True, True], [-10, 0, 1000]) == [-1, 0, 100]


def test_only_keyframes_have_hundreds() -> None:
    # the second sample has no reading of this sensor, and a sweep at its time
    assert numbered([0, 2, 2], [True, False, True], [0, 500, 1000]) == [0, 101, 200]
    assert numbered([0, 1, 1], [True, False, True], [0, 1, 1000]) == [0, 1, 100]


@given(st.lists(st.integers(1, 300_000), min_size=1, max_size=60), st.data())
def test_numbers_ascend_and_tell_keyframes(steps: list[int], data) -> None:
    times = np.cumsum(steps)
    is_key = np.array(data.draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps))))
    is_key[0] = True
    keyframes = np.maximum(np.cumsum(is_key) - is_key, 0)
    try:
        frames = number_frames(keyframes, is_key, times)
    except ValueError:
        return  # crowded: told
    assert (np.diff(frames) > 0).all()
    np.testing.assert_array_equal(frames % 100 == 0, is_key)
    np.testing.assert_array_equal(frames[is_key] // 100, keyframes[is_key])


@pytest.mark.parametrize(
    ("keyframes", "is_key", "times", "message"),
    [
        ([0, 0], [False, False], [0, 1], "has no keyframe"),
        ([0, 0], [True, True], [0, 1], "two for one sample"),
        ([1, 0], [True, True], [0, 1], "out of order"),
        ([0] + [1] * 101, [True, *[False] * 100, True], list(range(102)), "more than 99 sweeps"),
    ],
)
def test_what_cannot_be_numbered(keyframes, is_key, times, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        numbered(keyframes, is_key, times)
