import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from vsrd_ray.data.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.evaluation import evaluate_run, format_report
from vsrd_ray.evaluation.matching import Matches, concatenate
from vsrd_ray.evaluation.quality import summarise

SEQUENCE = "2013_05_28_drive_0042_sync"
A, B = (10.0, 3.0, 0.0), (20.0, -2.0, 0.0)


@pytest.fixture
def truth(truth_object):
    return [
        truth_object(1, 1, A),
        truth_object(2, 2, B, yaw=0.5),
        truth_object(3, 3, (12.0, 0, 0), timestamp=3),
        truth_object(4, 3, (14.0, 0, 0), timestamp=4),
    ]


def test_a_perfect_run(write_run, label_row, truth):
    rows = [label_row(frame, 26001, A) for frame in (1, 2, 3, 4)]
    rows += [label_row(frame, 26002, B, yaw=0.5) for frame in (2, 3, 4)]
    rows.append(label_row(4, 26003, (14.0, 0, 0)))
    output, root = write_run(rows, truth)
    report = evaluate_run(output, root)
    # car 26002 has 100 px in frame 1 and does not count there
    assert (report.static.count, report.static.labelled, report.static.coverage) == (7, 7, 1.0)
    assert asdict(report.static.iou_3d) == pytest.approx(
        dict.fromkeys(("mean", "median", "share_over_25", "share_over_50", "share_over_70"), 1.0)
    )
    assert report.static.center_distance.mean == pytest.approx(0, abs=1e-9)
    # the moving car counts in its own frame, with the box of that frame
    assert report.moving.count == 1 and report.moving.iou_3d.mean == pytest.approx(1)
    assert report.num_frames == 4 and report.static.official_iou_3d is None


def test_missing_labels_count_as_zero_and_errors_are_over_labelled_truth(write_run, label_row, truth):
    # one label, half a length ahead (IoU 1/3), turned round, 10 % longer; nothing else, nor in the failed group's frame
    output, root = write_run([label_row(2, 26001, (12.0, 3, 0), yaw=np.pi)], truth)
    static = evaluate_run(output, root).static
    assert (static.count, static.labelled) == (7, 1)
    assert static.coverage == pytest.approx(1 / 7)
    assert static.iou_3d.mean == pytest.approx(1 / 3 / 7) and static.iou_3d.median == 0
    assert static.iou_bev.share_over_25 == pytest.approx(1 / 7) and static.iou_bev.share_over_50 == 0
    assert static.center_distance.mean == pytest.approx(2)
    assert static.yaw_error_mod_2pi_deg.mean == pytest.approx(180)
    assert static.yaw_error_mod_pi_deg.mean == pytest.approx(0, abs=1e-6)


def test_size_errors_are_absolute_and_per_axis(write_run, label_row, truth):
    rows = [label_row(1, 26001, A, size=(4.4, 1.9, 1.5)), label_row(2, 26001, A, size=(3.8, 2.0, 1.8))]
    output, root = write_run(rows, truth)
    static = evaluate_run(output, root).static
    assert static.length_error.mean == pytest.approx(0.3)
    assert static.width_error.mean == pytest.approx(0.05)
    assert static.height_error.mean == pytest.approx(0.15)


def test_range_is_to_the_true_centre_and_limits_what_counts(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    report = evaluate_run(output, root)
    assert {name: quality.count for name, quality in report.static_by_range.items()} == {
        "0 - 15 m": 4,
        "15 - 30 m": 3,
        "30 - 40 m": 0,
    }
    near = evaluate_run(output, root, max_range=12.0)
    assert near.static.count == 4 and list(near.static_by_range) == ["0 - 12 m"]
    assert evaluate_run(output, root, max_range=math.hypot(10, 3) - 1e-6).static.count == 0


def test_visibility_sorts_every_static_truth_into_one_bin(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    report = evaluate_run(output, root)
    counts = {name: quality.count for name, quality in report.static_by_visibility.items()}
    assert sum(counts.values()) == report.static.count
    # car 26001 has 20 x 20 px of mask in each frame, and its box projects mostly beside the image
    assert counts["> 0.6"] >= 4


def test_labels_of_frames_without_group_do_not_count(write_run, label_row, truth):
    output, root = write_run([label_row(frame, 26001, A) for frame in (1, 2, 3, 4)], truth)
    (output / "groups" / "c.parquet").unlink()
    report = evaluate_run(output, root)
    assert report.num_frames == 3 and report.static.count == 5 and report.moving.count == 0


def test_classes_that_are_not_wanted_do_not_count(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    assert evaluate_run(output, root, classes=("truck",)).static.count == 0


def test_official_iou_stands_beside_the_exact_one(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, (10.4, 3.2, 0))], truth)
    report = evaluate_run(output, root, official=True)
    assert report.static.official_iou_3d is not None
    assert report.static.official_iou_3d.mean == pytest.approx(report.static.iou_3d.mean, rel=0.05)
    assert report.static.official_iou_3d.mean != report.static.iou_3d.mean
    assert "official IoU3D" in format_report(report)


def test_the_report_is_written_as_json_without_nan(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth[:2])
    report = evaluate_run(output, root)
    written = json.loads((output / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert written["static"]["count"] == report.static.count
    assert written["static"]["iou_3d"]["mean"] == pytest.approx(report.static.iou_3d.mean)
    assert written["moving"]["iou_3d"]["mean"] is None and written["moving"]["count"] == 0


def test_the_text_has_aligned_tables(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    text = format_report(evaluate_run(output, root))
    _, iou_3d, iou_bev, errors, _ = text.split("\n\n")
    assert f"car in {SEQUENCE}: 4 frames, truth within 40 m" in text
    assert "1 of 7 labelled" in text
    for table in (iou_3d, iou_bev, errors):
        lines = table.splitlines()
        assert len(lines) == 9 and lines[1].startswith("static") and lines[-1].startswith("moving")
        assert len({len(line) for line in lines}) == 1
    assert iou_3d.splitlines()[1].split() == [
        "static",
        "7",
        "14",
        "%",
        "0.143",
        "0.000",
        "14",
        "%",
        "14",
        "%",
        "14",
        "%",
    ]


def test_errors_say_what_is_missing(write_run, label_row, truth, tmp_path):
    output, root = write_run([label_row(1, 26001, A)], truth)
    with pytest.raises(InputError, match=r"no .*manifest\.json"):
        evaluate_run(tmp_path / "nowhere", root)
    with pytest.raises(InputError, match="range must be greater than 0"):
        evaluate_run(output, root, max_range=0.0)
    paths.boxes_file(root, SEQUENCE).unlink()
    with pytest.raises(InputError, match=f"{SEQUENCE}.xml"):
        evaluate_run(output, root)


def test_a_run_without_labels_folder_is_named(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    (output / "labels" / f"sequence={SEQUENCE}" / "a.parquet").rename(output / "moved.parquet")
    (output / "labels" / f"sequence={SEQUENCE}").rmdir()
    (output / "labels").rmdir()
    with pytest.raises(InputError, match=f"no labels in {output}"):
        evaluate_run(output, root)


def test_summaries_equal_a_slow_twin():
    rng = np.random.default_rng(0)
    count = 50
    is_labelled = rng.random(count) < 0.7
    columns = {
        "frames": np.arange(count),
        "instance_ids": np.arange(count),
        "is_moving": np.zeros(count, bool),
        "ranges": rng.uniform(0, 40, count),
        "visible_shares": rng.random(count),
        "is_labelled": is_labelled,
        "confidences": np.where(is_labelled, rng.random(count), np.nan),
        "iou_3d": np.where(is_labelled, rng.random(count), 0),
        "iou_bev": np.where(is_labelled, rng.random(count), 0),
        "official_iou_3d": np.full(count, np.nan),
        "official_iou_bev": np.full(count, np.nan),
        "center_distances": np.where(is_labelled, rng.random(count), np.nan),
        "size_errors_lwh": np.where(is_labelled[:, None], rng.normal(size=(count, 3)), np.nan),
        "yaw_errors": np.where(is_labelled, rng.uniform(0, np.pi, count), np.nan),
    }
    matches = Matches(**columns)
    quality = summarise(matches)
    labelled = [i for i in range(count) if is_labelled[i]]
    assert quality.iou_3d.mean == pytest.approx(sum(columns["iou_3d"]) / count)
    assert quality.iou_3d.share_over_50 == pytest.approx(sum(value > 0.5 for value in columns["iou_3d"]) / count)
    distances = [columns["center_distances"][i] for i in labelled]
    assert quality.center_distance.mean == pytest.approx(sum(distances) / len(labelled))
    widths = [abs(columns["size_errors_lwh"][i][1]) for i in labelled]
    assert quality.width_error.mean == pytest.approx(sum(widths) / len(labelled))
    mod_pi = [min(math.degrees(yaw), 180 - math.degrees(yaw)) for yaw in columns["yaw_errors"][labelled]]
    assert quality.yaw_error_mod_pi_deg.mean == pytest.approx(sum(mod_pi) / len(labelled))
    both = concatenate([matches, matches])
    assert summarise(both).iou_3d.mean == pytest.approx(quality.iou_3d.mean)
    assert summarise(both).count == 2 * count
