import numpy as np

from vsrd_ray.data.lookup import instance_keys, positions, split_keys


def test_keys_sort_by_frame_then_instance_and_come_apart_again():
    ids, frames = np.array([26001, 65535, 26001], dtype=np.int32), np.array([7, -1, 6], dtype=np.int32)
    keys = instance_keys(ids, frames)
    assert np.argsort(keys).tolist() == [1, 2, 0]
    again = split_keys(keys)
    assert (again[0].tolist(), again[1].tolist()) == (ids.tolist(), frames.tolist())


def test_one_frame_for_all():
    assert instance_keys(np.array([1, 2]), 3).tolist() == instance_keys(np.array([1, 2]), np.array([3, 3])).tolist()


def test_positions_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    keys, wanted = rng.integers(0, 30, 40), rng.integers(0, 40, 60)
    expected = [keys.tolist().index(key) if key in keys else -1 for key in wanted.tolist()]
    assert positions(keys, wanted).tolist() == expected


def test_nothing_is_found_in_nothing():
    assert positions(np.array([], dtype=np.int64), np.array([4, 5])).tolist() == [-1, -1]
