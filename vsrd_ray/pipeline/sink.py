"""The single writer of an output folder.

Every file is written whole or not at all, and of a group the row in groups/ last: it marks the group as done. The KITTI
text of a frame holds the boxes of all groups that label the frame, and is written when the last of them is labelled.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.dataset as ds

from vsrd_ray.data.frames import GroupPlan
from vsrd_ray.data.index import load_index, write_index
from vsrd_ray.errors import OutputError
from vsrd_ray.labels.kitti import label_path, write_frame
from vsrd_ray.labels.parquet import read_groups, write_piece
from vsrd_ray.labels.run import rows_by_frame
from vsrd_ray.labels.schema import GROUP_SCHEMA, LABEL_SCHEMA
from vsrd_ray.pipeline.coverage import Coverage
from vsrd_ray.pipeline.plan import Earlier, SequencePlan
from vsrd_ray.pipeline.results import GroupResult
from vsrd_ray.pipeline.trace import write_trace

_EMPTY = "empty.parquet"
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp(\.\w+)?")  # what atomic_write writes to
_FRAME = r"\d{10}"
_WINDOW = r"w\d{5,}"  # how vsrd_ray.data.scene numbers its groups
_FRAMES_AT_ONCE = 64  # that are gathered from the pieces of their groups together
_PIECES_KEPT = 32  # in memory; groups that label a frame mostly lie beside each other


class Sink:
    """Writes indexes, labels and marks of groups into an output folder, and says what is there.

    A sequence is prepared before any of its groups is committed.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self._coverages: dict[str, Coverage] = {}  # by sequence
        self._kept_rows = lru_cache(maxsize=_PIECES_KEPT)(_labelled_rows)

    def recorded_groups(self) -> dict[str, dict]:
        """Rows of `GROUP_SCHEMA` by group id."""
        if not self._groups.is_dir():
            return {}
        return {row["group_id"]: row for row in read_groups(self.output).to_pylist()}

    def load_index(self, sequence: str, fingerprint: str) -> pa.Table | None:
        """The index of a sequence, if it is of the inputs with that fingerprint."""
        return load_index(self._index(sequence), fingerprint)

    def write_index(self, plan: SequencePlan) -> None:
        """Write the index of a sequence, unless it is there already."""
        if self.load_index(plan.sequence.name, plan.fingerprint) is None:
            write_index(plan.index, self._index(plan.sequence.name), plan.fingerprint)

    def clear_debris(self) -> None:
        """Remove the temporary files of a run that was killed while it wrote."""
        for path in self.output.rglob(".*"):
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink()

    def prepare(
        self, plan: SequencePlan, *, wanted: Collection[str], earlier: Earlier, recorded: dict[str, dict]
    ) -> None:
        """Remove what no mark of the plan stands for, and write the label files that are missing.

        To be removed are files that a killed run wrote of a group before its mark, groups of earlier inputs, and label
        files that wait for a group. Files whose names no run would give stay.

        Args:
            plan: the sequence.
            wanted: ids of the groups that the run is about; frames do not wait for others that have no mark.
            earlier: what stays of its groups.
            recorded: rows of `GROUP_SCHEMA` by group id, of all sequences.
        """
        name, camera = plan.sequence.name, plan.sequence.camera
        kept = earlier.committed | earlier.attempts.keys()
        dropped = [row for row in recorded.values() if row["sequence"] == name and row["group_id"] not in kept]
        awaited = kept.union(wanted)
        groups = [group for group in plan.groups if group.group_id in awaited]
        coverage = self._coverages[name] = Coverage(groups, labelled=earlier.committed)
        labelled = {frame: self._text(name, camera, frame) for frame in coverage.complete_frames()}
        empty = {frame: self._text(name, camera, frame) for frame in plan.empty_frames}
        doubtful = self._doubtful_frames(plan, committed=earlier.committed, dropped=dropped)
        texts = {path for frame, path in (labelled | empty).items() if frame not in doubtful}
        self._remove_unmarked(plan, committed=earlier.committed, dropped=dropped, texts=texts)
        self._write_texts(name, camera, [frame for frame, path in labelled.items() if not path.exists()])
        for path in empty.values():
            if not path.exists():
                write_frame(path, LABEL_SCHEMA.empty_table())

    def commit(self, plan: GroupPlan, result: GroupResult, *, attempts: int) -> None:
        """Write a group's labels and the label files that waited for them, and in any case its mark.

        Args:
            plan: the group.
            result: what came of it.
            attempts: how often it has been tried, this time included.
        """
        if result.labels is not None:
            write_piece(result.labels, self._piece(plan))
            self._write_texts(plan.sequence, plan.camera, self._coverages[plan.sequence].add(plan))
        if result.trace is not None:
            write_trace(result.trace, output=self.output, group_id=plan.group_id)
        row = {
            "group_id": plan.group_id,
            "sequence": plan.sequence,
            "target_frame": plan.target_frame,
            "frames": plan.label_frames,
            "instance_ids": plan.instance_ids,
            "status": "ok" if result.error is None else "failed",
            "error": result.error,
            "attempts": attempts,
            "seconds": result.seconds,
        }
        write_piece(pa.Table.from_pylist([row], schema=GROUP_SCHEMA), self._mark(plan.group_id))

    def fill_empty_folders(self, plans: Iterable[SequencePlan]) -> None:
        """Write an empty piece where there is none: readers of datasets want at least one file, for its schema."""
        folders = {self._labels(plan.sequence.name): LABEL_SCHEMA for plan in plans}
        for folder, schema in {**folders, self._groups: GROUP_SCHEMA}.items():
            if not any(folder.glob("*.parquet")):
                write_piece(schema.empty_table(), folder / _EMPTY)

    def count_boxes(self) -> int:
        """Rows of the labels dataset."""
        return ds.dataset(self.output / "labels", format="parquet").count_rows()

    def count_labelled_frames(self) -> int:
        """Frames that have a label file, the empty ones included."""
        return sum(1 for _ in (self.output / "kitti").glob("*/*/label_2/*.txt"))

    def _doubtful_frames(self, plan: SequencePlan, *, committed: Collection[str], dropped: list[dict]) -> set[int]:
        """Frames whose texts may hold boxes of a group without a mark, or with one that does not count any more."""
        unmarked = [g for g in plan.groups if g.group_id not in committed and self._piece(g).exists()]
        return {frame for group in unmarked for frame in group.label_frames}.union(*(row["frames"] for row in dropped))

    def _remove_unmarked(
        self, plan: SequencePlan, *, committed: Collection[str], dropped: list[dict], texts: set[Path]
    ) -> None:
        """Remove a sequence's texts but for those to keep, and only then pieces and marks: these tell what to doubt."""
        name, camera = plan.sequence.name, plan.sequence.camera
        self._groups.mkdir(parents=True, exist_ok=True)
        _remove_others(self._text(name, camera, 0).parent, rf"{_FRAME}\.txt", keep=texts)
        pieces = {self._piece(group) for group in plan.groups if group.group_id in committed}
        group_id = rf"{re.escape(f'{name}-{camera}')}-({_FRAME}|{_WINDOW})"
        _remove_others(self._labels(name), rf"{group_id}\.parquet", keep=pieces)
        if plan.groups:
            for folder in (self._labels(name), self._groups):
                (folder / _EMPTY).unlink(missing_ok=True)
        for row in dropped:
            self._mark(row["group_id"]).unlink()

    def _write_texts(self, sequence: str, camera: str, frames: Sequence[int]) -> None:
        """Write the label files of frames, ascending, whose groups are all labelled: their boxes by instance."""
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            some = frames[start : start + _FRAMES_AT_ONCE]
            groups = self._coverages[sequence].groups_of(some)
            pieces = [self._kept_rows(self._piece(group), self._mark(group.group_id)) for group in groups]
            rows = pa.concat_tables(pieces).sort_by([("frame", "ascending"), ("instance_id", "ascending")])
            for frame, rows_of_frame in rows_by_frame(rows, some):
                write_frame(self._text(sequence, camera, frame), rows_of_frame)

    @property
    def _groups(self) -> Path:
        return self.output / "groups"

    def _index(self, sequence: str) -> Path:
        return self.output / "index" / f"{sequence}.parquet"

    def _mark(self, group_id: str) -> Path:
        return self._groups / f"{group_id}.parquet"

    def _labels(self, sequence: str) -> Path:
        return self.output / "labels" / f"sequence={sequence}"

    def _piece(self, plan: GroupPlan) -> Path:
        return self._labels(plan.sequence) / f"{plan.group_id}.parquet"

    def _text(self, sequence: str, camera: str, frame: int) -> Path:
        return cast(Path, label_path(self.output / "kitti", sequence=sequence, camera=camera, frame=frame))


def _labelled_rows(piece: Path, mark: Path) -> pa.Table:
    """The rows of a group that has its mark."""
    try:
        return ds.dataset(piece, schema=LABEL_SCHEMA, format="parquet").to_table()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"{piece}: the labels of a finished group cannot be read ({reason}); remove {mark} to label it again"
        ) from error


def _remove_others(folder: Path, name: str, *, keep: set[Path]) -> None:
    """Remove the files of a folder that are named like `name`, a regular expression, but for those to keep."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in set(folder.iterdir()) - keep:
        if re.fullmatch(name, path.name) and path.is_file():
            path.unlink()
