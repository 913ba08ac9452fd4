import json
import math
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vsrd_ray.labels.boxes.evaluation import evaluate_run, format_report
from vsrd_ray.labels.boxes.evaluation.matching import Matches, concatenate
from vsrd_ray.labels.boxes.evaluation.quality import summarise
from vsrd_ray.labels.boxes.evaluation.run import values_of
from vsrd_ray.labels.boxes.evaluation.sequences import Criteria, match_sequence
from vsrd_ray.labels.boxes.parquet import corrected_rows
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

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


def test_shares_and_the_median_by_hand(write_run, label_row, truth_object):
    """A car 4 m long that is d ahead of the truth has an IoU of (4 - d) / (4 + d)."""
    truth = [truth_object(1, 1, A), truth_object(2, 2, B)]
    ahead = (2.45, 2.35, 1.37, 1.30, 0.72, 0.65)  # IoU .240, .260, .490, .509, .695, .720
    places = [(frame, 26001, A) for frame in (1, 2, 3, 4)] + [(frame, 26002, B) for frame in (2, 3)]
    rows = [label_row(frame, one, (x + d, y, z)) for (frame, one, (x, y, z)), d in zip(places, ahead, strict=True)]
    static = evaluate_run(*write_run(rows, truth)).static
    assert (static.count, static.labelled) == (7, 6)
    for overlap in (static.iou_3d, static.iou_bev):
        assert (overlap.share_over_25, overlap.share_over_50, overlap.share_over_70) == (5 / 7, 3 / 7, 1 / 7)
        assert overlap.median == pytest.approx((4 - 1.37) / (4 + 1.37))
    assert static.center_distance.median == pytest.approx((1.37 + 1.30) / 2)  # of the six


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
    assert {name: quality.count for name, quality in report.moving_by_range.items()} == {
        "0 - 15 m": 1,
        "15 - 30 m": 0,
        "30 - 40 m": 0,
    }
    near = evaluate_run(output, root, max_range=12.0)
    assert near.static.count == 4 and list(near.static_by_range) == ["0 - 12 m"]
    assert evaluate_run(output, root, max_range=math.hypot(10, 3) - 1e-6).static.count == 0


def test_a_label_is_that_of_its_instance_alone(write_run, label_row, truth):
    """A perfect box under another id is none of the truth's, and its own truth has a bad one."""
    rows = [label_row(2, 26002, A), label_row(2, 26009, B, yaw=0.5)]
    static = evaluate_run(*write_run(rows, truth)).static
    assert (static.count, static.labelled) == (7, 1)
    assert static.iou_3d.mean == 0 and static.center_distance.mean == pytest.approx(math.hypot(10, 5))


def test_a_mask_of_128_px_is_the_least_that_counts(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    path = output / "index" / f"{SEQUENCE}.parquet"
    index = pq.ParquetFile(path).read()
    areas = [{1: 127, 2: 128, 3: 129, 4: 0}[frame] for frame in index["frame"].to_pylist()]
    column = index.schema.get_field_index("area")
    pq.write_table(index.set_column(column, "area", pa.array(areas, index.schema.field("area").type)), path)
    matches = match_sequence(output, root, SEQUENCE, Criteria("image_00", ("car",)))
    assert sorted(zip(matches.frames.tolist(), matches.instance_ids.tolist(), strict=True)) == [
        (2, 26001), (2, 26002), (3, 26001), (3, 26002)
    ]  # fmt: skip


def facing(number, *, width, timestamp=-1):
    """A box 4 x `width` x 6.4 m whose rear is 8 m ahead, and hides the rest of it: 31.25 * 6.4 * width px."""
    return {"number": number, "instance": number, "center": (10.0, 0.1 - width / 2, -3.1)} | {
        "size": (4.0, width, 6.4),
        "timestamp": timestamp,
    }


def test_visibility_is_the_share_of_the_true_outline_that_the_mask_shows(write_run, label_row, truth_object):
    # focal lengths 50 and 40 px: 1 m at 8 m is 6.25 px wide and 5 px tall; masks have 400, 200 and 300 px
    boxes = [facing(1, width=8.0), facing(2, width=2.0), facing(3, width=2.0, timestamp=4)]
    truth = [truth_object(box.pop("number"), box.pop("instance"), box.pop("center"), **box) for box in boxes]
    output, root = write_run([label_row(1, 26001, A)], truth)
    matches = match_sequence(output, root, SEQUENCE, Criteria("image_00", ("car",)))
    shares = dict(zip(matches.instance_ids.tolist(), matches.visible_shares.tolist(), strict=True))
    assert shares == pytest.approx({26001: 400 / 1600, 26002: 200 / 400, 26003: 300 / 400})
    report = evaluate_run(output, root)
    static, moving = (
        {name: quality.count for name, quality in table.items()}
        for table in (report.static_by_visibility, report.moving_by_visibility)
    )
    assert static == {"> 0.6": 0, "0.3 - 0.6": 3, "<= 0.3": 4}
    assert moving == {"> 0.6": 1, "0.3 - 0.6": 0, "<= 0.3": 0}


def test_a_range_belongs_to_the_bin_that_it_ends(write_run, label_row, truth_object):
    truth = [truth_object(1, 1, (15.0, 0, 0)), truth_object(2, 2, (15.01, 0, 0))]
    output, root = write_run([label_row(1, 26001, (15.0, 0, 0))], truth)
    report = evaluate_run(output, root, max_range=60.0)
    counts = {name: quality.count for name, quality in report.static_by_range.items()}
    assert counts == {"0 - 15 m": 4, "15 - 30 m": 3, "30 - 50 m": 0, "50 - 60 m": 0}
    assert report.static_by_range["0 - 15 m"].iou_3d.mean == pytest.approx(1 / 4)
    assert evaluate_run(output, root, max_range=15.0).static.count == 4


def test_a_run_without_a_label_and_a_class_without_truth(write_run, truth):
    output, root = write_run([], truth)
    report = evaluate_run(output, root, classes=("car", "truck"))
    assert (report.static.count, report.static.labelled, report.static.coverage) == (7, 0, 0.0)
    assert report.static.iou_3d.mean == report.static.iou_3d.share_over_25 == 0
    assert math.isnan(report.static.center_distance.mean) and math.isnan(report.confidence_auc)
    assert report.kitti360_ap["car"].ap_3d == {"0.25": 0.0, "0.5": 0.0}
    assert report.kitti360_ap["truck"].num_objects == 0 and math.isnan(report.kitti360_ap["truck"].ap_3d["0.5"])
    text = format_report(report)
    assert text.startswith("Verdict: poor. 0 % of 8 true boxes have a label over IoU3D 0.5 (mean 0.000)\n")
    assert "0 of 8 true boxes labelled, 0 of 7 parked ones" in text
    written = json.loads(json.dumps(values_of(report, root), allow_nan=False))
    assert written["kitti_ap"]["truck"]["ap_3d"]["0.5"]["hard"] is None


def test_labels_of_frames_without_group_do_not_count(write_run, label_row, truth):
    output, root = write_run([label_row(frame, 26001, A) for frame in (1, 2, 3, 4)], truth)
    (output / "groups" / "c.parquet").unlink()
    report = evaluate_run(output, root)
    assert report.num_frames == 3 and report.static.count == 5 and report.moving.count == 0


def test_classes_that_are_not_wanted_do_not_count(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    assert evaluate_run(output, root, classes=("truck",)).static.count == 0


def test_corrected_frames_count_by_the_humans_rows_or_by_the_labelers(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, (12.0, 3, 0)), label_row(2, 26001, A)], truth)
    human = pa.Table.from_pylist([label_row(1, 26001, A) | {"source": "human"}], schema=LABEL_SCHEMA)
    write_parquet(human, corrected_rows(output, sequence=SEQUENCE, camera="image_00"))
    reviewed = pa.table({"camera": ["image_00"], "frame": pa.array([1], pa.int32())})
    write_parquet(reviewed, output / "corrections" / f"{SEQUENCE}.parquet")
    corrected, auto = evaluate_run(output, root), evaluate_run(output, root, prefer="auto")
    assert corrected.static.iou_3d.mean == pytest.approx(2 / 7)
    assert auto.static.iou_3d.mean == pytest.approx((1 / 3 + 1) / 7)
    assert (corrected.num_corrected_frames, auto.num_corrected_frames) == (1, 0)
    assert "corrected by hand: 1 of the frames" in format_report(corrected)
    assert "corrected" not in format_report(auto)
    # a frame that a human reviewed was labelled, whatever became of its group
    (output / "groups" / "a.parquet").unlink()
    alone = evaluate_run(output, root)
    assert (alone.num_frames, alone.static.count, alone.static.labelled) == (3, 5, 1)


def test_official_iou_stands_beside_the_exact_one(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, (10.4, 3.2, 0))], truth)
    report = evaluate_run(output, root, official=True)
    assert report.static.official_iou_3d is not None
    assert report.static.official_iou_3d.mean == pytest.approx(report.static.iou_3d.mean, rel=0.05)
    assert report.static.official_iou_3d.mean != report.static.iou_3d.mean
    assert "official IoU3D" in format_report(report)


def test_official_iou_that_is_none_is_cut_in_the_summary(write_run, label_row, truth, monkeypatch):
    """As published it may leave [0, 1], or be no number: means of such values say nothing."""
    published = np.array([1.5, -2400.0, math.nan, math.inf, -math.inf, 0.25])
    monkeypatch.setattr(
        "vsrd_ray.labels.boxes.evaluation.matching.official_iou", lambda *_: (published, published[::-1])
    )  # of six labels
    rows = [label_row(frame, 26001, A) for frame in (1, 2, 3, 4)]
    rows += [label_row(frame, 26002, B, yaw=0.5) for frame in (2, 3)]
    output, root = write_run(rows, truth)
    report = evaluate_run(output, root, official=True)
    assert (report.static.count, report.static.labelled) == (7, 6)
    for overlap in (report.static.official_iou_3d, report.static.official_iou_bev):
        assert overlap is not None and overlap.mean == pytest.approx((1 + 0 + 0 + 1 + 0 + 0.25) / 7)
        assert (overlap.median, overlap.share_over_70) == (0.0, 2 / 7)
    line = "official IoU is cut to [0, 1], and NaN counts 0: as published, it may be out of these bounds"
    assert line in format_report(report).splitlines()
    assert "official" not in format_report(evaluate_run(output, root))
    matches = match_sequence(output, root, SEQUENCE, Criteria("image_00", ("car",), official=True))
    assert {1.5, -2400.0, -math.inf} <= set(matches.official_iou_3d.tolist())


def test_the_report_is_written_as_json_without_nan(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth[:2])
    report = evaluate_run(output, root)
    written = json.loads(json.dumps(values_of(report, root), allow_nan=False))
    assert written["static"]["count"] == report.static.count
    assert written["static"]["iou_3d"]["mean"] == pytest.approx(report.static.iou_3d.mean)
    assert written["moving"]["iou_3d"]["mean"] is None and written["moving"]["count"] == 0


def test_the_text_has_aligned_tables(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    text = format_report(evaluate_run(output, root))
    verdict, _, iou_3d, iou_bev, errors, kitti, kitti360, _ = text.split("\n\n")
    assert f"car in {SEQUENCE}: 4 frames, truth within 40 m" in text
    assert verdict.startswith("Verdict: poor. 12 % of 8 true boxes have a label over IoU3D 0.5 (mean 0.125)")
    assert "1 of 8 true boxes labelled, 1 of 7 parked ones" in text
    for table in (iou_3d, iou_bev, errors):
        lines = table.splitlines()
        assert [len(lines), lines[1][:3], lines[2][:6], lines[9][:6]] == [16, "all", "parked", "moving"]
        assert [line.split("  ")[1] for line in lines[10:]] == [line.split("  ")[1] for line in lines[3:9]]
        assert len({len(line) for line in lines}) == 1
    assert kitti.splitlines()[1].split() == ["car:", "objects", "0", "0", "0"]  # none of them is 25 px tall
    assert kitti.splitlines()[5].startswith("car, parked: objects")
    assert [line.split()[:3] for line in kitti.splitlines()[2:5]] == [
        ["IoU", ">", iou] for iou in ("0.3", "0.5", "0.7")
    ]
    assert kitti360.splitlines()[1].split() == ["car", "1", "2", "50.0", "50.0"]
    assert iou_3d.splitlines()[2].split() == [
        "parked",
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


def test_the_text_says_that_no_truth_counts(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    assert "no true box counts" not in format_report(evaluate_run(output, root))
    assert "no true box counts: " in format_report(evaluate_run(output, root, max_range=1.0))


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
