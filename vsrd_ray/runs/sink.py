"""The single writer of an output folder.

Every file is written whole or not at all. The KITTI text of a frame holds the boxes of all groups that label the frame,
and is written once the last of them has its mark: what texts are missing after a kill, the next run writes.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray import storage
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.data.index import load_index, stored_fingerprint, write_index
from vsrd_ray.labels.boxes.kitti import label_path, write_frame
from vsrd_ray.labels.boxes.parquet import is_human_file, write_piece
from vsrd_ray.labels.boxes.schema import GROUP_SCHEMA, LABEL_SCHEMA
from vsrd_ray.pipeline.plan import SequencePlan, is_record_of
from vsrd_ray.runs.coverage import Coverage
from vsrd_ray.runs.folder import rows_by_frame
from vsrd_ray.runs.results import GroupResult
from vsrd_ray.runs.store import EMPTY, GroupStore, dataset_of
from vsrd_ray.runs.trace import write_trace
from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import atomic_write

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp(\.\w+)?")  # what atomic_write writes to
_TEXT = re.compile(r"\d{10}\.txt")
_OWN = re.compile(r"(groups|index|labels/[^/]+)/[^/]+\.parquet")  # files that a note on a sequence is about
_NOTED = {"fingerprint", "groups", "sizes", "texts"}
_MARK = re.compile(r"\.?(.+-image_\d\d)-")
_FRAMES_AT_ONCE = 64  # that are gathered from the pieces of their groups together
_WRITERS = 16  # texts on their way to an object store at a time


@dataclass(frozen=True)
class Earlier:
    """What earlier runs left of the groups of a sequence."""

    committed: frozenset[str]  # ids of the groups that are labelled
    attempts: dict[str, int]  # of the groups that failed, by id


@dataclass
class _Open:
    """A sequence that groups are committed to."""

    plan: SequencePlan
    store: GroupStore
    coverage: Coverage
    num_ok: int  # groups that are labelled
    awaited: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))  # groups yet to end, by their part


class Sink:
    """Writes indexes, labels and marks of groups into an output folder, and says what is there.

    A sequence is prepared before any of its groups is committed, and closed after the last of them.
    """

    def __init__(self, output: Location) -> None:
        self.output = output
        self._open: dict[str, _Open] = {}

    @cached_property
    def _marks(self) -> dict[str, list[str]]:
        """Files in groups/ as the run found them, by the sequence and camera that they are named after."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in storage.names_in(self.output / "groups"):
            if match := _MARK.match(name):
                found[match[1]].append(name)
        return found

    def load_index(self, sequence: str, fingerprint: str) -> pa.Table | None:
        """The index of a sequence, if it is of the inputs with that fingerprint."""
        return load_index(self._index(sequence), fingerprint)

    def clear_debris(self) -> None:
        """Remove the temporary files of a run that was killed while it wrote to a local folder."""
        if storage.is_local(self.output):
            for path in self.output.rglob(".*"):
                if _TEMPORARY.fullmatch(path.name) and path.is_file():
                    path.unlink()

    def prepare(self, plan: SequencePlan, *, wanted: Set[str]) -> Earlier:
        """Take over what earlier runs left of a sequence, and clear it of what does not belong to the plan.

        What is of other inputs goes, and with it whatever is planned otherwise now. Label files that wait for a group
        go, and those that are missing are written. Files whose names no run would give stay.

        Args:
            plan: the sequence.
            wanted: ids of the groups that the run is about; frames do not wait for others that have no mark.
        """
        name, camera = plan.sequence.name, plan.sequence.camera
        indexed = stored_fingerprint(self._index(name))
        labelled = indexed or self._finished(name).get("fingerprint")  # of the inputs of the labels that are there
        storage.remove([self._note(name)])
        store = GroupStore(self.output, name, camera, plan.groups, marks=self._marks[f"{name}-{camera}"])
        groups = {group.group_id: group for group in plan.groups}
        records = store.records()
        is_same = labelled == plan.fingerprint and all(
            group_id in groups and is_record_of(row, groups[group_id]) for group_id, row in records.items()
        )
        records = records if is_same else {}
        storage.make_folder(self.output / "groups")
        store.clear(records)
        earlier = Earlier(
            committed=frozenset(group_id for group_id, row in records.items() if row["status"] == "ok"),
            attempts={group_id: row["attempts"] for group_id, row in records.items() if row["status"] != "ok"},
        )
        store.loosen(earlier.attempts.keys() & wanted)
        awaited = records.keys() | wanted
        coverage = Coverage([group for group in plan.groups if group.group_id in awaited], labelled=earlier.committed)
        opened = self._open[name] = _Open(plan, store, coverage, num_ok=len(earlier.committed))
        self._complete_texts(opened, anew=not is_same)
        if indexed != plan.fingerprint or not is_same:
            write_index(plan.index, self._index(name), plan.fingerprint)
        for group_id in wanted - earlier.committed:
            opened.awaited[store.part_of(group_id)].add(group_id)
        for part in store.parts_with_pieces():
            if part not in opened.awaited:
                store.compact(part)
        return earlier

    def commit(self, plan: GroupPlan, result: GroupResult, *, attempts: int) -> None:
        """Write what came of a group, the label files that waited for it, and the part that it was the last for.

        Args:
            plan: the group.
            result: what came of it.
            attempts: how often it has been tried, this time included.
        """
        opened = self._open[plan.sequence]
        mark = {
            "group_id": plan.group_id,
            "sequence": plan.sequence,
            "target_frame": plan.target_frame,
            "frames": plan.label_frames,
            "instance_ids": plan.instance_ids,
            "status": "ok" if result.error is None else "failed",
            "error": result.error,
            "attempts": attempts,
            "seconds": result.seconds.total,
        }
        if result.trace is not None:
            write_trace(result.trace, output=self.output, group_id=plan.group_id)
        opened.store.write(plan, result.labels, mark)
        if result.labels is not None:
            opened.num_ok += 1
            self._write_texts(opened, opened.coverage.add(plan))
        part = opened.store.part_of(plan.group_id)
        opened.awaited[part].remove(plan.group_id)
        if not opened.awaited[part]:
            opened.store.compact(part)

    def close(self, sequence: str) -> None:
        """Nothing more comes of a sequence in this run; if all of it is labelled, a note for the next run says so."""
        opened = self._open.pop(sequence)
        if opened.plan.groups and opened.num_ok == len(opened.plan.groups):
            note = {
                "fingerprint": opened.plan.fingerprint,
                "groups": opened.num_ok,
                "sizes": {name: self._size(name) for name in (*opened.store.files(), f"index/{sequence}.parquet")},
                "texts": len(self._texts_in(self._text(opened.plan, 0).parent)),
            }
            with atomic_write(self._note(sequence)) as temporary:
                temporary.write_text(json.dumps(note))

    def finished_groups(self, sequence: str, camera: str, fingerprint: str) -> int | None:
        """The number of groups of a sequence if all of them are labelled and their files as they were left.

        None where that is not so, or not known; then the sequence has to be planned to see what is missing.
        """
        note = self._finished(sequence)
        try:
            sizes = {name: self._size(name) for name in note["sizes"] if _OWN.fullmatch(name)}
        except (FileNotFoundError, KeyError, TypeError):
            return None
        folder = label_path(self.output / "kitti", sequence=sequence, camera=camera, frame=0).parent
        is_whole = (note["fingerprint"], note["sizes"]) == (fingerprint, sizes)
        return note["groups"] if is_whole and note["texts"] == len(self._texts_in(folder)) else None

    def _finished(self, sequence: str) -> dict[str, Any]:
        """The note on a sequence of which all groups were labelled; empty where there is none."""
        try:
            note = json.loads(storage.read_bytes(self._note(sequence)))
        except (FileNotFoundError, ValueError):
            return {}
        return note if isinstance(note, dict) and note.keys() == _NOTED else {}

    def _size(self, name: str) -> int:
        return storage.size_and_stamp(self.output / name)[0]

    def fill_empty_folders(self, sequences: Iterable[str]) -> None:
        """Write an empty piece where there is none: readers of datasets want at least one file, for its schema."""
        folders = {self.output / "labels" / f"sequence={sequence}": LABEL_SCHEMA for sequence in sequences}
        for folder, schema in {**folders, self.output / "groups": GROUP_SCHEMA}.items():
            if not self._tables(folder):
                write_piece(schema.empty_table(), folder / EMPTY)

    def recorded(self) -> "Recorded":
        """What the folder holds, of all runs into it."""
        sequences = self._below(self.output / "labels")
        tables = [table for sequence in sequences for table in self._tables(sequence)]
        labels = [table for table in tables if not is_human_file(table.name)]
        cameras = [camera for sequence in self._below(self.output / "kitti") for camera in self._below(sequence)]
        with dataset_of(self._tables(self.output / "groups"), GROUP_SCHEMA) as groups:
            num_groups = groups.count_rows()
            failed = groups.to_table(filter=pc.field("status") != "ok").sort_by("group_id").to_pylist()
            seconds = [batch["seconds"].to_numpy().sum() for batch in groups.to_batches(columns=["seconds"])]
        with dataset_of(labels, LABEL_SCHEMA) as dataset:
            num_boxes = dataset.count_rows()
        return Recorded(
            groups=num_groups,
            failed=failed,
            seconds=float(sum(seconds)),
            boxes=num_boxes,
            texts=sum(len(self._texts_in(camera / "label_2")) for camera in cameras),
        )

    def _tables(self, folder: Location) -> list[Location]:
        names = storage.names_in(folder)
        return [folder / name for name in names if name.endswith(".parquet") and not name.startswith(".")]

    def _below(self, folder: Location) -> list[Location]:
        return [folder / name for name in storage.folders_in(folder)]

    def _texts_in(self, folder: Location) -> set[str]:
        return {name for name in storage.names_in(folder) if _TEXT.fullmatch(name)}

    def _complete_texts(self, opened: _Open, *, anew: bool) -> None:
        """Remove the label files of frames that wait for a group, or all of them, and write those that are missing."""
        plan = opened.plan
        folder = self._text(plan, 0).parent
        there = self._texts_in(folder)
        complete = {self._text(plan, frame).name: frame for frame in opened.coverage.complete_frames()}
        empty = {self._text(plan, frame).name: frame for frame in plan.empty_frames}
        stale = there if anew else there - complete.keys() - empty.keys()
        storage.remove(folder / name for name in stale)
        storage.make_folder(folder)
        there -= stale
        self._write_texts(opened, sorted(frame for name, frame in complete.items() if name not in there))
        missing = [frame for name, frame in empty.items() if name not in there]
        self._write(plan, [(frame, LABEL_SCHEMA.empty_table()) for frame in missing])

    def _write_texts(self, opened: _Open, frames: Sequence[int]) -> None:
        """Write the label files of frames, ascending, whose groups are all labelled: their boxes by instance."""
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            some = frames[start : start + _FRAMES_AT_ONCE]
            rows = opened.store.rows(opened.coverage.groups_of(some))
            rows = rows.sort_by([("frame", "ascending"), ("instance_id", "ascending")])
            self._write(opened.plan, list(rows_by_frame(rows, some)))

    def _write(self, plan: SequencePlan, texts: list[tuple[int, pa.Table]]) -> None:
        if storage.is_local(self.output):
            for frame, rows in texts:
                write_frame(self._text(plan, frame), rows)
            return
        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(lambda text: write_frame(self._text(plan, text[0]), text[1]), texts))

    def _index(self, sequence: str) -> Location:
        return self.output / "index" / f"{sequence}.parquet"

    def _note(self, sequence: str) -> Location:
        return self.output / "index" / f".{sequence}.finished.json"

    def _text(self, plan: SequencePlan, frame: int) -> Location:
        folder = self.output / "kitti"
        return label_path(folder, sequence=plan.sequence.name, camera=plan.sequence.camera, frame=frame)


@dataclass(frozen=True)
class Recorded:
    """What an output folder holds."""

    groups: int
    failed: list[dict]  # rows of `GROUP_SCHEMA`
    seconds: float  # that workers spent on groups
    boxes: int
    texts: int  # label files
