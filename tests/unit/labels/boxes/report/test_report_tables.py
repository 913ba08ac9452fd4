import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.report.contents import column, group_contents, sequence_contents
from vsrd_ray.labels.boxes.report.tables import keep_instances, read_tables
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.reading import read_groups

SEQUENCE = "2013_05_28_drive_0042_sync"


def test_rows_are_masks_and_labels_together(tables):
    rows = tables.rows
    assert tables.frames.tolist() == [1, 2, 3, 4]
    assert tables.instance_ids.tolist() == [26001, 26002, 26003]
    keys = list(zip(tables.frames[rows.frames].tolist(), tables.instance_ids[rows.instances].tolist(), strict=True))
    assert keys == [(f, i) for f in (1, 2, 3, 4) for i in (26001, 26002)] + [(4, 26003)]
    has_label = [key for key, box in zip(keys, rows.boxes.tolist(), strict=True) if box >= 0]
    assert has_label == [(1, 26001), (2, 26001), (2, 26002), (3, 26002), (4, 26001)]
    assert rows.mask_areas.tolist() == [400, 100, 400, 200, 400, 200, 400, 200, 300]


def test_a_box_that_holds_in_several_frames_is_one(tables):
    assert tables.boxes["instance_id"].to_pylist() == [26001, 26001, 26002]
    assert tables.boxes["confidence"].to_pylist() == [0.9, 0.4, 0.7]
    assert tables.rows.boxes.tolist() == [0, -1, 0, 2, -1, 2, 1, -1, -1]


def test_overlaps_with_masks_and_truth(tables):
    known = ~np.isnan(tables.rows.iou_2d)
    np.testing.assert_allclose(tables.rows.iou_2d[known][[0, 1, 4]], [1.0, 0.5, 1.0])
    # a car of 4 m that is 1 m off along its length shares 3 of 5 m; 26002 has no truth
    np.testing.assert_allclose(tables.rows.iou_3d, [1, np.nan, 1, np.nan, np.nan, np.nan, 0.6, np.nan, np.nan])
    assert tables.truth.instance_ids.tolist() == [26001]  # 26009 is nowhere to be seen


def test_without_truth_nothing_is_known_of_it(run, tables_of):
    output, root = run
    paths.boxes_file(root, SEQUENCE).unlink()
    tables = tables_of(output, root)
    assert tables.truth is None and np.isnan(tables.rows.iou_3d).all()
    assert sequence_contents(tables)["truth"] is None


def test_a_sequence_without_groups_and_labels_has_no_tables(run):
    output, root = run
    labels, groups = read_labels(output).slice(0, 0), read_groups(output).slice(0, 0)
    inputs = read_inputs(output)
    assert read_tables(output, root, SEQUENCE, inputs=inputs, labels=labels, groups=groups) is None


def test_a_sequence_whose_turn_has_not_come_has_no_tables(run):
    output, root = run
    labels, groups = read_labels(output).slice(0, 0), read_groups(output).slice(0, 0)
    (output / "index" / f"{SEQUENCE}.parquet").unlink()
    assert read_tables(output, root, SEQUENCE, inputs=read_inputs(output), labels=labels, groups=groups) is None


@pytest.mark.parametrize(("prefer", "frames"), [("human", [1, 2, 3, 4, 5, 6]), ("auto", [1, 2, 3, 4, 5])])
def test_frames_without_objects_and_those_that_a_human_reviewed_are_shown(run, lengthen, prefer, frames):
    output, root = run
    lengthen(output, root)
    labels, groups = read_labels(output, prefer=prefer), read_groups(output)
    inputs = read_inputs(output)
    tables = read_tables(output, root, SEQUENCE, inputs=inputs, labels=labels, groups=groups, prefer=prefer)
    assert tables.frames.tolist() == frames
    shown = np.unique(tables.frames[tables.rows.frames]).tolist()
    assert shown == [frame for frame in frames if frame != 5]


def test_another_dataset_than_the_runs_is_refused(run, tables_of):
    output, root = run
    poses = paths.poses_file(root, SEQUENCE)
    poses.write_text("".join(poses.read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(InputError, match="has no pose of frame 4"):
        tables_of(output, root)


def test_contents_say_where_everything_is(tables):
    contents = sequence_contents(tables)
    lengths = {len(values) for name, values in contents["boxes"].items() if name != "center"}
    assert lengths == {3} and len(contents["boxes"]["center"]) == 9
    assert {len(values) for name, values in contents["rows"].items() if name != "mask_box"} == {9}
    centers = np.reshape(contents["boxes"]["center"], (3, 3)) + contents["origin"]
    np.testing.assert_allclose(centers[0], (10.0, 0.5, 0.0), atol=1e-3)
    assert contents["frames"] == [1, 2, 3, 4]
    assert contents["rows"]["iou_3d"][:2] == [1.0, None]


@pytest.mark.parametrize("kept", [[0, 1, 2], [1], [0, 2], []])
def test_a_sequence_with_some_of_its_instances_says_the_same_of_them(tables, kept):
    def facts(some):
        """Every row by its frame and instance, with all that is known of it."""
        rows, boxes = some.rows, [*some.boxes.to_pylist(), None]
        overlaps = np.nan_to_num(np.stack([rows.iou_2d, rows.iou_3d], axis=-1), nan=-1.0).tolist()
        keys = zip(rows.frames.tolist(), some.instance_ids[rows.instances].tolist(), strict=True)
        known = zip(rows.labels.tolist(), rows.mask_areas.tolist(), overlaps, strict=True)
        places = rows.boxes.tolist()
        return {key: (boxes[place], *values) for key, place, values in zip(keys, places, known, strict=True)}

    ids = tables.instance_ids[kept]
    fewer = keep_instances(tables, np.isin(tables.instance_ids, ids))
    expected = {key: values for key, values in facts(tables).items() if key[1] in ids}
    assert facts(fewer) == expected
    assert fewer.instance_ids.tolist() == ids.tolist() and fewer.frames.tolist() == tables.frames.tolist()
    assert set(fewer.truth.instance_ids.tolist()) <= set(ids.tolist())


def test_columns_have_whole_numbers_where_nothing_else_is_wanted():
    assert column(np.array([1.26, np.nan]), 1) == [1.3, None]
    values = column(np.array([3.0, np.nan]), 0)
    assert values == [3, None] and isinstance(values[0], int)


def test_groups_that_are_not_ok_are_listed(run):
    contents = group_contents(read_groups(run[0]))
    assert contents["counts"] == {"failed": 1, "ok": 2}
    assert [group["group_id"] for group in contents["not_ok"]] == ["b"]


def test_skipped_groups_are_listed_after_failed_ones(run):
    groups = read_groups(run[0])
    skipped = groups.set_column(
        groups.schema.get_field_index("status"), "status", pa.array(["skipped", "failed", "ok"])
    )
    contents = group_contents(skipped)
    assert [group["status"] for group in contents["not_ok"]] == ["failed", "skipped"]
    assert contents["counts"] == {"failed": 1, "ok": 1, "skipped": 1}
