import numpy as np
import pytest
import slow_average_precision as slow
from builders import make_index, make_labels
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.evaluation import evaluate_run
from vsrd_ray.labels.boxes.evaluation.kitti360 import IOUS, window_ap, window_verdicts
from vsrd_ray.labels.boxes.windows import Window

CAR = (4.0, 2.0, 1.5)
WINDOWS = [Window(0, 10), Window(8, 20)]


def label(instance, x, *, frame=0, confidence=0.5, y=0.0, **others):
    row = {"frame": frame, "instance_id": instance, "class_name": "car", "confidence": confidence, "yaw_world": 0.0}
    row |= dict(zip(("x_world", "y_world", "z_world"), (x, y, 0.0), strict=True))
    return row | dict(zip(("length", "width", "height"), CAR, strict=True)) | {"is_moving": False} | others


def truth_of(places, timestamps=None):
    """Cars 26000, 26001, … at places [N, 2]."""
    count = len(places)
    return TruthBoxes(
        instance_ids=26000 + np.arange(count),
        class_names=("car",) * count,
        boxes=UprightBoxes(
            np.concatenate([np.array(places, float).reshape(-1, 2), np.zeros((count, 1))], axis=1),
            np.tile(CAR, (count, 1)),
            np.zeros(count),
        ),
        timestamps=np.full(count, STATIC) if timestamps is None else np.array(timestamps),
    )


def index_of(shown, area=200):
    rows = ({"frame": frame, "instance_id": instance, "class_name": "car", "area": area} for frame, instance in shown)
    return make_index(*rows)


def judge(labels, truth, shown, *, class_name="car", area=200):
    """AP over .25 and .5, and the number of objects."""
    judged = window_verdicts(
        make_labels(*labels),
        truth,
        index=index_of(shown, area),
        windows=WINDOWS,
        class_name=class_name,
    )
    ap = window_ap(judged)
    return ap.ap_3d["0.25"], ap.ap_3d["0.5"], ap.num_objects


ONE, TWO = truth_of([(0, 0)]), truth_of([(0, 0), (20, 0)])
BOTH = [(0, 26000), (0, 26001)]


def test_a_perfect_and_an_empty_run():
    assert judge([label(26000, 0.0)], ONE, [(0, 26000)]) == (1.0, 1.0, 1)
    assert judge([], ONE, [(0, 26000)]) == (0.0, 0.0, 1)
    assert np.isnan(judge([label(26000, 0.0)], ONE, [])[0])


def test_iou_by_hand():
    # 2 m ahead of 4: IoU 1 / 3; 1.25 m: 2.75 / 5.25 = .52
    assert judge([label(26000, 2.0)], ONE, [(0, 26000)]) == (1.0, 0.0, 1)
    assert judge([label(26000, 1.25)], ONE, [(0, 26000)]) == (1.0, 1.0, 1)
    assert judge([label(26000, 2.5)], ONE, [(0, 26000)]) == (0.0, 0.0, 1)  # 1.5 / 6.5 = .23


def test_duplicates_are_false_even_beside_a_free_object():
    # at 1.6 m it overlaps the first car most, by .43, and the second, which no other label finds, by .26
    truth = truth_of([(0, 0), (4.0, 0)])
    labels = [label(26000, 0.0, confidence=0.9), label(26007, 1.6, confidence=0.8)]
    assert judge(labels, truth, BOTH)[0] == 0.5
    # what is less sure of the same car is false
    labels = [label(26000, 0.0, confidence=0.5), label(26005, 0.1, confidence=0.9), label(26001, 20.0, confidence=0.4)]
    ap = judge(labels, TWO, BOTH)
    assert ap[:2] == pytest.approx([0.5 + 0.5 * 2 / 3] * 2)


def test_an_instance_counts_once_in_each_window_that_shows_it():
    shown = [(0, 26000), (9, 26000), (15, 26001)]
    labels = [label(26000, 0.0, frame=frame) for frame in (0, 1, 9)] + [label(26001, 20.0, frame=15)]
    # 26000 in both windows, 26001 in the second
    assert judge(labels, TWO, shown) == (1.0, 1.0, 3)
    # without its label in frame 9, 26000 is missing in the second window
    assert judge([labels[0], labels[3]], TWO, shown)[0] == pytest.approx(2 / 3)


def test_objects_that_no_mask_shows_need_not_be_found():
    labels = [label(26000, 0.0, confidence=0.5), label(26001, 20.0, confidence=0.9)]
    assert judge(labels, TWO, [(0, 26000)]) == (1.0, 1.0, 1)
    assert np.isnan(judge(labels, TWO, BOTH, area=127)[0])
    assert judge(labels, TWO, BOTH, area=128) == (1.0, 1.0, 2)


def test_moving_objects_have_no_part():
    truth = truth_of([(0, 0), (20, 0)], timestamps=[STATIC, 0])
    assert judge([label(26000, 0.0)], truth, BOTH) == (1.0, 1.0, 1)
    moving = label(26001, 20.0, confidence=0.9, is_moving=True)
    assert judge([label(26000, 0.0), moving], truth, BOTH) == (1.0, 1.0, 1)
    assert judge([label(26000, 0.0), moving | {"is_moving": False}], truth, BOTH) == (0.5, 0.5, 1)


def test_classes_are_apart():
    labels = [label(26000, 0.0), label(27001, 20.0, confidence=0.9, class_name="truck")]
    assert judge(labels, ONE, [(0, 26000)]) == (1.0, 1.0, 1)
    assert np.isnan(judge(labels, ONE, [(0, 26000)], class_name="truck")[0])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31))
def test_equal_to_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 8))
    places = rng.uniform([0, 0], [25, 4], (count, 2))
    truth = truth_of(places)
    shown = [(int(frame), 26000 + int(rng.integers(0, count))) for frame in rng.integers(0, 21, 8)]
    labels = []
    for instance in range(26000, 26000 + count + 2):
        for frame in rng.choice(21, int(rng.integers(0, 4)), replace=False).tolist():
            x, y = places[rng.integers(0, count)] + rng.normal(0, 0.8, 2)
            # distinct confidences: which of two equal boxes is true means nothing, but the twin has its own order
            labels.append(label(instance, x, y=y, frame=frame, confidence=round(rng.random(), 6)))
    static = [(26000 + n, ((*places[n], 0.0), CAR, 0.0)) for n in range(count)]
    found = judge(labels, truth, shown)
    for place, iou in enumerate(IOUS):
        expected, num_objects = slow.window_ap(
            labels, static, shown, [(window.first, window.last) for window in WINDOWS], iou=iou
        )
        assert found[2] == num_objects
        assert found[place] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_a_run(write_run, label_row, truth_object):
    places = {26001: (10.0, 3.0, 0.0), 26002: (20.0, -2.0, 0.0)}
    truth = [truth_object(number, number % 10, center) for number, center in places.items()]
    rows = [label_row(2, 26001, places[26001], confidence=0.9), label_row(2, 26002, (23.0, -2, 0), confidence=0.8)]
    report = evaluate_run(*write_run(rows, truth))
    assert (report.num_windows, report.kitti360_ap["car"].num_objects) == (1, 2)
    assert report.kitti360_ap["car"].ap_3d == {"0.25": 0.5, "0.5": 0.5}
