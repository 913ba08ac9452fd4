import numpy as np
import pytest

from vsrd_ray.labels.points.evaluation.panoptic import CLASS_STEP, MIN_POINTS, Panoptic
from vsrd_ray.labels.points.evaluation.tracking import Tubes

CAR, TRUCK, ROAD = 4, 10, 11


def label(number, instance):
    return number * CLASS_STEP + instance


def spread(*parts):
    """Labels of points: (label, how many) after each other."""
    return np.concatenate([np.full(count, one) for one, count in parts])


def test_small_segments_are_matched_but_never_missed_or_false():
    few = MIN_POINTS - 1
    true = spread((label(CAR, 1), few), (label(CAR, 2), few), (label(ROAD, 0), 2 * few))
    scores = Panoptic()
    scores.add(spread((label(CAR, 7), few), (0, 2 * few), (label(CAR, 8), few)), true)
    assert (scores.tp[CAR], scores.fp[CAR], scores.fn[CAR]) == (1, 0, 0)


def test_predictions_where_truth_is_void_cost_nothing():
    scores = Panoptic()
    scores.add(spread((label(CAR, 1), 100)), np.zeros(100, dtype=int))
    assert not scores.occurring.any()


def test_a_segment_of_another_class_is_no_match():
    scores = Panoptic()
    scores.add(spread((label(TRUCK, 1), 50)), spread((label(CAR, 1), 50)))
    assert (scores.fn[CAR], scores.fp[TRUCK]) == (1, 1)
    assert scores.pq.sum() == 0


def test_half_is_not_enough_to_match():
    scores = Panoptic()
    scores.add(spread((label(CAR, 1), 40), (0, 40)), spread((label(CAR, 1), 80)))
    assert scores.tp.sum() == 0


def test_ids_that_hold_over_sweeps_score_one_and_others_less():
    true = spread((label(CAR, 1), 30), (label(CAR, 2), 30))
    kept, swapped = Tubes(), Tubes()
    for sweep in range(2):
        first, second = (1, 2) if sweep == 0 else (2, 1)
        kept.add("drive", true, true)
        swapped.add("drive", spread((label(CAR, first), 30), (label(CAR, second), 30)), true)
    assert kept.values() == {"lstq": 1.0, "association": 1.0, "classes": 1.0}
    # Each tube shares 30 of 60 points with each of two: 2 * 30 * (30 / 90) / 60.
    assert swapped.values()["association"] == pytest.approx(1 / 3)


def test_drives_have_ids_of_their_own():
    tubes = Tubes()
    for drive in ("a", "b"):
        tubes.add(drive, spread((label(CAR, 1), 30)), spread((label(CAR, 1), 30)))
    assert tubes.values()["association"] == 1.0
