"""The single writer of an output folder.

Every file is written whole or not at all, and of a group the row in groups/ last: it marks the group as done.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from vsrd_ray.data.frames import GroupPlan
from vsrd_ray.data.index import load_index, write_index
from vsrd_ray.labels.kitti import label_path, write_frame
from vsrd_ray.labels.parquet import read_groups, write_piece
from vsrd_ray.labels.schema import GROUP_SCHEMA, LABEL_SCHEMA
from vsrd_ray.pipeline.plan import Earlier, SequencePlan
from vsrd_ray.pipeline.results import GroupResult
from vsrd_ray.pipeline.trace import write_trace

_EMPTY = "empty.parquet"
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp(\.\w+)?")  # what atomic_write writes to
_FRAME = r"\d{10}"


class Sink:
    """Writes indexes, labels and marks of groups into an output folder, and says what is there."""

    def __init__(self, output: Path) -> None:
        self.output = output

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

    def prepare(self, plan: SequencePlan, *, earlier: Earlier, recorded: dict[str, dict]) -> None:
        """Remove what no mark of the plan stands for, and write the label files of empty frames.

        To be removed are files that a killed run wrote of a group before its mark, and groups of earlier inputs. Files
        whose names no run would give stay.

        Args:
            plan: the sequence.
            earlier: what stays of its groups.
            recorded: rows of `GROUP_SCHEMA` by group id, of all sequences.
        """
        name, camera = plan.sequence.name, plan.sequence.camera
        self._groups.mkdir(parents=True, exist_ok=True)
        done = [group for group in plan.groups if group.group_id in earlier.committed]
        empty = {self._text(name, camera, frame) for frame in plan.empty_frames}
        texts = {self._text(name, camera, frame) for group in done for frame in group.label_frames}
        pieces = {self._piece(group) for group in done}
        _remove_others(self._text(name, camera, 0).parent, rf"{_FRAME}\.txt", keep=texts | empty)
        _remove_others(self._labels(name), rf"{re.escape(f'{name}-{camera}')}-{_FRAME}\.parquet", keep=pieces)
        if plan.groups:
            for folder in (self._labels(name), self._groups):
                (folder / _EMPTY).unlink(missing_ok=True)
        for group_id, row in recorded.items():
            if row["sequence"] == name and group_id not in earlier.committed | earlier.attempts.keys():
                self._mark(group_id).unlink()
        for path in sorted(empty):
            if not path.exists():
                write_frame(path, LABEL_SCHEMA.empty_table())

    def commit(self, plan: GroupPlan, result: GroupResult, *, attempts: int) -> None:
        """Write a group's labels and label files where it has them, and in any case its mark.

        Args:
            plan: the group.
            result: what came of it.
            attempts: how often it has been tried, this time included.
        """
        if result.labels is not None:
            write_piece(result.labels, self._piece(plan))
            frames = result.labels["frame"].to_numpy()
            for frame in plan.label_frames:
                rows = result.labels.filter(pa.array(frames == frame))
                write_frame(self._text(plan.sequence, plan.camera, frame), rows)
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
        return label_path(self.output / "kitti", sequence=sequence, camera=camera, frame=frame)


def _remove_others(folder: Path, name: str, *, keep: set[Path]) -> None:
    """Remove the files of a folder that are named like `name`, a regular expression, but for those to keep."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in set(folder.iterdir()) - keep:
        if re.fullmatch(name, path.name) and path.is_file():
            path.unlink()
