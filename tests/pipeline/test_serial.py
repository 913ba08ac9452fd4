"""Runs in this process, without Ray."""

import json
import shutil
import signal
import uuid
from collections import Counter, deque
from contextlib import suppress
from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pytest
from standin import StandIn
from upath import UPath

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.engines import label
from vsrd_ray.engines.ray_data.session import RayOnDemand
from vsrd_ray.errors import InputError, OutputError, TerminatedError, WorkerError
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.fits import Motion
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.selection import Selection
from vsrd_ray.runs import lock
from vsrd_ray.runs.lock import TakenOverError
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.store import GroupStore

SEQUENCE = "2013_05_28_drive_0000_sync"
LABELS = ("labels", "kitti")


class Flaky(StandIn):
    """Fails so many times over the first group that it is given, and each time prepares it anew."""

    def __init__(self, config, device, *, failures: int) -> None:
        super().__init__(config, device)
        self.failures, self.first = failures, None
        self.prepared, self.labelled = Counter(), []

    def payload_of(self, group):
        self.prepared[group.plan.group_id] += 1
        return super().payload_of(group)

    def fits_of(self, prepared, *, seed, trace):
        group_id = prepared.plan.group_id
        self.first = self.first or group_id
        self.labelled.append(group_id)
        if group_id == self.first and self.labelled.count(group_id) <= self.failures:
            raise ArithmeticError("not a number")
        return super().fits_of(prepared, seed=seed, trace=trace)


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch):
    def no_session(*arguments, **options):
        raise AssertionError("Ray is not needed")

    monkeypatch.setattr(RayOnDemand, "start", no_session)


@pytest.fixture
def run(request_for, tmp_path):
    """Labels the street with a labeler that fails now and then; the labeler, the summary and OUTPUT."""

    def run(*, failures: int, name: str = "output", **options):
        labelers = []

        def factory(config, device):
            labelers.append(Flaky(config, device, failures=failures))
            return labelers[-1]

        request = request_for(serial=True, output=tmp_path / name, **options)
        summary = label(request, labeler_factory=factory)
        (labeler,) = labelers
        return labeler, summary, request.output

    return run


def test_group_that_fails_is_tried_again_before_the_rest(run, files_in):
    labeler, summary, output = run(failures=2)
    assert summary.counts.groups_failed == 0
    assert labeler.prepared.pop(labeler.first) == 3
    assert set(labeler.prepared.values()) == {1}
    assert labeler.labelled[:3] == [labeler.first] * 3
    attempts = {row["group_id"]: row["attempts"] for row in read_groups(output).to_pylist()}
    assert attempts.pop(labeler.first) == 3
    assert set(attempts.values()) == {1}
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["progress"]["groups_retried"] == 2
    *_, undisturbed = run(failures=0, name="undisturbed")
    assert files_in(output, *LABELS) == files_in(undisturbed, *LABELS)


@pytest.mark.parametrize("max_attempts", [1, 2])
def test_group_that_goes_on_failing_is_given_up(run, max_attempts):
    labeler, summary, output = run(failures=99, max_attempts=max_attempts)
    (failure,) = summary.failures
    assert (failure.group_id, failure.attempts) == (labeler.first, max_attempts)
    assert failure.error == "ArithmeticError: not a number"
    assert labeler.labelled.count(labeler.first) == max_attempts
    assert summary.counts.groups_ok == summary.counts.groups - 1
    assert json.loads((output / "manifest.json").read_text())["status"] == "complete_with_failures"


def test_labeler_that_cannot_be_set_up_ends_the_run(request_for):
    request = request_for(serial=True)

    def no_labeler(config, device):
        raise MemoryError("no room")

    with pytest.raises(WorkerError, match="the labeler cannot be set up on cpu: MemoryError: no room"):
        label(request, labeler_factory=no_labeler)
    manifest = json.loads((request.output / "manifest.json").read_text())
    assert (manifest["status"], manifest["counts"]["groups_ok"]) == ("failed", 0)
    assert label(request, labeler_factory=StandIn).counts.groups_failed == 0


def test_interrupted_run_says_so_and_goes_on(request_for, run, files_in, caplog):
    request = request_for(serial=True)
    left = deque([None, None, KeyboardInterrupt()])

    class Interrupted(StandIn):
        def fits_of(self, prepared, *, seed, trace):
            if (error := left.popleft()) is not None:
                raise error
            return super().fits_of(prepared, seed=seed, trace=trace)

    with pytest.raises(KeyboardInterrupt):
        label(request, labeler_factory=Interrupted)
    assert "Interrupted with 2 of 6 groups done; the same command goes on from there." in caplog.text
    assert json.loads((request.output / "manifest.json").read_text())["status"] == "running"
    labeler, *_ = run(failures=0)
    assert len(labeler.labelled) == 4
    *_, undisturbed = run(failures=0, name="undisturbed")
    assert files_in(request.output, *LABELS) == files_in(undisturbed, *LABELS)


@pytest.fixture
def interruptible():
    """Ctrl-C as a terminal's processes have it; what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_waits_for_the_group_that_is_being_written(request_for, files_in, caplog, monkeypatch):
    write = GroupStore.write

    def write_and_interrupt(*arguments):
        write(*arguments)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(GroupStore, "write", write_and_interrupt)
    request = request_for(serial=True)
    with pytest.raises(KeyboardInterrupt):
        label(request, labeler_factory=StandIn)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "Interrupted with 1 of 6 groups done" in caplog.text
    assert json.loads((request.output / "manifest.json").read_text())["progress"]["groups_ok"] == 1
    assert len(files_in(request.output, "groups")) == 1


def test_termination_that_python_drops_ends_the_run_after_the_group(request_for, caplog):
    """An exception of a signal handler is lost where it is raised in a destructor or a callback."""
    request = request_for(serial=True)

    class Dropping(StandIn):
        def fits_of(self, prepared, *, seed, trace):
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            return super().fits_of(prepared, seed=seed, trace=trace)

    with pytest.raises(TerminatedError):
        label(request, labeler_factory=Dropping)
    assert "Interrupted with 1 of 6 groups done" in caplog.text


@pytest.mark.usefixtures("interruptible")
def test_second_interrupt_does_not_wait(request_for, monkeypatch):
    def interrupt_twice(*arguments):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("went on")

    monkeypatch.setattr(GroupStore, "write", interrupt_twice)
    with pytest.raises(KeyboardInterrupt):
        label(request_for(serial=True), labeler_factory=StandIn)


def test_terminated_run_ends_like_an_interrupted_one(request_for, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    write = GroupStore.write

    def terminate(*arguments):
        signal.raise_signal(signal.SIGTERM)
        write(*arguments)

    monkeypatch.setattr(GroupStore, "write", terminate)
    request = request_for(serial=True)
    with pytest.raises(TerminatedError):
        label(request, labeler_factory=StandIn)
    assert signal.getsignal(signal.SIGTERM) == before
    manifest = json.loads((request.output / "manifest.json").read_text())
    assert (manifest["status"], manifest["progress"]["interrupted"]) == ("running", True)
    assert manifest["counts"]["groups_ok"] == read_groups(request.output).num_rows == 1


def test_full_disk_ends_a_run_with_a_line_and_the_same_command_goes_on(request_for, monkeypatch, files_in):
    write = GroupStore.write
    count = 0

    def third_write_fails(*arguments):
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(28, "No space left on device")
        write(*arguments)

    request = request_for(serial=True)
    monkeypatch.setattr(GroupStore, "write", third_write_fails)
    with pytest.raises(OutputError, match=r"cannot go on: .*No space left.*: make room; then the same command goes on"):
        label(request, labeler_factory=StandIn)
    assert json.loads((request.output / "manifest.json").read_text())["status"] == "failed"
    assert label(request, labeler_factory=StandIn).counts.groups_ok == 6


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_time_limit_that_is_no_number_of_seconds_is_refused(request_for, seconds):
    with pytest.raises(InputError, match=r"--group-timeout .*: expected seconds"):
        label(request_for(group_timeout=seconds), labeler_factory=StandIn)


@pytest.fixture
def drives(root):
    """ROOT with five drives alike, but for useless poses of the first and fourth, and a useless mask of the second."""
    names = [SEQUENCE.replace("_0000_", f"_000{number}_") for number in range(5)]
    for folder in (paths.masks_root(root), paths.poses_root(root)):
        for name in names[1:]:
            shutil.copytree(folder / SEQUENCE, folder / name, copy_function=shutil.copy2)
    for name in (names[0], names[3]):
        paths.poses_file(root, name).write_text("0 1 2\n")
    cv2.imwrite(str(paths.mask_file(root, names[1], "image_00", 9)), np.zeros((96, 352), np.uint8))
    return root, names


def mend(root, street, names):
    for name in names:
        for path in (paths.poses_file, lambda *where: paths.mask_file(*where, "image_00", 9)):
            shutil.copy2(path(street, SEQUENCE), path(root, name))


def test_sequences_that_cannot_be_used_are_left_out(drives, street, request_for, files_in, caplog):
    root, names = drives
    request = request_for(root=root, sequences=tuple(names))
    summary = label(request, labeler_factory=StandIn)
    assert summary.sequences == (names[2], names[4])
    assert (summary.counts.groups_ok, summary.counts.groups_failed) == (12, 0)
    assert summary.has_failures
    errors = {"drive_0000": "cam0_to_world.txt", "drive_0001": "0000000009.png", "drive_0003": "cam0_to_world.txt"}
    for name, (drive, place) in zip([names[0], names[1], names[3]], errors.items(), strict=True):
        assert drive in summary.unusable_sequences[name]
        assert place in summary.unusable_sequences[name]
        assert f"{name} is left out: {summary.unusable_sequences[name]}" in caplog.text
    manifest = json.loads((request.output / "manifest.json").read_text())
    assert manifest["status"] == "complete_with_failures"
    assert manifest["unusable_sequences"] == summary.unusable_sequences
    assert manifest["inputs"]["sequences"] == [names[2], names[4]]

    mend(root, street, (names[0], names[1]))
    again = label(request, labeler_factory=StandIn)
    assert list(again.unusable_sequences) == [names[3]]
    mend(root, street, (names[3],))
    assert not label(request, labeler_factory=StandIn).has_failures
    assert json.loads((request.output / "manifest.json").read_text())["status"] == "complete"
    undisturbed = request_for(root=root, sequences=tuple(names), output=request.output.with_name("undisturbed"))
    label(undisturbed, labeler_factory=StandIn)
    assert files_in(request.output, *LABELS) == files_in(undisturbed.output, *LABELS)


def test_finished_sequence_that_was_spoilt_for_a_while_is_no_failure(drives, request_for):
    root, names = drives
    request = request_for(root=root, sequences=(names[2], names[4]))
    label(request, labeler_factory=StandIn)
    poses = paths.poses_file(root, names[4])
    text = poses.read_text()
    poses.write_text("0 1 2\n")
    assert list(label(request, labeler_factory=StandIn).unusable_sequences) == [names[4]]
    poses.write_text(text)
    summary = label(request, labeler_factory=StandIn)
    assert not summary.has_failures
    assert summary.counts.groups_ok == 12


def test_nothing_is_written_where_no_sequence_can_be_used(drives, request_for):
    root, names = drives
    request = request_for(root=root, sequences=(names[0], names[1], names[3]))
    with pytest.raises(InputError, match=rf"{names[0]}/cam0_to_world\.txt, line 1"):
        label(request, labeler_factory=StandIn)
    assert not request.output.exists()


def test_unknown_sequence_is_refused_before_any_is_labelled(drives, request_for):
    root, names = drives
    request = request_for(root=root, sequences=(names[2], "2013_05_28_drive_0007_sync"))
    with pytest.raises(InputError, match=r"no sequence '2013_05_28_drive_0007_sync' .* give one of"):
        label(request, labeler_factory=StandIn)
    assert not request.output.exists()


def test_run_that_another_has_taken_over_writes_nothing_more(request_for, monkeypatch):
    """As when this machine slept until the run in the object store passed for dead."""
    output = UPath(f"memory://{uuid.uuid4().hex}")
    monkeypatch.setattr(lock, "_LEASE", 0.0)
    holder = json.dumps({"host": "elsewhere", "pid": 1, "run": "another", "beat": 0.0})

    class Sleeper(StandIn):
        count = 0

        def fits_of(self, prepared, *, seed, trace):
            self.count += 1
            if self.count == 3:
                (output / ".lock").write_text(holder)
            return super().fits_of(prepared, seed=seed, trace=trace)

    with pytest.raises(TakenOverError, match="has taken over memory://"):
        label(request_for(serial=True, output=output), labeler_factory=Sleeper)
    assert read_groups(output).num_rows == 2
    assert json.loads((output / "manifest.json").read_text())["status"] == "running"
    assert (output / ".lock").read_text() == holder


class Moving(StandIn):
    """Gives the first instance of each group a motion: half a metre a frame along the world's x."""

    def fits_of(self, prepared, *, seed, trace):
        first, *others = super().fits_of(prepared, seed=seed, trace=trace)
        frames = np.array(prepared.plan.label_frames)
        boxes = UprightBoxes.stack([first.box] * len(frames))
        boxes.centers[:, 0] += 0.5 * frames
        velocities = np.tile([0.5, 0.0], (len(frames), 1))
        motion = Motion(frames=frames, boxes=boxes, velocities=velocities)
        return [replace(first, is_moving=True, motion=motion), *others]


def test_what_moves_is_labelled_frame_by_frame_and_handed_on(request_for, street, tmp_path):
    request = request_for()
    label(request, labeler_factory=Moving)
    labels = read_labels(request.output)
    is_moving = labels["is_moving"].to_numpy()
    assert is_moving.any() and not is_moving.all()
    assert labels["velocity_x_world"].to_pylist() == (0.5 * is_moving).tolist()
    assert labels["velocity_y_world"].to_pylist() == [0.0] * len(labels)
    moving = labels.filter(pa.array(is_moving)).to_pandas()
    ways = moving.groupby(["group_id", "instance_id"])[["frame", "x_world"]].agg(["min", "max"])
    lengths = ways["x_world", "max"] - ways["x_world", "min"]
    assert lengths.max() > 0
    np.testing.assert_allclose(lengths, 0.5 * (ways["frame", "max"] - ways["frame", "min"]))
    believed = Selection(keep_doubtful=False)
    summary = export(request.output, street, tmp_path / "tracks", format="kitti-tracking", selection=believed)
    assert summary.boxes == len(labels) and not summary.left_out
