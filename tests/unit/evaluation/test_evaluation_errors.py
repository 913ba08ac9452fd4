"""Runs and datasets that cannot be evaluated are named, with what is to be done."""

import json
import math

import pytest

from vsrd_ray.data.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.evaluation import evaluate_run

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
