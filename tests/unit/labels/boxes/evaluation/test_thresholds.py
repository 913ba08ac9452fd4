"""Boxes whose IoU is a threshold to the last bit: over it is what every protocol asks for, so they fall short.

A box lies inside another one, and has all sizes but one from it: their IoU is the ratio of that one. Of whole numbers
of metres, it is as near to the threshold as a number can be.
"""

import math

import pyarrow as pa
import pytest
from builders import make_index, make_labels, make_truth

from vsrd_ray.labels.boxes.evaluation import compare_runs, evaluate_run
from vsrd_ray.labels.boxes.evaluation.kitti import IOUS as KITTI_IOUS
from vsrd_ray.labels.boxes.evaluation.kitti import kitti_verdicts
from vsrd_ray.labels.boxes.evaluation.kitti360 import IOUS as KITTI360_IOUS
from vsrd_ray.labels.boxes.evaluation.kitti360 import window_verdicts
from vsrd_ray.labels.boxes.evaluation.precision import FALSE, NEITHER, TRUE
from vsrd_ray.labels.boxes.windows import Window

PLACE = (12.0, 3.0, 0.0)
LENGTH, WIDTH, HEIGHT = WHOLE = (20.0, 2.0, 4.0)
HAIR = 2.0**-40  # metres
SIDES = pytest.mark.parametrize(("more", "is_over"), [(0.0, False), (HAIR, True)], ids=["at", "over"])


@pytest.fixture
def run_of(write_run, label_row, truth_object):
    """A run whose only labels are of so much of the length of the true box, in all frames that show the car."""

    def write(length, *, others=(), truth=()):
        size = (length, WIDTH, HEIGHT)
        rows = [label_row(frame, 26001, PLACE, size=size, confidence=0.9) for frame in (1, 2, 3, 4)]
        return write_run([*rows, *others], [truth_object(1, 1, PLACE, size=WHOLE), *truth])

    return write


@pytest.mark.parametrize("iou", [0.25, 0.5, 0.7])
@SIDES
def test_label_quality_takes_shares_of_labels_over_the_threshold(run_of, iou, more, is_over):
    static = evaluate_run(*run_of(iou * LENGTH + more)).static
    for overlap in (static.iou_3d, static.iou_bev):
        assert (overlap.median == iou) != is_over
        assert getattr(overlap, f"share_over_{100 * iou:.0f}") == float(is_over)


@SIDES
def test_labels_over_the_threshold_are_good(run_of, label_row, truth_object, more, is_over):
    """One label that is no good at all has less confidence than those at the threshold."""
    other = [label_row(2, 26002, (40.0, -2.0, 0.0), confidence=0.25)]
    truth = [truth_object(2, 2, (20.0, -2.0, 0.0))]
    report = evaluate_run(*run_of(0.5 * LENGTH + more, others=other, truth=truth))
    assert report.confidence_auc == 1.0 if is_over else math.isnan(report.confidence_auc)
    assert (report.reliability[9].count, report.reliability[9].share_good) == (4, float(is_over))
    assert (report.kept[0].confidence, report.kept[0].precision) == (0.9, float(is_over))


@pytest.mark.parametrize("iou", [0.5, 0.7])
@SIDES
def test_runs_are_compared_by_the_share_over_the_threshold(run_of, iou, more, is_over):
    output, root = run_of(iou * LENGTH + more)
    share = {one.measure: one.a for one in compare_runs(output, output, root).differences}
    assert share[f"IoU3D > {iou:g}"] == float(is_over)


def kitti_row(**changes):
    row = {"frame": 0, "class_name": "car", "confidence": 0.5, "mask_area": 500, "is_moving": False}
    row |= {"length": LENGTH, "width": WIDTH, "height": HEIGHT, "x_cam": 0.0, "y_cam": 1.5, "z_cam": 16.0}
    row |= {"rotation_y": 0.0, "truncation": 0.0, "occlusion": 0}
    return row | {"bbox_left": 10.0, "bbox_top": 100.0, "bbox_right": 90.0, "bbox_bottom": 180.0} | changes


@pytest.mark.parametrize("iou", KITTI_IOUS)
@pytest.mark.parametrize(("side", "only_3d"), [("length", False), ("height", True)])
@SIDES
def test_kitti_finds_objects_with_labels_over_the_threshold(iou, side, only_3d, more, is_over):
    whole = kitti_row(height=20.0)
    label = whole | {side: iou * 20.0 + more}
    labels, truth = (pa.Table.from_pylist([row]) for row in (label, whole))
    verdicts = kitti_verdicts(labels, truth, make_index(), class_name="car").verdicts
    (in_3d,), (from_above,) = (verdicts[:, kind, KITTI_IOUS.index(iou)] for kind in (0, 1))
    assert set(in_3d.tolist()) == {TRUE if is_over else FALSE}
    assert set(from_above.tolist()) == {TRUE if is_over or only_3d else FALSE}


@pytest.mark.parametrize("iou", KITTI360_IOUS)
@pytest.mark.parametrize(("area", "over"), [(200, TRUE), (100, NEITHER)], ids=["wanted", "hardly seen"])
@SIDES
def test_kitti360_finds_objects_with_labels_over_the_threshold(iou, area, over, more, is_over):
    label = {"frame": 0, "instance_id": 26000, "class_name": "car", "confidence": 0.5, "yaw_world": 0.0}
    label |= dict(zip(("x_world", "y_world", "z_world"), PLACE, strict=True))
    label |= {"length": iou * LENGTH + more, "width": WIDTH, "height": HEIGHT, "is_moving": False}
    judged = window_verdicts(
        make_labels(label),
        make_truth([PLACE], dimensions_lwh=WHOLE),
        index=make_index({"frame": 0, "instance_id": 26000, "class_name": "car", "area": area}),
        windows=[Window(0, 10)],
        class_name="car",
    )
    assert judged.verdicts[0, KITTI360_IOUS.index(iou)] == (over if is_over else FALSE)
