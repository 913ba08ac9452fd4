"""Fragments and compacted files, in a local folder and in an object store.

Runs are killed between any two requests to the latter.
"""

import itertools
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest
from builders import make_label, make_labels, make_mark, make_plan, make_store, make_table
from upath import UPath

from vsrd_ray import storage
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs import store
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.store import GroupStore

PREFIX = "s-image_00-"
FAILED = 3  # the frame of the group that has no labels


def plan_of(frame: int) -> GroupPlan:
    return make_plan(f"{PREFIX}{frame:010d}", (frame,), (26001, 26002))


GROUPS = tuple(plan_of(frame) for frame in (1, 2, 3, 5, 8))


def labels_of(group: GroupPlan) -> pa.Table:
    rows = (make_label(group.target_frame, number, group_id=group.group_id) for number in group.instance_ids)
    return make_labels(*rows)


def tables_of(group: GroupPlan) -> dict[str, pa.Table]:
    return {"boxes": labels_of(group)}


def mark_of(group: GroupPlan) -> dict:
    failed = group.target_frame == FAILED
    outcome = {"status": "failed", "error": "why"} if failed else {"status": "ok", "error": None}
    return make_mark(group.group_id, group.label_frames, instance_ids=group.instance_ids, **outcome)


def opened(output: Path | UPath) -> GroupStore:
    return make_store(output, GROUPS, make_table(groups_a_file=2))


def run(output: Path | UPath, *, order: tuple[int, ...] = (0, 1, 2, 3, 4)) -> None:
    """What a run does with a store: goes on from what is marked, and compacts each file once its groups have ended."""
    groups = opened(output)
    done = groups.records()
    groups.clear(done)
    for group in (GROUPS[position] for position in order):
        if group.group_id not in done:
            groups.write(group, None if group.target_frame == FAILED else tables_of(group), mark_of(group))
    for number in groups.files_with_fragments():
        groups.compact(number)


def files(output: Path | UPath) -> dict[str, bytes]:
    """Name and content of every file, hidden ones included."""
    folders = ("groups", "labels/sequence=s")
    found = ((f"{folder}/{name}", output / folder / name) for folder in folders for name in names(output / folder))
    return {name: storage.read_bytes(path) for name, path in found}


def names(folder: Path | UPath) -> list[str]:
    return storage.names_in(folder)


@pytest.fixture(params=["local", "memory"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Path | UPath:
    return tmp_path if request.param == "local" else UPath(f"memory://{uuid4().hex}")


def test_compacted_files_are_the_same_in_whatever_order_groups_end(output, tmp_path):
    run(output, order=(4, 2, 0, 3, 1))
    run(tmp_path / "other")
    assert files(output) == files(tmp_path / "other")
    files_of_two = [f"{PREFIX}part{number:05d}.parquet" for number in range(3)]
    assert list(files(output)) == [
        f"{folder}/{name}" for folder in ("groups", "labels/sequence=s") for name in files_of_two
    ]
    assert read_labels(output)["frame"].to_pylist() == [1, 1, 2, 2, 5, 5, 8, 8]
    assert read_groups(output)["status"].to_pylist() == ["ok", "ok", "failed", "ok", "ok"]


def test_fragments_of_a_version_that_knew_no_velocities_are_compacted(tmp_path):
    """Half of the groups were labelled by the version before."""
    new = ["velocity_x_world", "velocity_y_world"]
    groups = opened(tmp_path)
    for group in GROUPS[:2]:
        groups.write(group, {"boxes": labels_of(group).drop_columns(new)}, mark_of(group))
    run(tmp_path)
    for path in (tmp_path / "labels/sequence=s").iterdir():
        assert storage.read_table(path).schema.equals(LABEL_SCHEMA, check_metadata=True)
    labels = read_labels(tmp_path)
    for name in new:
        assert labels[name].to_pylist() == [None, None, None, None, 0.0, 0.0, 0.0, 0.0]


def test_group_is_a_fragment_until_its_file_is_compacted(output):
    groups = opened(output)
    groups.write(GROUPS[1], tables_of(GROUPS[1]), mark_of(GROUPS[1]))
    groups.write(GROUPS[2], None, mark_of(GROUPS[2]))
    fragments = [f"{group.group_id}.parquet" for group in GROUPS[1:3]]
    assert names(output / "groups") == fragments
    assert names(output / "labels/sequence=s") == fragments[:1]
    assert groups.files_with_fragments() == [0, 1]
    groups.compact(0)
    assert groups.files_with_fragments() == [1]
    assert names(output / "groups") == [fragments[1], f"{PREFIX}part00000.parquet"]
    assert opened(output).records().keys() == {group.group_id for group in GROUPS[1:3]}


def test_groups_that_end_later_join_the_file_that_is_there(output, tmp_path):
    first = opened(output)
    first.write(GROUPS[1], tables_of(GROUPS[1]), mark_of(GROUPS[1]))
    first.compact(0)
    run(output)
    run(tmp_path / "other")
    assert files(output) == files(tmp_path / "other")


def test_fragment_counts_before_the_compacted_file_that_says_otherwise(output):
    run(output)
    groups = opened(output)
    group = GROUPS[2]
    assert groups.records()[group.group_id]["status"] == "failed"
    groups.write(group, tables_of(group), mark_of(group) | {"status": "ok", "error": None})
    assert opened(output).records()[group.group_id]["status"] == "ok"
    groups.compact(1)
    assert opened(output).records()[group.group_id]["status"] == "ok"
    assert read_labels(output)["frame"].to_pylist() == [1, 1, 2, 2, 3, 3, 5, 5, 8, 8]


@pytest.mark.parametrize("cached", [1, 2**20])
def test_rows_come_from_fragments_compacted_files_and_memory_alike(output, monkeypatch, cached):
    monkeypatch.setattr(store, "_CACHED_BYTES", cached)
    run(output, order=(0, 1))
    groups = opened(output)
    groups.write(GROUPS[3], tables_of(GROUPS[3]), mark_of(GROUPS[3]))
    wanted = (GROUPS[3], GROUPS[0], GROUPS[1])
    expected = pa.concat_tables([labels_of(group) for group in wanted])
    for _ in range(2):
        assert groups.rows("boxes", wanted).equals(expected)
    assert groups.rows("boxes", ()).num_rows == 0


def test_memory_holds_as_many_bytes_of_rows_as_it_may(tmp_path, monkeypatch):
    """The last two groups, however often they are written and read; and of a larger one itself."""
    size = labels_of(GROUPS[0]).nbytes
    assert {labels_of(group).nbytes for group in GROUPS} == {size}
    monkeypatch.setattr(store, "_CACHED_BYTES", int(2.5 * size))  # rows that were read take some bytes more
    groups, read = opened(tmp_path), []
    read_labels_of = groups._read_labels

    def reading(kind: str, name: str) -> pa.Table:
        read.append((kind, name))
        return read_labels_of(kind, name)

    monkeypatch.setattr(groups, "_read_labels", reading)
    a, b, c = (replace(group, label_frames=(group.target_frame,)) for group in GROUPS[:2] + GROUPS[3:4])
    for group in (a, b, b, c, c):
        groups.write(group, tables_of(group), mark_of(group))
    for _ in range(2):
        groups.rows("boxes", (b, c))
    assert read == []
    groups.rows("boxes", (a,))
    groups.rows("boxes", (c, a))
    assert read == [("boxes", a.group_id)]
    monkeypatch.setattr(store, "_CACHED_BYTES", size // 2)
    groups.rows("boxes", (b,))
    groups.rows("boxes", (b,))
    assert read == [("boxes", a.group_id), ("boxes", b.group_id)]
    assert groups.rows("boxes", (a, b, c)).equals(pa.concat_tables(map(labels_of, (a, b, c))))


def test_files_of_other_sequences_and_of_people_stay(output):
    others = ("s2-image_00-0000000001.parquet", "s-image_01-part00000.parquet", f"{PREFIX}mine.parquet", "notes.txt")
    for folder, name in itertools.product(("groups", "labels/sequence=s"), others):
        storage.make_folder(output / folder)
        (output / folder / name).write_bytes(b"mine")
    run(output)
    opened(output).clear(())
    assert files(output).keys() == {f"{folder}/{name}" for folder in ("groups", "labels/sequence=s") for name in others}


class Killed(BaseException):
    """Nothing in the code under test catches it."""


def kill_after(patch: pytest.MonkeyPatch, steps: int, kind: type) -> None:
    """From then on an object store takes only so many changes, and the next one ends the process."""
    left = itertools.count(steps, -1)

    def limited(method):
        def step(*arguments, **options):
            if next(left) <= 0:
                raise Killed
            return method(*arguments, **options)

        return step

    for name in ("put_file", "cp_file", "rm", "rm_file"):
        patch.setattr(kind, name, limited(getattr(kind, name)))


@pytest.mark.slow
def test_run_that_is_killed_between_any_two_changes_of_an_object_store_goes_on(tmp_path, monkeypatch):
    """And whoever reads meanwhile finds no row twice."""
    run(tmp_path)
    undisturbed = files(tmp_path)
    for steps in itertools.count():
        output = UPath(f"memory://{uuid4().hex}")
        try:
            with monkeypatch.context() as patch:
                kill_after(patch, steps, type(output.fs))
                run(output)
            break
        except Killed:
            pass
        for table, keys in ((read_groups, ["group_id"]), (read_labels, ["frame", "instance_id"])):
            if storage.is_folder(output / table.__name__.removeprefix("read_")):
                rows = table(output).select(keys).to_pylist()
                assert len(rows) == len({tuple(row.values()) for row in rows}), steps
        run(output)
        assert files(output) == undisturbed, steps
    assert steps > 20
