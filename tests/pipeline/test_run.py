"""Runs with a labeler that needs no time: on a real local Ray, and where Ray has no part in what is tested, without.

Either way they are compared with the same undisturbed run on Ray.
"""

import fcntl
import json
import shutil
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from builders import make_request
from standin import Deadly, StandIn

from vsrd_ray.data.index import all_frames
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.engines import label
from vsrd_ray.errors import InputError, OutputError
from vsrd_ray.labels.boxes.kitti import read_frame
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.pipeline.pool import PoolRequest
from vsrd_ray.pipeline.request import format_summary
from vsrd_ray.runs.reading import read_groups

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

SEQUENCE = "2013_05_28_drive_0000_sync"
LABELS = ("labels", "kitti")


def without_times(output):
    return read_groups(output).drop_columns(["attempts", "seconds"])


@pytest.fixture(scope="module")
def finished(street, config, tmp_path_factory):
    """OUTPUT and summary of an undisturbed run with one actor."""
    output = tmp_path_factory.mktemp("finished") / "output"
    pool = PoolRequest(num_actors=(1, 1))
    request = make_request(output, root=street, sequences=(SEQUENCE,), config=config, pool=pool)
    return output, label(request, labeler_factory=StandIn)


def test_output_is_what_the_contract_says(finished, street, config):
    output, summary = finished
    groups = read_groups(output).to_pylist()
    frames = [frame for group in groups for frame in group["frames"]]
    assert sorted(frames) == list(range(24))
    assert {group["status"] for group in groups} == {"ok"}
    assert {group["attempts"] for group in groups} == {1}
    names = {path.name for path in (output / "kitti" / SEQUENCE / "image_00" / "label_2").iterdir()}
    assert names == {f"{frame:010d}.txt" for frame in range(24)}
    for folder in ("groups", f"labels/sequence={SEQUENCE}"):
        assert [path.name for path in (output / folder).iterdir()] == [f"{SEQUENCE}-image_00-part00000.parquet"]
    assert (output / "index" / f"{SEQUENCE}.parquet").is_file()
    hidden = {path.name for path in output.rglob(".*")}
    assert hidden == {".lock", f".{SEQUENCE}.finished.json"}
    for path in (output / "labels").rglob("*.parquet"):
        assert pq.read_schema(path).equals(LABEL_SCHEMA)

    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["config"] == config.model_dump(mode="json")
    assert manifest["config_hash"] == config.hash()
    assert manifest["seed"] == 0
    assert manifest["versions"].keys() >= {"vsrd-ray", "python", "torch", "ray", "numpy"}
    assert manifest["inputs"]["root"] == str(street)
    assert manifest["inputs"]["sequences"] == [SEQUENCE]
    assert manifest["failures"] == []
    assert 0 < manifest["seconds"]["device"] < manifest["seconds"]["wall"]
    boxes = read_labels(output).num_rows
    expected = {"frames": 24, "frames_skipped": 0, "labelled_frames": 24, "boxes": boxes, "rows": {"boxes": boxes}}
    doubtful = int((read_labels(output)["confidence"].to_numpy() < 0.2).sum())
    expected |= {"skipped": {}, "doubtful": {"boxes": doubtful}}
    assert manifest["counts"] == expected | {"groups": len(groups), "groups_ok": len(groups), "groups_failed": 0}
    assert summary.counts.boxes == boxes > 24


def test_label_files_hold_the_rows_of_their_frames(finished):
    output, _ = finished
    table = pd.read_parquet(output / "labels")
    assert set(table["sequence"]) == {SEQUENCE}
    for frame, rows in table.groupby("frame"):
        objects = read_frame(output / "kitti" / SEQUENCE / "image_00" / "label_2" / f"{frame:010d}.txt")
        assert [entry.rotation_y for entry in objects] == pytest.approx(rows["rotation_y"].tolist(), abs=1e-4)


def test_labels_are_the_same_without_ray(finished, request_for, files_in):
    request = request_for()
    label(request, labeler_factory=StandIn)
    assert files_in(request.output, *LABELS) == files_in(finished[0], *LABELS)
    assert without_times(request.output).equals(without_times(finished[0]))


@pytest.mark.parametrize("num_actors", [(2, 2), (1, 2)])
def test_labels_do_not_depend_on_the_number_of_actors(finished, request_for, files_in, num_actors):
    request = request_for(serial=False, pool=PoolRequest(num_actors=num_actors))
    label(request, labeler_factory=StandIn)
    assert files_in(request.output, *LABELS) == files_in(finished[0], *LABELS)
    assert without_times(request.output).equals(without_times(finished[0]))


def test_failed_group_is_a_row_and_is_tried_again(finished, request_for, files_in):
    request = request_for()
    groups = read_groups(finished[0]).to_pylist()
    failing = groups[1]
    factory = partial(StandIn, failing=frozenset({failing["group_id"]}))
    for attempts, serial in ((3, False), (6, True)):  # three in each run
        summary = label(replace(request, serial=serial), labeler_factory=factory)
        assert (summary.counts.groups_ok, summary.counts.groups_failed) == (len(groups) - 1, 1)
        (failure,) = summary.failures
        assert (failure.group_id, failure.attempts) == (failing["group_id"], attempts)
        assert failure.error == "ValueError: this group is poisoned"
        manifest = json.loads((request.output / "manifest.json").read_text())
        assert manifest["status"] == "complete_with_failures"
        assert manifest["failures"][0]["error"] == failure.error
        written = files_in(request.output, *LABELS)
        assert written.keys() < files_in(finished[0], *LABELS).keys()
        assert not any(f"{frame:010d}.txt" in name for name in written for frame in failing["frames"])

    summary = label(request, labeler_factory=StandIn)
    assert summary.counts.groups_failed == 0
    assert files_in(request.output, *LABELS) == files_in(finished[0], *LABELS)
    attempts = {row["group_id"]: row["attempts"] for row in read_groups(request.output).to_pylist()}
    assert attempts.pop(failing["group_id"]) == 7
    assert set(attempts.values()) == {1}


def test_group_that_kills_its_workers_fails_alone(finished, request_for, files_in, tmp_path):
    """One group kills three workers, and is given up; another kills two, and is labelled by the third."""
    request = request_for(serial=False)
    fatal, harsh = [group["group_id"] for group in read_groups(finished[0]).to_pylist()[:2]]
    (tmp_path / "deaths").mkdir()
    summary = label(request, labeler_factory=partial(Deadly, deaths={fatal: 99, harsh: 2}, folder=tmp_path / "deaths"))
    assert {path.name: path.stat().st_size for path in (tmp_path / "deaths").iterdir()} == {fatal: 3, harsh: 2}
    (failure,) = summary.failures
    assert (failure.group_id, failure.attempts) == (fatal, 3)
    assert failure.error == "3 attempts to fit this group ended with their worker"
    attempts = {row["group_id"]: row["attempts"] for row in read_groups(request.output).to_pylist()}
    assert attempts.pop(fatal) == attempts.pop(harsh) == 3
    assert set(attempts.values()) == {1}
    assert json.loads((request.output / "manifest.json").read_text())["status"] == "complete_with_failures"
    whole, written = files_in(finished[0], "kitti"), files_in(request.output, "kitti")
    assert written.items() < whole.items()
    assert len(whole) - len(written) == len(read_groups(finished[0]).to_pylist()[0]["frames"])
    others = pc.field("group_id") != fatal
    assert read_labels(request.output).equals(read_labels(finished[0]).filter(others))
    label(replace(request, serial=True), labeler_factory=StandIn)
    assert files_in(request.output, *LABELS) == files_in(finished[0], *LABELS)


def test_other_settings_are_refused_and_named(finished, request_for, files_in, config):
    output = finished[0]
    before = files_in(output, "")
    changed = config.model_copy(update={"seed": 7, "schedule": config.schedule.model_copy(update={"steps": 11})})
    with pytest.raises(OutputError, match=r"schedule\.steps: 3000 -> 11; seed: 0 -> 7"):
        label(request_for(output=output, config=changed), labeler_factory=StandIn)
    with pytest.raises(OutputError, match=r"classes: \['car'\] -> \['truck'\]"):
        label(request_for(output=output, classes=("truck",)), labeler_factory=StandIn)
    assert files_in(output, "") == before


def test_finished_run_has_nothing_left_to_do(finished, request_for, files_in):
    request = request_for()
    shutil.copytree(finished[0], request.output)
    before = files_in(request.output, *LABELS, "groups")

    def no_labeler(config, device):
        raise AssertionError("no group is left to label")

    summary = label(request, labeler_factory=no_labeler)
    assert summary.counts.groups_ok == summary.counts.groups
    assert files_in(request.output, *LABELS, "groups") == before


def test_finished_sequence_is_not_even_opened(request_for, monkeypatch):
    request = request_for()
    label(request, labeler_factory=StandIn)
    with monkeypatch.context() as patch:
        patch.setattr("vsrd_ray.datasets.kitti360.drives.open_drive", lambda *arguments: 1 / 0)
        summary = label(request, labeler_factory=StandIn)
    assert summary.notes == ("Nothing was left to do: every wanted group has its labels.",)
    assert summary.counts.groups_ok == summary.counts.groups == 6


@pytest.mark.parametrize("folder", ["kitti", "labels", "groups", "index"])
def test_what_is_taken_from_a_finished_sequence_is_made_again(finished, request_for, files_in, folder):
    request = request_for()
    label(request, labeler_factory=StandIn)
    next((request.output / folder).rglob("*.txt" if folder == "kitti" else "*.parquet")).unlink()
    label(request, labeler_factory=StandIn)
    assert files_in(request.output, *LABELS) == files_in(finished[0], *LABELS)


def test_debris_of_a_killed_run_is_removed(finished, request_for, files_in):
    """Labels without their group's mark, and temporary files, are what a kill between two writes leaves."""
    request = request_for()
    shutil.copytree(finished[0], request.output)
    group = read_groups(request.output).to_pylist()[0]
    (request.output / "groups" / f"{SEQUENCE}-image_00-part00000.parquet").unlink()
    (request.output / "labels" / f"sequence={SEQUENCE}" / ".a.12.tmp.parquet").write_bytes(b"half")
    unknown = f"{SEQUENCE}-image_00-0000000099.parquet"
    (request.output / "labels" / f"sequence={SEQUENCE}" / unknown).write_bytes(b"half")
    factory = partial(StandIn, failing=frozenset({group["group_id"]}))
    label(request, labeler_factory=factory)
    names = files_in(request.output, "").keys()
    assert not any("tmp" in name or unknown in name for name in names)
    assert f"kitti/{SEQUENCE}/image_00/label_2/{group['frames'][0]:010d}.txt" not in names
    label(request, labeler_factory=StandIn)
    assert files_in(request.output, *LABELS) == files_in(finished[0], *LABELS)


def test_other_files_in_the_output_stay(finished, request_for, files_in):
    request = request_for()
    shutil.copytree(finished[0], request.output)
    pieces = request.output / "labels" / f"sequence={SEQUENCE}"
    texts = request.output / "kitti" / SEQUENCE / "image_00" / "label_2"
    shutil.copy(next(pieces.iterdir()), pieces / "corrected-by-human.parquet")
    (texts / "notes.txt").write_text("mine")
    (request.output / ".notes.tmp").write_text("mine")
    for folder in (pieces / "old", texts / "old", texts / ".old.12.tmp"):
        folder.mkdir()
    before = files_in(request.output, *LABELS)
    label(request, labeler_factory=StandIn)
    assert files_in(request.output, *LABELS) == before
    assert (request.output / ".notes.tmp").read_text() == "mine"
    assert all(folder.is_dir() for folder in (pieces / "old", texts / "old", texts / ".old.12.tmp"))


def test_output_that_another_run_writes_is_refused(request_for):
    request = request_for()
    request.output.mkdir()
    with (request.output / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match=r"another vsrd-ray label is running into .*/output: wait until it has"):
            label(request, labeler_factory=StandIn)
        assert [path.name for path in request.output.iterdir()] == [".lock"]
    assert label(request, labeler_factory=StandIn).counts.groups_failed == 0


def edit_mask(root):
    """Paint an instance over a little, so that its frames and ids stay, and its box does not."""
    path = paths.mask_file(root, SEQUENCE, "image_00", 0)
    instance_map = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    ids, areas = np.unique(instance_map[instance_map // 1000 == 26], return_counts=True)
    rows, columns = np.nonzero(instance_map == ids[areas.argmax()])
    instance_map[rows[:40], columns[:40]] = 0
    cv2.imwrite(str(path), instance_map)


def edit_pose(root):
    path = paths.poses_file(root, SEQUENCE)
    first, *lines = path.read_text().splitlines()
    frame, *numbers = first.split()
    numbers[3] = repr(float(numbers[3]) + 0.25)
    path.write_text("\n".join([" ".join([frame, *numbers]), *lines]) + "\n")


@pytest.mark.parametrize("edit", [edit_mask, edit_pose])
def test_groups_of_edited_inputs_are_labelled_anew(finished, root, edit, *, request_for, files_in, tmp_path, caplog):
    """Although frames and instances are those of before."""
    old, new = request_for(root=root, output=tmp_path / "old"), request_for(root=root, output=tmp_path / "new")
    label(old, labeler_factory=StandIn)
    assert files_in(old.output, *LABELS) == files_in(finished[0], *LABELS)
    edit(root)
    label(old, labeler_factory=StandIn)
    assert "all of it is labelled again" in caplog.text
    label(new, labeler_factory=StandIn)
    assert without_times(old.output).equals(without_times(finished[0]))
    assert files_in(old.output, *LABELS) == files_in(new.output, *LABELS) != files_in(finished[0], *LABELS)


class Killed(BaseException):
    """Nothing in the code under test catches it."""


def killed(*arguments, **options):
    raise Killed


def test_error_before_the_first_group_is_told_in_the_manifest(request_for, monkeypatch):
    request = request_for()
    monkeypatch.setattr("vsrd_ray.pipeline.state.Sink.prepare", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        label(request, labeler_factory=StandIn)
    manifest = json.loads((request.output / "manifest.json").read_text())
    assert (manifest["status"], manifest["error"]) == ("failed", "ZeroDivisionError: division by zero")


def test_kill_between_changed_inputs_and_their_groups_leaves_no_stale_labels(
    root, request_for, files_in, tmp_path, monkeypatch
):
    old, new = request_for(root=root, output=tmp_path / "old"), request_for(root=root, output=tmp_path / "new")
    label(old, labeler_factory=StandIn)
    edit_pose(root)
    with monkeypatch.context() as patch:
        patch.setattr("vsrd_ray.pipeline.state.Sink.prepare", killed)
        with pytest.raises(Killed):
            label(old, labeler_factory=StandIn)
    assert json.loads((old.output / "manifest.json").read_text())["status"] == "running"
    for request in (old, new):
        label(request, labeler_factory=StandIn)
    assert files_in(old.output, *LABELS) == files_in(new.output, *LABELS)


def test_changed_inputs_leave_no_stale_labels(street, request_for, files_in, tmp_path, caplog):
    root = shutil.copytree(street, tmp_path / "root", copy_function=shutil.copy2)
    old, new = request_for(root=root, output=tmp_path / "old"), request_for(root=root, output=tmp_path / "new")
    label(old, labeler_factory=StandIn)
    for frame in (5, 12, 20):
        paths.mask_file(root, SEQUENCE, "image_00", frame).unlink()
    label(old, labeler_factory=StandIn)
    assert "are not those that were labelled" in caplog.text
    label(new, labeler_factory=StandIn)
    assert files_in(old.output, *LABELS, "index") == files_in(new.output, *LABELS, "index")
    assert without_times(old.output).equals(without_times(new.output))
    manifest = json.loads((old.output / "manifest.json").read_text())
    assert manifest["inputs"]["skipped_frames"] == {SEQUENCE: {"no mask": 3}}


def test_mended_image_is_used_at_the_next_run(finished, root, request_for, files_in):
    path = paths.image_file(root, SEQUENCE, "image_00", 7)
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    request = request_for(root=root)
    assert label(request, labeler_factory=StandIn).counts.frames_skipped == 1
    path.write_bytes(whole)
    assert label(request, labeler_factory=StandIn).counts.frames_skipped == 0
    assert files_in(request.output, *LABELS) == files_in(finished[0], *LABELS)


def test_truncated_mask_costs_its_frame_alone(street, request_for, tmp_path):
    root = shutil.copytree(street, tmp_path / "root", copy_function=shutil.copy2)
    path = paths.mask_file(root, SEQUENCE, "image_00", 7)
    path.write_bytes(path.read_bytes()[:-200])
    summary = label(request_for(root=root), labeler_factory=StandIn)
    assert (summary.counts.frames, summary.counts.frames_skipped, summary.counts.groups_failed) == (24, 1, 0)


def test_unusable_mask_ends_the_run_before_anything_is_written(street, request_for, tmp_path):
    root = shutil.copytree(street, tmp_path / "root", copy_function=shutil.copy2)
    for frame in (9, 15):
        cv2.imwrite(str(paths.mask_file(root, SEQUENCE, "image_00", frame)), np.zeros((96, 352), np.uint8))
    request = request_for(root=root)
    with pytest.raises(InputError, match=r"0000000009\.png: expected a mask of 16 bits"):
        label(request, labeler_factory=StandIn)
    assert not request.output.exists()


def test_no_usable_group_is_no_error(street, request_for):
    request = request_for(classes=("truck",))
    summary = label(request, labeler_factory=StandIn)
    assert summary.notes == (f"No usable group in {SEQUENCE}: no frame shows a truck; --classes chooses others.",)
    assert (summary.counts.groups, summary.counts.labelled_frames, summary.counts.boxes) == (0, 24, 0)
    assert json.loads((request.output / "manifest.json").read_text())["status"] == "complete"
    assert len(pd.read_parquet(request.output / "labels")) == 0
    assert read_groups(request.output).num_rows == 0
    assert len(pd.read_parquet(request.output / "groups")) == 0
    assert [path.name for path in (request.output / "groups").iterdir()] == ["empty.parquet"]
    assert "Next" not in format_summary(summary)
    text = request.output / "kitti" / SEQUENCE / "image_00" / "label_2" / "0000000003.txt"
    assert text.read_bytes() == b""


def test_labels_of_which_every_group_failed_can_be_read(finished, request_for, files_in):
    request = request_for(limit=1)
    first = read_groups(finished[0]).to_pylist()[0]["group_id"]
    label(request, labeler_factory=partial(StandIn, failing=frozenset({first})))
    assert len(pd.read_parquet(request.output / "labels")) == 0
    label(request_for(), labeler_factory=StandIn)
    assert files_in(request.output, *LABELS) == files_in(finished[0], *LABELS)


def test_several_sequences_make_one_output(finished, street, request_for, files_in, tmp_path):
    other = "2013_05_28_drive_0002_sync"
    root = shutil.copytree(street, tmp_path / "root", copy_function=shutil.copy2)
    for folder in (paths.masks_root(root), paths.poses_root(root)):
        shutil.copytree(folder / SEQUENCE, folder / other, copy_function=shutil.copy2)
    together = request_for(root=root, sequences=(SEQUENCE, other), output=tmp_path / "together", serial=False)
    apart = request_for(root=root, sequences=(other,), output=shutil.copytree(finished[0], tmp_path / "apart"))
    summaries = [label(request, labeler_factory=StandIn) for request in (together, apart)]
    assert summaries[0].counts == summaries[1].counts
    assert summaries[0].counts.frames == 2 * len(all_frames(open_drive(root, SEQUENCE)))
    assert files_in(tmp_path / "together", *LABELS) == files_in(tmp_path / "apart", *LABELS)
    manifest = json.loads((tmp_path / "apart" / "manifest.json").read_text())
    assert manifest["inputs"]["sequences"] == [SEQUENCE, other]
