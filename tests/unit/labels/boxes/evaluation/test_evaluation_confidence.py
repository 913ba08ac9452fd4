import json
import math

import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.labels.boxes.evaluation import evaluate_run, format_report
from vsrd_ray.labels.boxes.evaluation.confidence import Kept, confidence_auc, precision_of_kept, reliability
from vsrd_ray.labels.boxes.evaluation.matching import Matches
from vsrd_ray.labels.boxes.evaluation.run import values_of
from vsrd_ray.labels.boxes.parquet import corrected_rows
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"
A, B = (10.0, 3.0, 0.0), (20.0, -2.0, 0.0)


def make_matches(confidences, ious):
    """Truths with these labels; no label where the confidence is NaN."""
    confidences, count = np.array(confidences, dtype=float), len(confidences)
    unused = np.full(count, np.nan)
    return Matches(
        frames=np.arange(count),
        instance_ids=np.arange(count),
        is_moving=np.zeros(count, bool),
        ranges=unused,
        visible_shares=unused,
        is_labelled=~np.isnan(confidences),
        confidences=confidences,
        iou_3d=np.array(ious, dtype=float),
        iou_bev=unused,
        official_iou_3d=unused,
        official_iou_bev=unused,
        center_distances=unused,
        size_errors_lwh=np.full((count, 3), np.nan),
        yaw_errors=unused,
    )


@pytest.mark.parametrize(
    ("confidences", "ious", "auc"),
    [
        ([0.9, 0.8, 0.2, 0.1], [0.9, 0.6, 0.4, 0.1], 1.0),
        ([0.1, 0.2, 0.8, 0.9], [0.9, 0.6, 0.4, 0.1], 0.0),
        ([0.9, 0.5, 0.7, 0.1], [0.9, 0.6, 0.4, 0.1], 0.75),  # one of four pairs is in the wrong order
        ([0.5, 0.5, 0.5, 0.5], [0.9, 0.6, 0.4, 0.1], 0.5),
        ([0.9, 0.5, 0.5], [0.9, 0.6, 0.4], 0.75),  # a pair in order and a tie
        ([0.9, 0.1], [0.51, 0.5], 1.0),  # .5 itself is not over .5
        ([0.9, 0.1, math.nan, math.nan], [0.9, 0.4, 0.0, 0.0], 1.0),  # what has no label has no part in it
    ],
)
def test_auc_is_the_share_of_pairs_in_order(confidences, ious, auc):
    assert confidence_auc(make_matches(confidences, ious)) == pytest.approx(auc)


@pytest.mark.parametrize("ious", [[0.9, 0.6], [0.4, 0.1], []])
def test_auc_of_one_kind_is_unknown(ious):
    assert math.isnan(confidence_auc(make_matches([0.5] * len(ious), ious)))


def test_auc_equals_a_slow_twin():
    rng = np.random.default_rng(0)
    confidences, ious = rng.integers(0, 20, 80) / 20, rng.random(80)
    pairs = [(a, b) for a, i in zip(confidences, ious, strict=True) if i > 0.5 for b in confidences[ious <= 0.5]]
    expected = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert confidence_auc(make_matches(confidences, ious)) == pytest.approx(expected)


def test_reliability_is_by_tenths():
    table = reliability(make_matches([0.3, 0.38, 0.95, 1.0, math.nan], [0.2, 0.7, 0.9, 0.8, 0.0]))
    assert [(entry.low, entry.high) for entry in table] == [(k / 10, (k + 1) / 10) for k in range(10)]
    assert [entry.count for entry in table] == [0, 0, 0, 2, 0, 0, 0, 0, 0, 2]
    third, last = table[3], table[9]
    assert (third.mean_confidence, third.share_good) == (pytest.approx(0.34), 0.5)
    assert (last.mean_confidence, last.share_good) == (pytest.approx(0.975), 1.0)
    # keeping what is at least .3 keeps all labels, three of four of them good; at least .9 a half, all of them good
    assert (third.share_kept, third.precision_kept) == (1.0, 0.75)
    assert (last.share_kept, last.precision_kept) == (0.5, 1.0)
    assert math.isnan(table[0].mean_confidence) and math.isnan(table[0].share_good)


def test_precision_falls_with_the_share_that_is_kept():
    confidences = np.array([0.9, 0.1, 0.8, 0.3, 0.5, 0.2, 0.7, 0.4, 0.6, 0.05])
    entries = precision_of_kept(confidences, confidences > 0.35)
    assert [entry.share for entry in entries] == pytest.approx([k / 10 for k in range(1, 11)])
    assert [entry.confidence for entry in entries] == sorted(confidences, reverse=True)
    assert [entry.precision for entry in entries] == pytest.approx([1] * 6 + [6 / 7, 6 / 8, 6 / 9, 6 / 10])


def test_labels_of_one_confidence_are_kept_together():
    entries = precision_of_kept(np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, False]))
    assert entries == (Kept(0.9, 0.25, 1.0), Kept(0.5, 1.0, 0.5))
    assert precision_of_kept(np.zeros(0), np.zeros(0, bool)) == ()


def test_kept_equals_a_slow_twin():
    rng = np.random.default_rng(1)
    confidences, is_good = rng.integers(0, 30, 77) / 30, rng.random(77) < 0.5
    entries = precision_of_kept(confidences, is_good)
    for tenth in range(1, 11):
        least = sorted(confidences, reverse=True)[math.ceil(tenth / 10 * 77) - 1]
        kept = [good for one, good in zip(confidences, is_good, strict=True) if one >= least]
        assert Kept(least, pytest.approx(len(kept) / 77), pytest.approx(sum(kept) / len(kept))) in entries


def test_the_report_has_the_confidence_of_all_labels_and_of_parked_ones(write_run, label_row, truth_object):
    truth = [truth_object(1, 1, A), truth_object(2, 2, B), truth_object(3, 3, (14.0, 0, 0), timestamp=4)]
    rows = [label_row(1, 26001, A, confidence=0.8), label_row(2, 26001, A, confidence=0.9)]
    rows += [label_row(2, 26002, (24.0, -2, 0), confidence=0.3)]
    rows += [label_row(4, 26003, (14.0, 0, 0), confidence=0.1)]  # moves
    output, root = write_run(rows, truth)
    report = evaluate_run(output, root)
    assert report.confidence_auc == 1.0
    assert [entry.count for entry in report.reliability] == [0, 0, 0, 1, 0, 0, 0, 0, 1, 1]
    written = json.loads(json.dumps(values_of(report, root), allow_nan=False))
    assert written["confidence_auc"] == 1.0
    assert written["reliability"][8]["mean_confidence"] == pytest.approx(0.8)
    assert written["reliability"][0]["mean_confidence"] is None
    table = format_report(report).split("\n\n")[-1].splitlines()
    assert written["overall_reliability"][1]["count"] == 1 and written["reliability"][1]["count"] == 0
    assert table[1].split() == ["0.9", "-", "1.0", "1", "0.90", "100", "%", "25", "%", "100", "%"]
    assert table[3].split() == ["0.3", "-", "0.4", "1", "0.30", "0", "%", "75", "%", "67", "%"]
    assert table[4].split() == ["0.1", "-", "0.2", "1", "0.10", "100", "%", "100", "%", "75", "%"]
    assert table[-1] == "AUC of confidence against IoU3D > 0.5: 0.667, of parked ones 1.000"


def test_a_humans_boxes_have_no_part_in_the_labelers_confidence(write_run, label_row, truth_object):
    truth = [truth_object(1, 1, A), truth_object(2, 2, B)]
    rows = [label_row(1, 26001, A, confidence=0.8), label_row(2, 26001, (24.0, 3, 0), confidence=0.3)]
    output, root = write_run(rows, truth)
    alone = evaluate_run(output, root)
    drawn = [label_row(4, 26001, A, confidence=1.0), label_row(4, 26002, (24.0, -2, 0), confidence=1.0)]
    human = pa.Table.from_pylist([row | {"source": "human"} for row in drawn], schema=LABEL_SCHEMA)
    write_parquet(human, corrected_rows(output, sequence=SEQUENCE, camera="image_00"))
    reviewed = pa.table({"camera": ["image_00"], "frame": pa.array([4], pa.int32())})
    write_parquet(reviewed, output / "corrections" / f"{SEQUENCE}.parquet")
    both = evaluate_run(output, root)
    assert (alone.static.labelled, both.static.labelled) == (2, 4)
    assert (both.confidence_auc, both.kept) == (alone.confidence_auc, alone.kept) == (1.0, alone.kept)
    assert [entry.count for entry in both.reliability] == [0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
