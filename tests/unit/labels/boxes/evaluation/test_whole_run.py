"""One run with something of everything, whose figures are worked out by hand: what goes where, from files to tables.

Frames 1 and 2 are of a group that succeeded, 4 of one that failed, 3 of none. Boxes stand in places 4 m apart, 10 m
ahead, .5 m long, 2 m wide and 12 m tall: some 49 px, enough for every difficulty. A label d metres aside has an IoU of
(2 - d) / (2 + d).
"""

import json

import numpy as np
import pyarrow as pa
import pytest
from builders import write_manifest

from vsrd_ray.data.index import index_frames, write_index
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labels.boxes.columns import boxes_of
from vsrd_ray.labels.boxes.evaluation import evaluate_run, format_report
from vsrd_ray.labels.boxes.evaluation.confidence import Kept
from vsrd_ray.labels.boxes.evaluation.run import values_of
from vsrd_ray.labels.boxes.rows import columns_in_cameras
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.truth import frame_poses
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"
LOOKING_ALONG_X = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
SIZE = (0.5, 2.0, 12.0)
PARKED, TINY, MOVING, MISSED, CARAVAN, FAR, WITHOUT_BOX, ELSEWHERE, STRAY = range(9)  # places
IDS = (26001, 26002, 26003, 26004, 29001, 26006, 26007, 26008, 26009)
SHOWN = {
    1: (PARKED, TINY, MOVING, MISSED, CARAVAN, FAR, WITHOUT_BOX),
    2: (PARKED,),
    3: (PARKED, ELSEWHERE),
    4: (PARKED,),
}
LABELS = [  # frame, place, confidence, metres aside
    (1, TINY, 0.97, 0.0),
    (1, CARAVAN, 0.95, 0.0),
    (1, WITHOUT_BOX, 0.93, 0.0),
    (1, PARKED, 0.9, 0.0),
    (2, PARKED, 0.8, 0.0),
    (1, STRAY, 0.7, 0.0),
    (1, MOVING, 0.6, 0.0),
    (1, FAR, 0.5, 0.5),  # IoU .6
    (3, ELSEWHERE, 0.99, 0.0),
]


def center(place, aside=0.0):
    return (10.0, -4.0 * place - aside, -6.2)


def instance_map(places):
    """Masks that fill the 2D boxes, but for the tiny one's of 100 px."""
    pixels = np.full((80, 200), 7000, np.uint16)
    for place in places:
        left, right = (round(10 + 50 * (4 * place + side) / (10 - 0.25 * side)) for side in (-1, 1))
        pixels[9 : 19 if place == TINY else 58, left : left + 10 if place == TINY else right] = IDS[place]
    return pixels


def xml(truth_object):
    boxes = [truth_object(place, IDS[place] % 1000, center(place), size=SIZE) for place in (PARKED, TINY, MISSED)]
    boxes += [truth_object(place, IDS[place] % 1000, center(place), size=SIZE) for place in (FAR, ELSEWHERE)]
    boxes.append(truth_object(MOVING, IDS[MOVING] % 1000, center(MOVING), size=SIZE, timestamp=1))
    caravan = truth_object(CARAVAN, IDS[CARAVAN] % 1000, center(CARAVAN), size=SIZE)
    boxes.append(caravan.replace("<semanticId>13<", "<semanticId>16<"))
    boxes.append("<object99><semanticId>13</semanticId></object99>")  # no box
    return f'<?xml version="1.0"?><opencv_storage>{"".join(boxes)}</opencv_storage>'


def label_table(rows, sequence):
    """Label rows of boxes in the world, with their camera columns."""
    table = pa.Table.from_pylist(rows, schema=LABEL_SCHEMA)
    columns = columns_in_cameras(
        frame_poses(sequence, table["frame"].to_numpy()),
        boxes_of(table),
        K=sequence.K,
        image_size=sequence.image_size,
        mask_areas=np.full(len(rows), 300),
    )
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    return table.cast(LABEL_SCHEMA)


@pytest.fixture
def run(write_sequence, label_row, truth_object, tmp_path):
    """(output, root)."""
    maps = {frame: instance_map(places) for frame, places in SHOWN.items()}
    root, output = write_sequence(maps, dict.fromkeys(maps, LOOKING_ALONG_X)), tmp_path / "output"
    boxes = paths.boxes_file(root, SEQUENCE)
    boxes.parent.mkdir(parents=True)
    boxes.write_text(xml(truth_object))
    sequence = open_drive(root, SEQUENCE)
    write_index(index_frames(sequence, maps), output / "index" / f"{SEQUENCE}.parquet", "x")
    rows = [
        label_row(frame, IDS[place], center(place, aside), size=SIZE, confidence=confidence)
        | {"is_moving": place == MOVING}
        for frame, place, confidence, aside in LABELS
    ]
    write_parquet(label_table(rows, sequence), output / "labels" / f"sequence={SEQUENCE}" / "a.parquet")
    for group_id, frames, status in (("a", [1, 2], "ok"), ("b", [4], "failed")):
        row = {"group_id": group_id, "sequence": SEQUENCE, "target_frame": frames[0], "frames": frames}
        row |= {"instance_ids": [26001], "status": status, "error": None, "attempts": 1, "seconds": 0.0}
        write_parquet(pa.Table.from_pylist([row], schema=GROUP_SCHEMA), output / "groups" / f"{group_id}.parquet")
    write_manifest(output, [SEQUENCE], root=root)
    return output, root


def same_for_all(value):
    return pytest.approx(dict.fromkeys(("easy", "moderate", "hard"), value))


def test_kitti_ap_by_hand(run):
    """By confidence: three neither, two true, the stray one false, the moving one true, and the far one by its IoU."""
    ap = evaluate_run(*run).kitti_ap["car"]
    # to be found: the parked car in three frames, and the moving, the missed and the far one
    assert ap.num_objects == dict.fromkeys(("easy", "moderate", "hard"), 6)
    # precision 1 up to recall 1 / 3, of 13 levels of 40; then 4 / 5 up to 2 / 3, or else 3 / 4 up to 1 / 2
    found, lost = (13 + 13 * 4 / 5) / 40, (13 + 7 * 3 / 4) / 40
    for table in (ap.ap_3d, ap.ap_bev):
        assert table == {"0.3": same_for_all(found), "0.5": same_for_all(found), "0.7": same_for_all(lost)}


def test_kitti_ap_at_eleven_recalls_by_hand(run):
    ap = evaluate_run(*run).kitti_ap_r11["car"]
    # recalls 0, 0.1, 0.2 and 0.3 have precision 1; then 4 / 5 up to 0.6, or else 3 / 4 up to 0.5
    found, lost = (4 + 3 * 4 / 5) / 11, (4 + 2 * 3 / 4) / 11
    for table in (ap.ap_3d, ap.ap_bev):
        assert table == {"0.3": same_for_all(found), "0.5": same_for_all(found), "0.7": same_for_all(lost)}


def test_kitti_ap_of_parked_objects_by_hand(run):
    ap = evaluate_run(*run).kitti_ap_parked["car"]
    assert ap.num_objects == dict.fromkeys(("easy", "moderate", "hard"), 5)
    # precision 1 up to recall 2 / 5; then 3 / 4 up to 3 / 5
    found, lost = (16 + 8 * 3 / 4) / 40, 16 / 40
    for table in (ap.ap_3d, ap.ap_bev):
        assert table == {"0.3": same_for_all(found), "0.5": same_for_all(found), "0.7": same_for_all(lost)}


def test_kitti360_ap_by_hand(run):
    report = evaluate_run(*run)
    assert report.num_windows == 1 and report.kitti360_ap["car"].num_objects == 3  # parked, missed and far
    # the tiny one neither, the caravan and what has no box false, then true, false, true: 1 / 3 and 2 / 5
    assert report.kitti360_ap["car"].ap_3d == pytest.approx({"0.25": 2 / 3 * 2 / 5, "0.5": 2 / 3 * 2 / 5})


def test_label_quality_by_hand(run):
    """The far car is 22.4 m away on the ground, but its centre is 23.2 m from the camera."""
    report = evaluate_run(*run, max_range=23.0)
    assert (report.num_frames, report.num_skipped_boxes) == (3, 1)
    static, moving = report.static, report.moving
    assert (static.count, static.labelled, moving.count, moving.labelled) == (4, 2, 1, 1)
    counts = {name: quality.count for name, quality in report.static_by_range.items()}
    assert counts == {"0 - 15 m": 3, "15 - 23 m": 1}
    assert static.iou_3d.mean == pytest.approx(2 / 4) and moving.iou_3d.mean == pytest.approx(1)
    further = evaluate_run(*run, max_range=23.5).static
    assert (further.count, further.labelled) == (5, 3)
    assert further.iou_3d.mean == pytest.approx(2.6 / 5) and further.iou_3d.share_over_70 == 2 / 5


def test_confidence_is_of_static_labels(run):
    report = evaluate_run(*run, max_range=23.0)
    assert report.kept == (Kept(0.9, 0.5, 1.0), Kept(0.8, 1.0, 1.0))
    assert [entry.count for entry in report.reliability] == [0] * 8 + [1, 1]


def test_skipped_boxes_and_failed_groups_are_told(run):
    report = evaluate_run(*run)
    assert (report.num_failed_groups, report.has_ended) == (1, True)
    lines = format_report(report).split("\n\n")[1].splitlines()
    assert "left out of the ground truth: 1 objects (1 with an instance id not from 1 to 999)" in lines
    assert "1 group failed in the run: what they ought to have labelled counts as missing" in lines
    assert not any("has not ended" in line for line in lines)


def test_an_unfinished_run_is_told(run):
    output, root = run
    manifest = json.loads((output / "manifest.json").read_text())
    (output / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
    report = evaluate_run(output, root)
    assert "the run has not ended: these figures are of what it has labelled so far" in format_report(report)
    written = json.loads(json.dumps(values_of(report, root), allow_nan=False))
    assert (written["has_ended"], written["num_failed_groups"]) == (False, 1)


def test_what_was_evaluated_is_written(run):
    output, root = run
    for prefer in ("human", "auto"):
        written = values_of(evaluate_run(output, root, prefer=prefer), root)
        assert (written["prefer"], written["root"]) == (prefer, str(root.absolute()))
