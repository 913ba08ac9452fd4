"""The sink without Ray: groups that share frames end in any order, and runs are killed between any two writes."""

import itertools
import re
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import (
    make_drive,
    make_drive_plan,
    make_label,
    make_labels,
    make_plan,
    make_result,
    make_sink,
    make_table,
    write_manifest,
)

from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.errors import OutputError
from vsrd_ray.labels.boxes.convert import labels_to_kitti
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.runs.plan import DrivePlan
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.results import GroupResult
from vsrd_ray.runs.sink import Sink
from vsrd_ray.runs.store import GroupStore
from vsrd_ray.runs.tables import LabelTable

EMPTY_FRAME = 9
X_CAM = 11  # column of KITTI text; holds the instance here


def group(name: str, frames: tuple[int, ...], instance_ids: tuple[int, ...]) -> GroupPlan:
    return make_plan(f"s-image_00-{name}", frames, instance_ids)


A = group("w00000", (1, 2, 3), (26001, 26005))
B = group("w00001", (2, 3, 4), (26003,))
C = group("w00002", (3, 6), (26002, 26004))


def plan_of(*groups: GroupPlan, fingerprint: str = "f", camera: str = "image_00") -> DrivePlan:
    drive = make_drive("s", camera=camera)
    return make_drive_plan(*groups, empty_frames=(EMPTY_FRAME,), fingerprint=fingerprint, drive=drive)


def renamed(plan: DrivePlan, camera: str, *group_ids: str) -> DrivePlan:
    """The same groups, but of another camera and under other ids."""
    groups = zip(plan.groups, group_ids, strict=True)
    return plan_of(*(replace(group, camera=camera, group_id=name) for group, name in groups), camera=camera)


SCENE = plan_of(A, B, C)
PUBLISHED = plan_of(*(group(f"{n:010d}", (n, n + 1), (26001 + n, 26003 - n)) for n in (0, 2, 4)))
# Of a dataset that names cameras otherwise, by a labeler that names groups otherwise.
FRONT = renamed(SCENE, "CAM_FRONT", *(f"s-CAM_FRONT-{name}" for name in ("0000000001", "0000000002", "0000000003")))
TRACKS = renamed(SCENE, "cam 1", "s-n015-2018.track", "s-7", "s-Straße (left)")
# Beside boxes, another kind of label, which has no texts.
SPOTS = LabelTable(
    name="spots",
    folder="spots",
    schema=pa.schema([("frame", pa.int32()), ("group_id", pa.string()), ("at", pa.list_(pa.float32()))]),
    sort_by=(),
)


def result_of(group: GroupPlan, *, failing: bool = False) -> GroupResult:
    if failing:
        return make_result(group.group_id, error="why")
    rows = (
        make_label(frame, n, x_cam=float(n), group_id=group.group_id, camera=group.camera)
        for frame in group.label_frames
        for n in sorted(group.instance_ids)
    )
    spots = [{"frame": frame, "group_id": group.group_id, "at": [frame, 0.5]} for frame in group.label_frames]
    result = make_result(group.group_id, labels=make_labels(*rows))
    return replace(result, tables={**(result.tables or {}), "spots": pa.Table.from_pylist(spots, SPOTS.schema)})


def run(
    output: Path,
    plan: DrivePlan = SCENE,
    *,
    order=(0, 1, 2),
    limit: int | None = None,
    failing=(),
    groups_a_file: int = 512,
    more: tuple[LabelTable, ...] = (),
) -> Sink:
    """What a run does with its sink: takes over what is there, and commits the wanted groups in some order."""
    sink = make_sink(output, make_table(groups_a_file=groups_a_file), *more)
    sink.clear_debris()
    wanted = {group.group_id for group in plan.groups[:limit]}
    earlier = sink.prepare(plan, wanted=wanted)
    write_manifest(output, camera=plan.drive.camera.name)
    for group in (plan.groups[position] for position in order):
        if group.group_id in wanted and group.group_id not in earlier.committed:
            sink.commit(group, result_of(group, failing=group in failing), attempts=1)
    return sink


def texts(output: Path) -> dict[int, str]:
    return texts_under(output / "kitti")


def texts_under(folder: Path) -> dict[int, str]:
    return {int(path.stem): path.read_text() for path in sorted(folder.rglob("*.txt"))}


def boxes(output: Path) -> dict[int, list[int]]:
    """Instances of the text of each frame, in its order."""
    lines = {frame: text.splitlines() for frame, text in texts(output).items()}
    return {frame: [int(float(line.split()[X_CAM])) for line in some] for frame, some in lines.items()}


def converted(output: Path) -> dict[int, str]:
    """What `vsrd-ray convert` makes of labels and groups alone."""
    with TemporaryDirectory() as folder:
        labels_to_kitti(output, Path(folder))
        return texts_under(Path(folder))


class Killed(BaseException):
    """Nothing in the code under test catches it."""


def kill_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """From then on only so many files are renamed or removed, and the next one ends the process."""
    left = itertools.count(steps, -1)

    def limited(method):
        def step(*arguments, **options):
            if next(left) <= 0:
                raise Killed
            return method(*arguments, **options)

        return step

    patch.setattr(Path, "replace", limited(Path.replace))
    patch.setattr(Path, "unlink", limited(Path.unlink))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_texts_hold_all_groups_in_whatever_order_they_end(tmp_path, files_in, order):
    run(tmp_path / "one")
    run(tmp_path / "other", order=order)
    assert files_in(tmp_path / "other", "") == files_in(tmp_path / "one", "")
    assert boxes(tmp_path / "other") == {
        1: [26001, 26005],
        2: [26001, 26003, 26005],
        3: [26001, 26002, 26003, 26004, 26005],
        4: [26003],
        6: [26002, 26004],
        EMPTY_FRAME: [],
    }
    assert texts(tmp_path / "other") == converted(tmp_path / "other")


def test_text_waits_for_the_last_of_its_groups(tmp_path):
    sink = make_sink(tmp_path)
    sink.prepare(SCENE, wanted={g.group_id for g in SCENE.groups})
    frames = []
    for group in (C, A, B):
        sink.commit(group, result_of(group), attempts=1)
        frames.append(list(texts(tmp_path)))
    assert frames == [[6, 9], [1, 6, 9], [1, 2, 3, 4, 6, 9]]


def test_failed_group_leaves_its_frames_without_text_until_it_succeeds(tmp_path, files_in):
    run(tmp_path / "whole")
    for _ in range(2):
        run(tmp_path / "output", failing=[B])
        assert boxes(tmp_path / "output") == {1: [26001, 26005], 6: [26002, 26004], EMPTY_FRAME: []}
        assert texts(tmp_path / "output") == converted(tmp_path / "output")
    run(tmp_path / "output", limit=1)  # it still stands as failed
    assert list(texts(tmp_path / "output")) == [1, 6, EMPTY_FRAME]
    run(tmp_path / "output")
    assert files_in(tmp_path / "output", "") == files_in(tmp_path / "whole", "")


def test_texts_gain_the_boxes_of_groups_beyond_a_limit(tmp_path, files_in):
    run(tmp_path / "whole")
    run(tmp_path / "output", limit=1)
    assert boxes(tmp_path / "output") == {1: [26001, 26005], 2: [26001, 26005], 3: [26001, 26005], EMPTY_FRAME: []}
    assert texts(tmp_path / "output") == converted(tmp_path / "output")
    run(tmp_path / "output")
    whole = files_in(tmp_path / "whole", "")
    assert files_in(tmp_path / "output", "") == whole
    run(tmp_path / "output", limit=1)  # nothing is taken back
    assert files_in(tmp_path / "output", "") == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "groups_a_file", "more"),
    [
        *((SCENE, count, ()) for count in (1, 2, 512)),
        *((PUBLISHED, count, ()) for count in (1, 2, 512)),
        (TRACKS, 2, (SPOTS,)),
    ],
    ids=[*(f"{name}-{count}" for name in ("scene", "published") for count in (1, 2, 512)), "two kinds of tracks"],
)
def test_run_that_is_killed_between_any_two_writes_goes_on(
    tmp_path, files_in, monkeypatch, *, plan, groups_a_file, more
):
    """One run labels the first group, one of all groups is killed, one has a limit again, and one labels the rest.

    Whatever is killed, no row of the datasets is ever there twice.
    """
    label = partial(run, plan=plan, groups_a_file=groups_a_file, more=more)
    label(tmp_path / "whole")
    for steps in itertools.count():
        output = tmp_path / f"killed-{steps}"
        label(output, limit=1)
        was_killed = False
        with monkeypatch.context() as patch:
            kill_after(patch, steps)
            try:
                label(output, order=(2, 0, 1))
            except Killed:
                was_killed = True
        check_nothing_is_twice(output)
        label(output, limit=2 if steps % 2 else 1)
        check_nothing_is_twice(output)
        assert texts(output) == converted(output), steps
        label(output, order=(1, 2, 0))
        assert files_in(output, "") == files_in(tmp_path / "whole", ""), steps
        if not was_killed:
            break
    assert steps > 10


@pytest.mark.parametrize("plan", [FRONT, TRACKS], ids=["front", "tracks"])
def test_groups_are_found_again_whatever_their_names(tmp_path, monkeypatch, plan):
    """As after a kill: two of three are committed, and nobody has put anything together."""
    a, _, c = plan.groups
    wanted = {group.group_id for group in plan.groups}
    sink = make_sink(tmp_path)
    sink.prepare(plan, wanted=wanted)
    for group in (a, c):
        sink.commit(group, result_of(group), attempts=1)
    monkeypatch.setattr(GroupStore, "write", lambda *arguments: pytest.fail("labelled again"))
    earlier = make_sink(tmp_path).prepare(plan, wanted=wanted)
    assert (earlier.committed, earlier.attempts) == ({a.group_id, c.group_id}, {})
    assert sorted(path.stem for path in (tmp_path / "groups").iterdir()) == sorted([a.group_id, c.group_id])


def test_drives_whose_names_begin_alike_keep_apart(tmp_path, files_in):
    """Both write marks into one folder: those of `s-CAM` begin with the other drive's name and a dash as well."""
    other = make_drive_plan(
        *(replace(group, group_id=f"s-CAM-{n}", sequence="s-CAM") for n, group in enumerate(SCENE.groups)),
        drive=make_drive("s-CAM"),
    )
    for output, order in ((tmp_path / "one", (SCENE, other)), (tmp_path / "two", (other, SCENE))):
        for plan in (*order, *order):
            sink = make_sink(output)
            earlier = sink.prepare(plan, wanted={group.group_id for group in plan.groups})
            for group in plan.groups[:2]:  # the third one is never done, so that fragments stay
                if group.group_id not in earlier.committed:
                    sink.commit(group, result_of(group), attempts=1)
            assert earlier.committed in (set(), {group.group_id for group in plan.groups[:2]})
    changed = replace(SCENE, fingerprint="g")
    make_sink(tmp_path / "one").prepare(changed, wanted=set())
    left, before = (files_in(tmp_path / name, "groups", "labels") for name in ("one", "two"))
    assert left == {name: data for name, data in before.items() if "CAM" in name}


def test_every_kind_of_label_has_the_same_files(tmp_path):
    sink = run(tmp_path, groups_a_file=2, more=(SPOTS,), failing=[B])
    for folder in ("labels/sequence=s", "spots/sequence=s"):
        names = [path.name for path in sorted((tmp_path / folder).iterdir())]
        assert names == ["s-image_00-part00000.parquet", "s-image_00-part00001.parquet"]
    spots = pq.ParquetDataset(tmp_path / "spots").read()
    assert spots["frame"].to_pylist() == [1, 2, 3, 3, 6] and spots["at"][4].as_py() == [6.0, 0.5]
    assert sink.recorded([], "image_00").rows == {"boxes": 10, "spots": 5}
    (tmp_path / "spots" / "sequence=s" / "s-image_00-part00001.parquet").unlink()
    earlier = make_sink(tmp_path, make_table(groups_a_file=2), SPOTS).prepare(SCENE, wanted=set())
    assert earlier.committed == {A.group_id}  # a group is labelled where it has its labels of every kind


def check_nothing_is_twice(output: Path) -> None:
    groups = read_groups(output)["group_id"].to_pylist()
    boxes = read_labels(output).select(["frame", "instance_id", "group_id"]).to_pylist()
    assert len(set(groups)) == len(groups)
    assert len({tuple(box.values()) for box in boxes}) == len(boxes)


def test_groups_that_ended_lie_in_compacted_files_in_the_order_of_the_plan(tmp_path):
    run(tmp_path, order=(2, 1, 0), failing=[B], groups_a_file=2)
    for folder in ("groups", "labels/sequence=s"):
        names = [path.name for path in sorted((tmp_path / folder).iterdir())]
        assert names == ["s-image_00-part00000.parquet", "s-image_00-part00001.parquet"]
    first = pq.read_table(tmp_path / "groups" / "s-image_00-part00000.parquet")
    assert first["group_id"].to_pylist() == [A.group_id, B.group_id]
    assert first["status"].to_pylist() == ["ok", "failed"]


def test_failed_group_that_is_tried_again_is_never_there_twice(tmp_path, files_in):
    """Of two failed groups of a file one succeeds, and the run is stopped before the other is done."""
    run(tmp_path, failing=[A, B])
    sink = make_sink(tmp_path)
    earlier = sink.prepare(SCENE, wanted={group.group_id for group in SCENE.groups})
    assert earlier.attempts == {A.group_id: 1, B.group_id: 1}
    check_nothing_is_twice(tmp_path)
    sink.commit(A, result_of(A), attempts=2)
    check_nothing_is_twice(tmp_path)
    assert [row["group_id"] for row in sink.recorded([], "image_00").failed] == [B.group_id]
    assert sink.recorded([], "image_00").groups == 3


def test_groups_of_an_unfinished_file_are_fragments(tmp_path):
    sink = make_sink(tmp_path)
    sink.prepare(SCENE, wanted={group.group_id for group in SCENE.groups})
    sink.commit(B, result_of(B), attempts=1)
    assert [path.stem for path in (tmp_path / "groups").iterdir()] == [B.group_id]
    assert [path.stem for path in (tmp_path / "labels" / "sequence=s").iterdir()] == [B.group_id]


def test_missing_text_is_written_again_and_a_sound_one_stays(tmp_path, files_in):
    run(tmp_path)
    folder = tmp_path / "kitti" / "s" / "image_00" / "label_2"
    before = files_in(tmp_path, "")
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    for frame in (3, EMPTY_FRAME):
        (folder / f"{frame:010d}.txt").unlink()
    run(tmp_path)
    assert files_in(tmp_path, "") == before
    changed = {path.name for path in folder.iterdir() if path.stat().st_mtime_ns != times[path.name]}
    assert changed == {"0000000003.txt", f"{EMPTY_FRAME:010d}.txt"}


def test_frames_of_changed_inputs_keep_no_earlier_text(tmp_path, files_in):
    """Windows of the same names now label other frames, and what was labelled before is empty."""
    run(tmp_path / "output")
    changed = plan_of(group("w00000", (1,), (26001,)), group("w00001", (2, 3), (26003,)), fingerprint="g")
    changed = replace(changed, empty_frames=(4, 6, EMPTY_FRAME))
    run(tmp_path / "output", changed, order=(0, 1))
    run(tmp_path / "new", changed, order=(0, 1))
    files = files_in(tmp_path / "output", "")
    kept = {name for name in files if name.startswith("superseded/s-1/")}
    assert {name.split("/")[2] for name in kept} == {"groups", "labels", "index", "kitti"}
    assert {name: content for name, content in files.items() if name not in kept} == files_in(tmp_path / "new", "")
    assert boxes(tmp_path / "output") == {1: [26001], 2: [26003], 3: [26003], 4: [], 6: [], EMPTY_FRAME: []}


def test_groups_whose_labels_are_gone_are_labelled_again(tmp_path, files_in, caplog):
    run(tmp_path)
    whole = files_in(tmp_path, "")
    part = tmp_path / "labels" / "sequence=s" / "s-image_00-part00000.parquet"
    part.unlink()
    run(tmp_path)
    assert f"{part} is gone: its groups are labelled again." in caplog.text
    assert files_in(tmp_path, "") == whole


@pytest.mark.parametrize("folder", ["labels/sequence=s", "groups"])
def test_torn_file_is_named_with_its_mend(tmp_path, files_in, folder):
    run(tmp_path)
    whole = files_in(tmp_path, "")
    part = tmp_path / folder / "s-image_00-part00000.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with suppress(OutputError):  # a drive whose groups are not known is left out
        run(tmp_path)
    (said,) = make_sink(tmp_path, make_table()).recorded(["s"], "image_00").unreadable.values()
    assert re.fullmatch(rf"{part}: cannot be read as Parquet \(.*\); remove it, and label again", said)
    part.unlink()
    run(tmp_path)
    assert files_in(tmp_path, "") == whole


def test_sequence_without_its_index_is_not_finished(tmp_path):
    sink = run(tmp_path)
    sink.close("s")
    assert sink.finished_groups("s", "image_00", SCENE.fingerprint) == 3
    (tmp_path / "index" / "s.parquet").unlink()
    assert sink.finished_groups("s", "image_00", SCENE.fingerprint) is None
    earlier = make_sink(tmp_path).prepare(SCENE, wanted={group.group_id for group in SCENE.groups})
    assert len(earlier.committed) == 3  # the note told which inputs the labels are of
    assert (tmp_path / "index" / "s.parquet").exists()


def test_records_of_a_group_that_is_planned_otherwise_now_do_not_count(tmp_path, files_in):
    """As after an update of the package, with which the same inputs make other groups."""
    other = plan_of(A, group("w00001", (2, 3), (26003,)), C)
    run(tmp_path / "old", other)
    run(tmp_path / "old")
    run(tmp_path / "new")
    assert files_in(tmp_path / "old", "labels", "kitti") == files_in(tmp_path / "new", "labels", "kitti")
