"""The sink without Ray: groups that share frames end in any order, and runs are killed between any two writes."""

import itertools
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.data.frames import GroupPlan, Sequence
from vsrd_ray.data.index import INDEX_SCHEMA
from vsrd_ray.errors import OutputError
from vsrd_ray.labels.convert import labels_to_kitti
from vsrd_ray.labels.schema import LABEL_SCHEMA
from vsrd_ray.pipeline.plan import SequencePlan, earlier_results
from vsrd_ray.pipeline.results import GroupResult
from vsrd_ray.pipeline.sink import Sink

SAMPLES = {pa.string(): "x", pa.bool_(): False, pa.float64(): 0.5, LABEL_SCHEMA.field("shape").type: [0.5]}
EMPTY_FRAME = 9
X_CAM = 11  # column of KITTI text; holds the instance here


def group(name: str, frames: tuple[int, ...], instance_ids: tuple[int, ...]) -> GroupPlan:
    views, best = (frames,) * len(instance_ids), (frames[0],) * len(instance_ids)
    return GroupPlan(f"s-image_00-{name}", "s", "image_00", frames[0], frames[1:], frames, instance_ids, views, best)


A = group("w00000", (1, 2, 3), (26001, 26005))
B = group("w00001", (2, 3, 4), (26003,))
C = group("w00002", (3, 6), (26002, 26004))


def plan_of(*groups: GroupPlan, fingerprint: str = "f") -> SequencePlan:
    sequence = Sequence(Path(), "s", "image_00", np.eye(3), (100, 50), {}, ())
    shown = {(frame, number) for group in groups for frame in group.label_frames for number in group.instance_ids}
    rows = [{"frame": f, "instance_id": n, "class_name": "car", "area": 1} for f, n in sorted(shown)]
    index = pa.Table.from_pylist([*rows, {"frame": EMPTY_FRAME}], schema=INDEX_SCHEMA)
    return SequencePlan(sequence, index, fingerprint, groups, (EMPTY_FRAME,))


SCENE = plan_of(A, B, C)
PUBLISHED = plan_of(*(group(f"{n:010d}", (n, n + 1), (26001 + n, 26003 - n)) for n in (0, 2, 4)))


def result_of(group: GroupPlan, *, failing: bool = False) -> GroupResult:
    rows = [
        {field.name: SAMPLES.get(field.type, 0) for field in LABEL_SCHEMA}
        | {"camera": group.camera, "frame": frame, "instance_id": n, "x_cam": float(n), "group_id": group.group_id}
        for frame in group.label_frames
        for n in sorted(group.instance_ids)
    ]
    labels = None if failing else pa.Table.from_pylist(rows, schema=LABEL_SCHEMA)
    return GroupResult(group.group_id, "why" if failing else None, 0.0, labels, trace=None)


def run(output: Path, plan: SequencePlan = SCENE, *, order=(0, 1, 2), limit: int | None = None, failing=()) -> None:
    """What a run does with its sink: takes over what is there, and commits the wanted groups in some order."""
    sink = Sink(output)
    sink.clear_debris()
    recorded = sink.recorded_groups()
    manifest = output / "manifest.json"
    before = json.loads(manifest.read_text())["inputs"]["fingerprint"] if manifest.exists() else plan.fingerprint
    earlier = earlier_results([plan], recorded, fingerprints={"s": before})
    wanted = [group.group_id for group in plan.groups][:limit]
    sink.write_index(plan)
    sink.prepare(plan, wanted=wanted, earlier=earlier, recorded=recorded)
    inputs = {"sequences": ["s"], "camera": "image_00", "classes": ["car"], "fingerprint": plan.fingerprint}
    manifest.write_text(json.dumps({"inputs": inputs}))
    for group in (plan.groups[position] for position in order):
        if group.group_id in wanted and group.group_id not in earlier.committed:
            sink.commit(group, result_of(group, failing=group in failing), attempts=1)


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
    sink = Sink(tmp_path)
    nothing = earlier_results([SCENE], {}, fingerprints={})
    sink.prepare(SCENE, wanted=[g.group_id for g in SCENE.groups], earlier=nothing, recorded={})
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


@pytest.mark.parametrize("plan", [SCENE, PUBLISHED], ids=["scene", "published"])
def test_run_that_is_killed_between_any_two_writes_goes_on(tmp_path, files_in, monkeypatch, plan):
    """One run labels the first group, one of all groups is killed, one has a limit again, and one labels the rest."""
    run(tmp_path / "whole", plan)
    for steps in itertools.count():
        output = tmp_path / f"killed-{steps}"
        run(output, plan, limit=1)
        was_killed = False
        with monkeypatch.context() as patch:
            kill_after(patch, steps)
            try:
                run(output, plan, order=(2, 0, 1))
            except Killed:
                was_killed = True
        run(output, plan, limit=2 if steps % 2 else 1)
        assert texts(output) == converted(output), steps
        run(output, plan, order=(1, 2, 0))
        assert files_in(output, "") == files_in(tmp_path / "whole", ""), steps
        if not was_killed:
            break
    assert steps > 10


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
    changed = SequencePlan(changed.sequence, changed.index, "g", changed.groups, (4, 6, EMPTY_FRAME))
    run(tmp_path / "output", changed, order=(0, 1))
    run(tmp_path / "new", changed, order=(0, 1))
    assert files_in(tmp_path / "output", "") == files_in(tmp_path / "new", "")
    assert boxes(tmp_path / "output") == {1: [26001], 2: [26003], 3: [26003], 4: [], 6: [], EMPTY_FRAME: []}


def test_missing_labels_of_a_finished_group_are_named_with_their_mend(tmp_path, files_in):
    run(tmp_path)
    whole = files_in(tmp_path, "")
    (tmp_path / "labels" / "sequence=s" / f"{B.group_id}.parquet").unlink()
    text = tmp_path / "kitti" / "s" / "image_00" / "label_2" / "0000000004.txt"
    text.unlink()
    mark = tmp_path / "groups" / f"{B.group_id}.parquet"
    with pytest.raises(OutputError, match=rf"{B.group_id}\.parquet: the labels .* cannot be read .* remove {mark} to"):
        run(tmp_path)
    mark.unlink()
    run(tmp_path)
    assert files_in(tmp_path, "") == whole
