import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.evaluation.assignment import (
    NOTHING,
    PlacedBoxes,
    assign,
    pair_ious,
    pairs_in_one_place,
    touching_pairs,
)


def assigned(pairs, *, order, is_wanted):
    columns = zip(*pairs, strict=True) if pairs else ((), (), ())
    detections, objects, overlaps = (np.array(column) for column in columns)
    chosen = assign(
        detections.astype(int),
        objects.astype(int),
        overlaps.astype(float),
        order=np.array(order, dtype=int),
        is_wanted=np.array(is_wanted, dtype=bool),
    )
    return chosen.tolist()


@pytest.mark.parametrize(
    ("pairs", "order", "is_wanted", "expected"),
    [
        ([], [0, 1], [True], [NOTHING, NOTHING]),
        # the first to choose takes what it overlaps most, the second what is left
        ([(0, 0, 0.9), (0, 1, 0.8), (1, 0, 0.95)], [0, 1], [True, True], [0, NOTHING]),
        ([(0, 0, 0.9), (0, 1, 0.8), (1, 0, 0.95)], [1, 0], [True, True], [1, 0]),
        # a wanted object comes before a better one that is not
        ([(0, 0, 0.9), (0, 1, 0.6)], [0], [False, True], [1]),
        ([(0, 0, 0.9), (0, 1, 0.6), (1, 1, 0.7)], [1, 0], [False, True], [0, 1]),
        # a chain: each takes its second choice
        ([(0, 0, 0.9), (1, 0, 0.8), (1, 1, 0.7), (2, 1, 0.6), (2, 2, 0.5)], [0, 1, 2], [True] * 3, [0, 1, 2]),
    ],
)
def test_cases_by_hand(pairs, order, is_wanted, expected):
    assert assigned(pairs, order=order, is_wanted=is_wanted) == expected


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12), st.floats(0, 1))
def test_equal_to_one_by_one(seed, num_detections, num_objects, density):
    rng = np.random.default_rng(seed)
    pairs = [
        (detection, thing, float(rng.integers(1, 8)))
        for detection in range(num_detections)
        for thing in range(num_objects)
        if rng.random() < density
    ]
    order, is_wanted = rng.permutation(num_detections).tolist(), (rng.random(num_objects) < 0.6).tolist()
    expected, left = [NOTHING] * num_detections, set(range(num_objects))
    for detection in order:
        choices = [(is_wanted[t], overlap, -t) for d, t, overlap in pairs if d == detection and t in left]
        if choices:
            expected[detection] = -max(choices)[2]
            left.remove(expected[detection])
    assert assigned(pairs, order=order, is_wanted=is_wanted) == expected


def test_pairs_are_those_of_one_place():
    a, b = np.array([3, 1, 3, 7]), np.array([1, 3, 2, 3, 1])
    pairs = list(zip(*(column.tolist() for column in pairs_in_one_place(a, b)), strict=True))
    assert pairs == [(0, 1), (0, 3), (1, 0), (1, 4), (2, 1), (2, 3)]


def random_boxes(rng, count):
    places = rng.integers(0, 4, count)
    centers, sizes = rng.uniform(-6, 6, (count, 3)), rng.uniform(1, 5, (count, 3))
    return PlacedBoxes(places, UprightBoxes(centers, sizes, rng.uniform(-4, 4, count)))


def test_no_pair_that_overlaps_is_left_out(monkeypatch):
    monkeypatch.setattr("vsrd_ray.labels.boxes.evaluation.assignment._CHUNK", 7)
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 60), random_boxes(rng, 40)
    pairs = touching_pairs(a, b)
    every = tuple(column.ravel() for column in np.meshgrid(np.arange(60), np.arange(40), indexing="ij"))
    overlaps = pair_ious(every, a, b)[1] * (a.places[every[0]] == b.places[every[1]])
    expected = {pair for pair, overlap in zip(zip(*every, strict=True), overlaps, strict=True) if overlap > 0}
    touching = set(zip(*pairs, strict=True))
    assert expected <= touching and len(expected) > 50 and len(touching) < 60 * 40 / 2


def test_nothing_pairs_with_nothing():
    rng = np.random.default_rng(0)
    for a, b in ((0, 5), (5, 0), (0, 0)):
        pairs = touching_pairs(random_boxes(rng, a), random_boxes(rng, b))
        assert [len(column) for column in pairs] == [0, 0]
