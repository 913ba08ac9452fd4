import numpy as np
import pytest

from vsrd_ray.labels.points.tracks import track

PERIOD = 0.5  # s


def tracks_of(paths, names, *, jitter=0.0, lost=()):
    """Tracks [objects, frames] of objects on paths [objects, frames, 2]; -1 where one is `lost` (object, frame)."""
    paths = np.asarray(paths, dtype=float)
    rng = np.random.default_rng(0)
    order = [(f, o) for f in range(paths.shape[1]) for o in range(paths.shape[0]) if (o, f) not in lost]
    frames, objects = np.array(order).T
    xy = paths[objects, frames] + rng.normal(0, jitter, (len(order), 2))
    times = {frame: frame * PERIOD for frame in range(paths.shape[1])}
    found = np.full(paths.shape[:2], -1)
    found[objects, frames] = track(frames, times, np.array(names, dtype=object)[objects], xy)
    return found


def straight(start, speed, frames=10):
    return np.array(start) + np.arange(frames)[:, None] * PERIOD * np.array(speed)


def test_parked_cars_keep_their_ids_though_their_visible_middles_wander():
    paths = [straight((0, 5.0 * place), (0, 0)) for place in range(6)]
    found = tracks_of(paths, ["car"] * 6, jitter=0.5)
    np.testing.assert_array_equal(found, np.arange(6)[:, None].repeat(10, 1))


def test_cars_that_pass_each_other_keep_their_ids():
    paths = [straight((0, 0), (10, 0)), straight((45, 3.5), (-10, 0)), straight((20, 8), (0, 0))]
    found = tracks_of(paths, ["car"] * 3, jitter=0.2)
    assert [len(set(row)) for row in found.tolist()] == [1, 1, 1]


def test_an_object_that_is_hidden_for_a_while_comes_back_as_itself():
    found = tracks_of([straight((0, 0), (8, 0))], ["car"], lost={(0, 4), (0, 5)})
    assert set(found[0]) == {0, -1}


def test_an_object_that_was_away_for_long_is_another_one():
    found = tracks_of([straight((0, 0), (0, 0), frames=12)], ["car"], lost={(0, frame) for frame in range(3, 9)})
    assert found[0, [0, 2, 9, 11]].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("names", "is_same"), [(("car", "truck"), True), (("car", "pedestrian"), False)])
def test_classes_that_are_taken_for_each_other_can_be_one_object(names, is_same):
    found = track(np.array([0, 1]), {0: 0.0, 1: 0.5}, np.array(names, dtype=object), np.zeros((2, 2)))
    assert (found[0] == found[1]) == is_same


def test_no_two_clusters_of_a_frame_have_one_id():
    found = track(np.array([0, 1, 1]), {0: 0.0, 1: 0.5}, np.array(["car"] * 3, dtype=object), np.zeros((3, 2)))
    assert len(set(found[1:])) == 2


def test_a_drive_without_clusters_has_no_track():
    assert len(track(np.zeros(0, dtype=int), {}, np.zeros(0, dtype=object), np.zeros((0, 2)))) == 0
