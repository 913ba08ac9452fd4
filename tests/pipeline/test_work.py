"""What is done with groups, in this process."""

from functools import partial
from pathlib import Path

import cv2
import pyarrow as pa
import pytest
import torch
from builders import make_loaded, make_result, make_work
from standin import StandIn

from vsrd_ray.data.groups import GroupTask, GroupTasks
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labelers.vsrd.grouping import plan_groups
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.pipeline.work import Work
from vsrd_ray.runs.results import Seconds

SEQUENCE = "2013_05_28_drive_0000_sync"
CAMERA = "image_00"


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.fixture
def tasks(root: Path, config: VSRDConfig) -> list[GroupTask]:
    """All groups of a street that a test may spoil."""
    sequence = open_drive(root, SEQUENCE)
    index = index_frames(sequence, all_frames(sequence))
    plans = plan_groups(index, sequence=SEQUENCE, camera=CAMERA, settings=config.grouping, classes=("car",))
    tasks = GroupTasks(sequence, index)
    return [tasks.task(plan) for plan in plans]


@pytest.fixture
def work(config: VSRDConfig):
    """Makes the work of a run whose labeler fails for some groups."""

    def make(*failing: str, trace: bool = False) -> Work:
        return make_work(partial(StandIn, failing=frozenset(failing)), config, trace=trace)

    return make


def labeler_of(work: Work) -> StandIn:
    labeler = work.labeler()
    labeler.setup()
    return labeler  # pyright: ignore[reportReturnType] - the factory is this module's


def ids(tasks: list[GroupTask]) -> list[str]:
    return [task.plan.group_id for task in tasks]


def test_group_whose_mask_was_damaged_after_indexing_fails_and_says_why(root, tasks, work):
    mask = paths.mask_file(root, SEQUENCE, CAMERA, tasks[1].plan.target_frame)
    mask.write_bytes(mask.read_bytes()[:-100])
    preparer = work().preparer()
    loaded = work().load(preparer, tasks[1])
    assert (loaded.group_id, loaded.prepared) == (tasks[1].plan.group_id, None)
    assert loaded.error is not None
    assert loaded.error.startswith(f"UnreadableFrameError: {mask}: ")
    assert "\n" not in loaded.error
    result = work().label(labeler_of(work()), loaded)
    assert (result.group_id, result.error, result.tables) == (loaded.group_id, loaded.error, None)
    assert result.seconds == Seconds(load=loaded.seconds, fit=0.0)
    assert loaded.seconds > 0
    others = [task for task in tasks if mask_is_unused(task, tasks[1].plan.target_frame)]
    assert others
    assert all(work().load(preparer, task).error is None for task in others)


def mask_is_unused(task: GroupTask, frame: int) -> bool:
    return frame not in (task.plan.target_frame, *task.plan.source_frames)


def test_groups_that_are_labelled_together_are_labelled_as_each_alone(tasks, work):
    labeler = labeler_of(work())
    loaded = [work().load(labeler, task) for task in tasks]
    alone = [work().label(labeler, one) for one in loaded]
    together = work().label_together(labeler, loaded)
    assert [result.group_id for result in together] == ids(tasks)
    for one, same in zip(alone, together, strict=True):
        assert same.error is None
        assert list(same.tables) == ["boxes"] and same.tables["boxes"].equals(one.tables["boxes"])
        assert same.tables["boxes"].schema.equals(LABEL_SCHEMA)
        frames = tasks[ids(tasks).index(same.group_id)].plan.label_frames
        assert set(same.tables["boxes"]["frame"].to_pylist()) <= set(frames)
    assert sum(result.num_rows for result in together) > 0


def test_errors_of_groups_that_are_labelled_together_are_kept_apart(tasks, work):
    """One cannot be loaded, one cannot be fitted, the others are labelled."""
    lost, poisoned, *good = ids(tasks)
    labeler = labeler_of(work(poisoned))
    loaded = [work().load(labeler, task) for task in tasks]
    loaded[0] = make_loaded(lost, error="InputError: gone", seconds=0.25, attempts=2)
    results = {result.group_id: result for result in work(poisoned).label_together(labeler, loaded)}
    assert results[lost] == make_result(lost, error="InputError: gone", load=0.25, attempts=2)
    assert results[poisoned].error == "ValueError: this group is poisoned"
    assert results[poisoned].tables is None
    assert results.keys() - {lost, poisoned} == set(good)
    assert all(results[group_id].error is None and results[group_id].tables is not None for group_id in good)


def test_labels_that_are_none_of_the_kind_fail_their_group_alone(tasks, work, config):
    """One table is missing, one is of another schema, and one is of a frame of others; the last group is labelled."""
    missing, other, strange, *_, good = ids(tasks)

    class Careless(StandIn):
        def output(self, found, prepared, provenance):
            (rows,) = super().output(found, prepared, provenance).values()
            frames = pa.array([1234] * rows.num_rows, pa.int32())
            tables = {
                missing: {},
                other: {"boxes": rows.drop_columns(["seed"])},
                strange: {"boxes": rows.set_column(rows.column_names.index("frame"), "frame", frames)},
            }
            return tables.get(prepared.plan.group_id, {"boxes": rows})

    careless = make_work(Careless, config)
    labeler = labeler_of(careless)
    loaded = [careless.load(labeler, task) for task in tasks]
    together = {result.group_id: result for result in careless.label_together(labeler, loaded)}
    alone = {one.group_id: careless.label(labeler, one) for one in loaded}
    for results in (together, alone):
        errors = {name: result.error for name, result in results.items() if result.error is not None}
        assert errors.keys() == {missing, other, strange}
        assert errors[missing].startswith("TypeError: the labeler gave no table of boxes")
        assert errors[other].startswith("TypeError: the labeler's table of boxes has the schema")
        assert errors[strange] == "ValueError: the labeler gave boxes of frame 1234, which the group does not label"
        assert all(results[name].tables is None for name in errors)
        assert results[good].num_rows > 0


def test_batch_of_which_nothing_was_loaded_has_its_errors(tasks, work):
    loaded = [make_loaded(group_id, error=f"InputError: {n}") for n, group_id in enumerate(ids(tasks))]
    results = work().label_together(labeler_of(work()), loaded)
    assert [result.error for result in results] == [one.error for one in loaded]


def test_traces_are_kept_of_groups_that_come_together(tasks, work):
    traced = work(ids(tasks)[1], trace=True)
    labeler = labeler_of(traced)
    results = traced.label_together(labeler, [traced.load(labeler, task) for task in tasks])
    assert [result.error is None for result in results] == [n != 1 for n in range(len(tasks))]
    for task, result in zip(tasks, results, strict=True):
        assert result.trace is not None
        steps = [] if result.error else list(range(len(task.plan.instance_ids)))
        assert result.trace["step"].to_pylist() == steps if steps else result.trace.num_rows == 0
    assert work().label(labeler, traced.load(labeler, tasks[0])).trace is None


def test_labels_do_not_depend_on_the_tracing(tasks, work):
    labeler = labeler_of(work())
    loaded = work().load(labeler, tasks[0])
    assert work(trace=True).label(labeler, loaded).tables == work().label(labeler, loaded).tables


def test_threads_are_those_of_the_cpus_granted(config):
    work = make_work(StandIn, config, num_threads=2)
    work.labeler()
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)
    work.preparer()
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
