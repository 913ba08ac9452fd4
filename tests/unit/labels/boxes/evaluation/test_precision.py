from functools import partial

import numpy as np
import pytest
import slow_average_precision as slow
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.labels.boxes.evaluation.precision import (
    FALSE,
    NEITHER,
    R11,
    TRUE,
    Verdicts,
    area_under_envelope,
    average_precisions,
    concatenate_verdicts,
    mean_over_recalls,
)

at_eleven = partial(mean_over_recalls, levels=R11)


def judged(pairs, num_objects):
    scores, verdicts = zip(*pairs, strict=True) if pairs else ((), ())
    return Verdicts(np.array(scores, float), np.array(verdicts, np.int8), np.array(num_objects))


@pytest.mark.parametrize(
    ("pairs", "num_objects", "r40", "area"),
    [
        ([(0.9, TRUE), (0.8, TRUE)], 2, 1.0, 1.0),
        ([], 2, 0.0, 0.0),
        ([(0.9, FALSE)], 2, 0.0, 0.0),
        # half is found, at precision 1
        ([(0.9, TRUE), (0.8, FALSE)], 2, 0.5, 0.5),
        # recall .5 at precision 1/2, recall 1 at 2/3, which the envelope takes back to .5
        ([(0.9, FALSE), (0.8, TRUE), (0.7, TRUE)], 2, 2 / 3, 2 / 3),
        # precision 1 up to recall .5, then 2/3
        ([(0.9, TRUE), (0.8, FALSE), (0.7, TRUE)], 2, (1 + 2 / 3) / 2, (1 + 2 / 3) / 2),
        # one of three found: 13 of the 40 levels lie at or below 1/3
        ([(0.9, TRUE)], 3, 13 / 40, 1 / 3),
        # equal scores come together, whichever comes first
        ([(0.9, FALSE), (0.9, TRUE)], 1, 0.5, 0.5),
        ([(0.9, TRUE), (0.9, FALSE)], 1, 0.5, 0.5),
        # what counts for nothing changes nothing
        ([(0.9, NEITHER), (0.8, TRUE), (0.8, NEITHER)], 1, 1.0, 1.0),
        # order of the detections means nothing
        ([(0.7, TRUE), (0.8, FALSE), (0.9, TRUE)], 2, (1 + 2 / 3) / 2, (1 + 2 / 3) / 2),
    ],
)
def test_cases_by_hand(pairs, num_objects, r40, area):
    one = judged(pairs, num_objects)
    assert average_precisions(one, mean_over_recalls) == pytest.approx(r40)
    assert average_precisions(one, area_under_envelope) == pytest.approx(area)


def test_eleven_recalls_begin_with_none():
    """Recall 0 has the best precision at all, and recall 1 counts once in eleven."""
    assert average_precisions(judged([(0.9, FALSE), (0.8, TRUE)], 2), at_eleven) == pytest.approx(6 / 11 / 2)
    assert average_precisions(judged([(0.9, TRUE)], 2), at_eleven) == pytest.approx(6 / 11)
    assert average_precisions(judged([(0.9, FALSE)], 2), at_eleven) == 0.0


def test_forty_levels_are_all_reached_by_as_many_objects():
    one = judged([(1 - k / 100, TRUE) for k in range(40)], 40)
    assert average_precisions(one, mean_over_recalls) == 1.0
    missing = judged([(1 - k / 100, TRUE) for k in range(39)], 40)
    assert average_precisions(missing, mean_over_recalls) == pytest.approx(39 / 40)


@pytest.mark.parametrize("pairs", [[], [(0.5, FALSE)], [(0.5, NEITHER)]])
def test_no_object_has_no_precision(pairs):
    assert np.isnan(average_precisions(judged(pairs, 0), mean_over_recalls))
    assert np.isnan(average_precisions(judged(pairs, 0), area_under_envelope))


def test_ways_of_judging_are_apart_and_sequences_together():
    a = Verdicts(np.array([0.9]), np.array([[TRUE, FALSE]], np.int8), np.array([1, 1]))
    b = Verdicts(np.array([0.8]), np.array([[FALSE, TRUE]], np.int8), np.array([0, 1]))
    both = concatenate_verdicts([a, b])
    assert both.num_objects.tolist() == [1, 2]
    np.testing.assert_allclose(average_precisions(both, area_under_envelope), [1.0, 0.25])


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([TRUE, FALSE, NEITHER])), max_size=60),
    st.integers(0, 20),
)
def test_equal_to_slow_twins(pairs, num_missing):
    pairs = [(score / 12, verdict) for score, verdict in pairs]
    counted = [(score, verdict == TRUE) for score, verdict in pairs if verdict != NEITHER]
    num_objects = sum(is_true for _, is_true in counted) + num_missing
    one = judged(pairs, num_objects)
    for summary, twin in (
        (mean_over_recalls, slow.mean_precision_at_recalls),
        (at_eleven, slow.mean_precision_at_eleven_recalls),
        (area_under_envelope, slow.area_under_envelope),
    ):
        expected = twin(counted, num_objects)
        assert average_precisions(one, summary) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(5))
def test_near_what_kittis_own_program_samples(seed):
    """Sampled at scores, by thousands of objects: the same but for a step of recall at either end."""
    rng = np.random.default_rng(seed)
    scores = rng.random(3000)
    is_true = rng.random(3000) < scores
    num_objects = int(is_true.sum() / rng.uniform(0.5, 1.0))
    one = Verdicts(scores, np.where(is_true, TRUE, FALSE).astype(np.int8), np.array(num_objects))
    ours = [float(average_precisions(one, summary)) for summary in (mean_over_recalls, at_eleven)]
    sampled = slow.sampled_ap(list(zip(scores.tolist(), is_true.tolist(), strict=True)), num_objects)
    assert (np.abs(np.subtract(ours, sampled)) <= (1 / 40, 1 / 11)).all()
    assert min(ours) > 0.3 and max(ours) < 1
