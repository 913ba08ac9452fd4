"""Runs and datasets that cannot be evaluated are named, with what is to be done."""

import json
import math

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.evaluation import evaluate_run
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"
A = (10.0, 3.0, 0.0)


@pytest.fixture
def truth(truth_object):
    return [truth_object(1, 1, A)]


def test_errors_say_what_is_missing(write_run, label_row, truth, tmp_path):
    output, root = write_run([label_row(1, 26001, A)], truth)
    with pytest.raises(InputError, match=r"no .*manifest\.json"):
        evaluate_run(tmp_path / "nowhere", root)
    for max_range in (0.0, math.inf, math.nan):  # JSON has neither of the last two
        with pytest.raises(InputError, match="range must be greater than 0 m, and finite"):
            evaluate_run(output, root, max_range=max_range)
    paths.boxes_file(root, SEQUENCE).unlink()
    with pytest.raises(InputError, match=f"{SEQUENCE}.xml"):
        evaluate_run(output, root)


def test_every_sequence_that_cannot_be_evaluated_is_named(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    manifest = json.loads((output / "manifest.json").read_text())
    others = ["2013_05_28_drive_0000_sync", "2013_05_28_drive_0002_sync"]
    manifest["inputs"]["sequences"] = [others[0], SEQUENCE, others[1]]
    (output / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=rf"^2 inputs cannot be used: \(1\) .*{others[0]}.*; \(2\) .*{others[1]}"):
        evaluate_run(output, root)
    # what is wrong with all of them is said once
    (output / "groups").rename(output / "moved")
    with pytest.raises(InputError, match=f"^no groups in {output}: expected"):
        evaluate_run(output, root)
    assert not (output / "evaluation.json").exists()


def test_another_dataset_is_named(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    poses = paths.poses_file(root, SEQUENCE)
    lines = poses.read_text().splitlines(keepends=True)
    poses.write_text("".join(line for line in lines if not line.startswith("2 ")))
    with pytest.raises(InputError, match=f"{root} has no pose of frame 2 of {SEQUENCE}: give the dataset that was"):
        evaluate_run(output, root)


def test_lost_labels_are_not_taken_for_missing_ones(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    folder = output / "labels" / f"sequence={SEQUENCE}"
    (folder / "a.parquet").unlink()
    with pytest.raises(InputError, match=f"^{folder} holds no labels, though {output}/groups says .* label again"):
        evaluate_run(output, root)
    # where every group failed there are none to lose
    for group in ("a", "c"):
        (output / "groups" / f"{group}.parquet").unlink()
    assert evaluate_run(output, root).static.labelled == 0


def test_a_lost_file_among_others_is_named(write_run, label_row, truth):
    """Files of labels and of groups have the same names, but for groups that failed by themselves."""
    output, root = write_run([label_row(1, 26001, A)], truth)
    labels, groups = output / "labels" / f"sequence={SEQUENCE}", output / "groups"
    first, failed, second = (f"{SEQUENCE}-image_00-{name}.parquet" for name in ("part00000", "0000000003", "part00001"))
    for old, new in (("a", first), ("b", failed), ("c", second)):
        (groups / f"{old}.parquet").rename(groups / new)
    (labels / "a.parquet").rename(labels / first)
    row = read_groups(output).filter(pc.field("status") == "failed").to_pylist()[0]
    named = pa.Table.from_pylist([row | {"group_id": failed.removesuffix(".parquet")}], schema=GROUP_SCHEMA)
    write_parquet(named, groups / failed)
    with pytest.raises(InputError, match=f"^{labels / second} is gone, though {groups / second} is there: bring it"):
        evaluate_run(output, root)
    manifest = json.loads((output / "manifest.json").read_text())
    (output / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
    assert evaluate_run(output, root).static.labelled == 1  # a run that goes on puts files together
    write_parquet(LABEL_SCHEMA.empty_table(), labels / second)
    (output / "manifest.json").write_text(json.dumps(manifest | {"status": "complete_with_failures"}))
    assert evaluate_run(output, root).static.labelled == 1


@pytest.fixture
def ended_run(write_run, label_row, truth):
    """A run whose files are named as those of a real one, with two parts, and its counts."""
    output, root = write_run([label_row(1, 26001, A)], truth)
    labels, groups = output / "labels" / f"sequence={SEQUENCE}", output / "groups"
    (groups / "b.parquet").unlink()
    for old, new in (("a", "part00000"), ("c", "part00001")):
        (groups / f"{old}.parquet").rename(groups / f"{SEQUENCE}-image_00-{new}.parquet")
    (labels / "a.parquet").rename(labels / f"{SEQUENCE}-image_00-part00000.parquet")
    write_parquet(LABEL_SCHEMA.empty_table(), labels / f"{SEQUENCE}-image_00-part00001.parquet")
    set_manifest(output, status="complete", counts={"groups_ok": 2, "groups_failed": 0})
    assert evaluate_run(output, root).static.count == 3
    return output, root


def set_manifest(output, *, inputs=None, **changes):
    manifest = json.loads((output / "manifest.json").read_text()) | changes
    manifest["inputs"] |= inputs or {}
    (output / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("lost", "num_frames"), [(["part00000"], 1), (["part00001"], 2), (["part00000", "part00001"], 0)]
)
def test_lost_groups_are_not_taken_for_frames_that_nobody_labelled(ended_run, lost, num_frames):
    output, root = ended_run
    groups, labels = output / "groups", output / "labels" / f"sequence={SEQUENCE}"
    files = [f"{SEQUENCE}-image_00-{name}.parquet" for name in lost]
    for file in files:
        (groups / file).unlink()
    if len(files) == 2:
        write_parquet(GROUP_SCHEMA.empty_table(), groups / "empty.parquet")
    gone = f"^{groups / files[0]} is gone, though {labels / files[0]} is there: bring it back, or label again"
    with pytest.raises(InputError, match=gone):
        evaluate_run(output, root)
    # a run that goes on writes labels before their groups
    set_manifest(output, status="running")
    assert evaluate_run(output, root).num_frames == num_frames


def test_groups_that_are_lost_with_their_labels_are_missed_by_their_number(ended_run):
    output, root = ended_run
    for folder in (output / "groups", output / "labels" / f"sequence={SEQUENCE}"):
        (folder / f"{SEQUENCE}-image_00-part00001.parquet").unlink()
    with pytest.raises(
        InputError, match=f"^{output}/groups has 1 groups, though {output}/manifest.json counts 2: bring"
    ):
        evaluate_run(output, root)
    set_manifest(output, status="running")
    assert evaluate_run(output, root).num_frames == 2


@pytest.mark.parametrize(
    "inputs",
    [
        {"classes": []},
        {"classes": [1]},
        {"classes": "car"},
        {"classes": None},
        {"sequences": "drive"},
        {"sequences": [1]},
        {"camera": 1},
    ],
)
def test_a_manifest_with_other_inputs_than_names_is_refused(write_run, truth, inputs):
    output, root = write_run([], truth)
    set_manifest(output, inputs=inputs)
    message = rf"^{output}/manifest\.json: not the manifest .*inputs\.{next(iter(inputs))}: expected .*label` again"
    with pytest.raises(InputError, match=message):
        evaluate_run(output, root)


def test_an_index_that_is_gone_need_not_be_removed(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    path = output / "index" / f"{SEQUENCE}.parquet"
    path.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match=f"{path}: no index that can be read .*; remove it, and label again"):
        evaluate_run(output, root)
    path.unlink()
    with pytest.raises(InputError, match=f"{path}: no index that can be read .*; bring it back, or label again"):
        evaluate_run(output, root)


def test_a_run_that_has_not_begun_is_named(write_run, truth):
    output, root = write_run([], truth)
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["inputs"]["sequences"] = []
    (output / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=f"{output} holds no labelled sequence yet: let `vsrd-ray label` go on"):
        evaluate_run(output, root)


def test_a_run_without_labels_folder_is_named(write_run, label_row, truth):
    output, root = write_run([label_row(1, 26001, A)], truth)
    (output / "labels" / f"sequence={SEQUENCE}" / "a.parquet").rename(output / "moved.parquet")
    (output / "labels" / f"sequence={SEQUENCE}").rmdir()
    (output / "labels").rmdir()
    with pytest.raises(InputError, match=f"no labels in {output}"):
        evaluate_run(output, root)
