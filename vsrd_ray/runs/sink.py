"""The single writer of an output folder.

Every file is written whole or not at all. The label text of a frame holds the labels of all groups that label the
frame, and is written once the last of them has its mark: what texts are missing after a kill, the next run writes.
"""

import json
import logging
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray import storage
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.data.index import load_index, stored_fingerprint, write_index
from vsrd_ray.errors import OutputError
from vsrd_ray.runs.coverage import Coverage
from vsrd_ray.runs.paths import RunPaths, drive_of, is_brought_in, is_temporary
from vsrd_ray.runs.plan import DrivePlan
from vsrd_ray.runs.reading import dataset_of
from vsrd_ray.runs.reading import unreadable as unreadable_files
from vsrd_ray.runs.records import DOUBTFUL, NEARLY_ALL_DOUBTFUL, is_suspicious
from vsrd_ray.runs.results import GroupResult
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.runs.store import EMPTY, GroupStore, is_record_of
from vsrd_ray.runs.tables import LabelTable, LabelTexts
from vsrd_ray.runs.trace import write_trace
from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import atomic_write, write_parquet

logger = logging.getLogger(__name__)

_NOTED = {"fingerprint", "groups", "sizes", "texts"}
_FRAMES_AT_ONCE = 64  # that are gathered from the fragments of their groups together
_WRITERS = 16  # texts on their way to an object store at a time


@dataclass(frozen=True)
class Earlier:
    """What earlier runs left of the groups of a drive."""

    committed: frozenset[str]  # ids of the groups that are labelled
    attempts: dict[str, int]  # of the groups that failed, by id


@dataclass
class _Open:
    """A drive that groups are committed to."""

    plan: DrivePlan
    store: GroupStore
    coverage: Coverage
    num_ok: int  # groups that are labelled
    awaited: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))  # groups yet to end, by their file


class Sink:
    """Writes indexes, labels and marks of groups into an output folder, and says what is there.

    A drive is prepared before any of its groups is committed, and closed after the last of them.
    """

    def __init__(self, output: Location, tables: Sequence[LabelTable]) -> None:
        """Write nothing yet.

        Args:
            output: the folder.
            tables: the kinds of label that each group has.
        """
        self.output = output
        self._tables = tuple(tables)
        self._paths = RunPaths(output)
        self._open: dict[str, _Open] = {}

    @cached_property
    def _marks(self) -> list[str]:
        """Files in groups/ as the run found them, sorted."""
        return sorted(storage.names_in(self._paths.groups))

    def _marks_of(self, drive: str) -> list[str]:
        """Those that are named after a drive."""
        found: list[str] = []
        for prefix in (f"{drive}-", f".{drive}-"):
            place = bisect_left(self._marks, prefix)
            while place < len(self._marks) and self._marks[place].startswith(prefix):
                found.append(self._marks[place])
                place += 1
        return found

    def load_index(self, drive: str, fingerprint: str) -> pa.Table | None:
        """The index of a drive, if it is of the inputs with that fingerprint."""
        return load_index(self._paths.index(drive), fingerprint)

    def clear_debris(self) -> None:
        """Remove the temporary files of a run that was killed while it wrote to a local folder."""
        if storage.is_local(self.output):
            for path in self.output.rglob(".*"):
                if is_temporary(path.name) and path.is_file():
                    path.unlink()

    def prepare(self, plan: DrivePlan, *, wanted: Set[str], identity: Mapping[str, str] | None = None) -> Earlier:
        """Take over what earlier runs left of a drive, and clear it of what does not belong to the plan.

        What is of other inputs is set aside, and with it whatever is planned otherwise now, and what people corrected.
        Label texts that wait for a group go, and those that are missing are written. Files whose names no run would
        give stay.

        Args:
            plan: the drive.
            wanted: ids of the groups that the run is about; frames do not wait for others that have no mark.
            identity: of the inputs that were labelled, by content, where that is known.
        """
        name = plan.drive.name
        indexed = stored_fingerprint(self._paths.index(name))
        labelled = indexed or self._finished(name).get("fingerprint")  # of the inputs of the labels that are there
        is_copy = bool(plan.identity) and plan.identity == identity and self._has_index_of(plan)
        is_same = labelled == plan.fingerprint or is_copy
        storage.remove([self._paths.finished(name)])
        store = GroupStore(self._paths, plan, self._tables, marks=self._marks_of(name))
        groups = {group.group_id: group for group in plan.groups}
        records = store.records()
        is_same = is_same and all(
            group_id in groups and is_record_of(row, groups[group_id]) for group_id, row in records.items()
        )
        if not is_same and (records or self._brought_in(name)):
            self._set_aside(plan, store)
            store, records = GroupStore(self._paths, plan, self._tables, marks=()), {}
        storage.make_folder(self._paths.groups)
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
            write_index(plan.index, self._paths.index(name), plan.fingerprint)
        for group_id in wanted - earlier.committed:
            opened.awaited[store.file_of(group_id)].add(group_id)
        for number in store.files_with_fragments():
            if number not in opened.awaited:
                store.compact(number)
        return earlier

    def _has_index_of(self, plan: DrivePlan) -> bool:
        """Whether the labels that are there are of a copy of the inputs: of other file times, and the same masks."""
        path = self._paths.index(plan.drive.name)
        fingerprint = stored_fingerprint(path)
        index = None if fingerprint is None else load_index(path, fingerprint)
        return index is not None and index.equals(plan.index)

    def _brought_in(self, drive: str) -> list[Location]:
        """Files of labels of a drive that people gave."""
        folders = [self._paths.table(table.folder, drive) for table in self._tables]
        return [file for folder in folders for file in self._files(folder) if is_brought_in(file.name, drive)]

    def _set_aside(self, plan: DrivePlan, store: GroupStore) -> None:
        """Move the labels of a drive, its index and its corrections to where no reader of the run looks."""
        name = plan.drive.name
        number = len(storage.folders_in(self._paths.superseded)) + 1
        target = self._paths.superseded / f"{name}-{number}"
        reviewed = [self._paths.corrections / f"{name}.{kind}" for kind in ("parquet", "json")]
        labels = [self.output / file for file in store.files()]
        texts = [
            text for kind in self._texts() for text in storage.files_below(self._paths.texts(kind.folder) / name)
        ]  # which people may have edited in place
        files = [*labels, *self._brought_in(name), self._paths.index(name), *reviewed, *texts]
        for file in files:
            if file.exists():
                moved = target / self._paths.relative(file)
                storage.make_folder(moved.parent)
                storage.rename(file, moved)
        logger.warning(
            "The inputs of %s are not those that were labelled into %s: all of it is labelled again. "
            "What was there is kept in %s.",
            name,
            self.output,
            target,
        )

    def commit(self, plan: GroupPlan, result: GroupResult, *, attempts: int) -> None:
        """Write what came of a group, the texts that waited for it, and the compacted file that it was the last for.

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
        opened.store.write(plan, result.tables, mark)
        if result.tables is not None:
            opened.num_ok += 1
            self._write_texts(opened, opened.coverage.add(plan))
        number = opened.store.file_of(plan.group_id)
        opened.awaited[number].remove(plan.group_id)
        if not opened.awaited[number]:
            opened.store.compact(number)

    def close(self, drive: str) -> None:
        """Nothing more comes of a drive in this run; if all of it is labelled, a note for the next run says so."""
        opened = self._open.pop(drive)
        if opened.plan.groups and opened.num_ok == len(opened.plan.groups):
            index = self._paths.relative(self._paths.index(drive))
            camera = opened.plan.drive.camera.name
            note = {
                "fingerprint": opened.plan.fingerprint,
                "groups": opened.num_ok,
                "sizes": {name: self._size(name) for name in (*opened.store.files(), index)},
                "texts": self._num_texts(drive, camera),
            }
            with atomic_write(self._paths.finished(drive)) as temporary:
                temporary.write_text(json.dumps(note))

    def finished_groups(self, drive: str, camera: str, fingerprint: str) -> int | None:
        """The number of groups of a drive if all of them are labelled and their files as they were left.

        None where that is not so, or not known; then the drive has to be planned to see what is missing.
        """
        note = self._finished(drive)
        try:
            sizes = {name: self._size(name) for name in note["sizes"] if self._is_own(name)}
        except (FileNotFoundError, KeyError, TypeError, AttributeError):
            return None
        is_whole = (note["fingerprint"], note["sizes"]) == (fingerprint, sizes)
        return note["groups"] if is_whole and note["texts"] == self._num_texts(drive, camera) else None

    def _is_own(self, name: str) -> bool:
        """Whether a path that a note holds is one of those that notes are about."""
        folder, _, file = name.rpartition("/")
        folders = {"groups", "index", *(table.folder for table in self._tables)}
        parts = folder.split("/")
        is_place = parts[0] in folders and len(parts) <= (1 if parts[0] in {"groups", "index"} else 2)
        return is_place and file.endswith(".parquet") and ".." not in parts

    def _finished(self, drive: str) -> dict[str, Any]:
        """The note on a drive of which all groups were labelled; empty where there is none."""
        try:
            note = json.loads(storage.read_bytes(self._paths.finished(drive)))
        except (FileNotFoundError, ValueError):
            return {}
        is_note = isinstance(note, dict) and note.keys() == _NOTED and isinstance(note["groups"], int)
        return note if is_note else {}

    def _size(self, name: str) -> int:
        return storage.size_and_stamp(self.output / name)[0]

    def fill_empty_folders(self, drives: Iterable[str]) -> None:
        """Write an empty file where there is none: readers of datasets want at least one file, for its schema."""
        folders = {self._paths.table(table.folder, drive): table.schema for drive in drives for table in self._tables}
        for folder, schema in {**folders, self._paths.groups: GROUP_SCHEMA}.items():
            if not self._files(folder):
                write_parquet(schema.empty_table(), folder / EMPTY)

    def recorded(self, drives: Collection[str], camera: str) -> "Recorded":
        """What the folder holds, of all runs into it.

        Args:
            drives: all that were labelled into it: files of theirs that cannot be read are told of.
            camera: that gives their files its name.

        Raises:
            OutputError: another file in it cannot be read.
        """
        files, unreadable = self._files(self._paths.groups), dict[str, str]()
        try:
            groups = self._recorded_groups(files)
        except OutputError:
            for file, error in unreadable_files(files, GROUP_SCHEMA).items():
                if drive := drive_of(file.name, drives, camera):
                    unreadable.setdefault(drive, error)
                    files.remove(file)
            groups = self._recorded_groups(files)
        rows: dict[str, int] = {}
        doubtful: dict[str, int] = {}
        suspicious: dict[str, str] = {}
        for table in self._tables:
            rows[table.name] = 0
            for drive, files in self._auto_files(table):
                try:
                    num_rows, num_doubtful = _counted_rows(files, table)
                except OutputError as error:
                    unreadable.setdefault(drive, str(error))
                    continue
                rows[table.name] += num_rows
                if table.confidence is None:
                    continue
                doubtful[table.name] = doubtful.get(table.name, 0) + num_doubtful
                if table.suspicion is not None and is_suspicious(num_doubtful, num_rows):
                    suspicious[drive] = f"{num_doubtful / num_rows:.0%} {NEARLY_ALL_DOUBTFUL} {table.suspicion}"
        num_texts = sum(map(self._num_texts_of, self._texts()))
        recorded = Recorded(rows=rows, doubtful=doubtful, suspicious=suspicious, unreadable=unreadable, **groups)
        return replace(recorded, frames=recorded.frames + num_texts)

    def _recorded_groups(self, files: Sequence[Location]) -> dict[str, Any]:
        """What `Recorded` has of the groups in some files; the frames alone that no label texts tell."""
        with dataset_of(files, GROUP_SCHEMA) as groups:
            seconds = [batch["seconds"].to_numpy().sum() for batch in groups.to_batches(columns=["seconds"])]
            return {
                "groups": groups.count_rows(),
                "failed": groups.to_table(filter=pc.field("status") != "ok").sort_by("group_id").to_pylist(),
                "seconds": float(sum(seconds)),
                "frames": 0 if self._texts() else _labelled_frames(groups.to_table()),
            }

    def _texts(self) -> list[LabelTexts]:
        return [table.texts for table in self._tables if table.texts is not None]

    def _num_texts_of(self, texts: LabelTexts) -> int:
        """Texts of one kind, of every drive and camera."""
        folder = self._paths.texts(texts.folder)
        places = [
            (drive, camera) for drive in storage.folders_in(folder) for camera in storage.folders_in(folder / drive)
        ]
        return sum(len(self._texts_in(texts, drive, camera)) for drive, camera in places)

    def _num_texts(self, drive: str, camera: str) -> int:
        """Texts of one drive, of every kind."""
        return sum(len(self._texts_in(texts, drive, camera)) for texts in self._texts())

    def _texts_in(self, texts: LabelTexts, drive: str, camera: str) -> set[str]:
        folder = texts.path(self._paths.texts(texts.folder), sequence=drive, camera=camera, frame=0).parent
        return {name for name in storage.names_in(folder) if texts.is_text(name)}

    def _auto_files(self, table: LabelTable) -> Iterator[tuple[str, list[Location]]]:
        """Drives with the files of labels that runs wrote, and not what was brought in beside them."""
        folder = self._paths.tables(table.folder)
        for place in storage.folders_in(folder):
            drive = place.partition("=")[2]
            yield drive, [file for file in self._files(folder / place) if not is_brought_in(file.name, drive)]

    def _files(self, folder: Location) -> list[Location]:
        names = storage.names_in(folder)
        return [folder / name for name in names if name.endswith(".parquet") and not name.startswith(".")]

    def _complete_texts(self, opened: _Open, *, anew: bool) -> None:
        """Remove the texts of frames that wait for a group, or all of them, and write those that are missing."""
        plan = opened.plan
        for table in self._tables:
            if (texts := table.texts) is None:
                continue
            folder = self._text(texts, plan, 0).parent
            there = self._texts_in(texts, plan.drive.name, plan.drive.camera.name)
            complete = {self._text(texts, plan, frame).name: frame for frame in opened.coverage.complete_frames()}
            empty = {self._text(texts, plan, frame).name: frame for frame in plan.empty_frames}
            stale = there if anew else there - complete.keys() - empty.keys()
            storage.remove(folder / name for name in stale)
            storage.make_folder(folder)
            there -= stale
            missing = sorted(frame for name, frame in complete.items() if name not in there)
            self._write_texts_of(table, texts, opened, missing)
            nothing = table.schema.empty_table()
            self._write(texts, plan, [(frame, nothing) for name, frame in empty.items() if name not in there])

    def _write_texts(self, opened: _Open, frames: Sequence[int]) -> None:
        """Write the texts of frames, ascending, whose groups are all labelled."""
        for table in self._tables:
            if table.texts is not None:
                self._write_texts_of(table, table.texts, opened, frames)

    def _write_texts_of(self, table: LabelTable, texts: LabelTexts, opened: _Open, frames: Sequence[int]) -> None:
        order = [(column, "ascending") for column in ("frame", *table.sort_by)]
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            some = frames[start : start + _FRAMES_AT_ONCE]
            rows = opened.store.rows(table.name, opened.coverage.groups_of(some))
            frame = rows["frame"].to_numpy()
            rows = rows.filter(pa.array((frame >= some[0]) & (frame <= some[-1])))  # a group may label a whole drive
            self._write(texts, opened.plan, list(rows_by_frame(rows.sort_by(order), some)))

    def _write(self, texts: LabelTexts, plan: DrivePlan, contents: list[tuple[int, pa.Table]]) -> None:
        if storage.is_local(self.output):
            for frame, rows in contents:
                texts.write(self._text(texts, plan, frame), rows)
            return
        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(lambda text: texts.write(self._text(texts, plan, text[0]), text[1]), contents))

    def _text(self, texts: LabelTexts, plan: DrivePlan, frame: int) -> Location:
        folder = self._paths.texts(texts.folder)
        return texts.path(folder, sequence=plan.drive.name, camera=plan.drive.camera.name, frame=frame)


@dataclass(frozen=True)
class Recorded:
    """What an output folder holds."""

    groups: int
    failed: list[dict[str, Any]]  # rows of `GROUP_SCHEMA`
    seconds: float  # that workers spent on groups
    rows: dict[str, int]  # of labels, by kind
    doubtful: dict[str, int]  # of these with a confidence below `DOUBTFUL`, of the kinds that have one
    suspicious: dict[str, str]  # what is said of the drives in which nearly all are
    frames: int  # whose labels are all there
    unreadable: dict[str, str]  # drives with files that cannot be read, and what to do about the first of these


def rows_by_frame(rows: pa.Table, frames: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each of some frames, none where a frame has none.

    Args:
        rows: label rows of one drive, sorted by frame.
        frames: the wanted ones.
    """
    numbers = rows["frame"].to_numpy()
    starts, ends = (np.searchsorted(numbers, frames, side=side).tolist() for side in ("left", "right"))
    for frame, start, end in zip(frames, starts, ends, strict=True):
        yield frame, rows.slice(start, end - start)


def _counted_rows(files: Sequence[Location], table: LabelTable) -> tuple[int, int]:
    """Rows in some files of labels, and those of them that are doubtful."""
    with dataset_of(files, table.schema) as dataset:
        if table.confidence is None:
            return dataset.count_rows(), 0
        return dataset.count_rows(), dataset.count_rows(filter=pc.field(table.confidence) < DOUBTFUL)


def _labelled_frames(groups: pa.Table) -> int:
    """Frames of all drives that a labelled group has, and no failed one."""
    labelled: dict[str, set[int]] = defaultdict(set)
    failed: dict[str, set[int]] = defaultdict(set)
    for row in groups.select(["sequence", "frames", "status"]).to_pylist():
        (labelled if row["status"] == "ok" else failed)[row["sequence"]].update(row["frames"])
    return sum(len(frames - failed[drive]) for drive, frames in labelled.items())
