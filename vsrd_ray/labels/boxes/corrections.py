"""Corrected boxes become label rows with `source` = human.

They lie in OUTPUT/labels/sequence=<sequence>/human-<camera>.parquet, and the frames that were reviewed in
OUTPUT/corrections/<sequence>.parquet. Every import writes both anew, the rows first: rows of frames that are not
reviewed yet do not count, so an import that is killed has changed whole frames or nothing.
Shapes: N boxes of one frame.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import SIDES, is_any_of
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.geometry.cameras import box_iou
from vsrd_ray.labels.boxes.columns import BOX_2D, box_columns, box_of, boxes_of
from vsrd_ray.labels.boxes.corrected import CorrectedFrame
from vsrd_ray.labels.boxes.formats import cvat, kitti
from vsrd_ray.labels.boxes.formats.folder import UNCORRECTED, exported, mark_imported
from vsrd_ray.labels.boxes.identities import Identities, Sight
from vsrd_ray.labels.boxes.parquet import HUMAN, REVIEW_SCHEMA, corrected_rows, read_labels, read_reviewed
from vsrd_ray.labels.boxes.rows import camera_columns
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.selection import is_in_image, labelled_frames
from vsrd_ray.runs.folder import read_index, sequence_labels
from vsrd_ray.runs.manifest import RunInputs, read_inputs
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.sink import rows_by_frame
from vsrd_ray.storage import Location, open_dataset
from vsrd_ray.storage.atomic import write_parquet

logger = logging.getLogger(__name__)

_Reader = Callable[[Location, dict[str, Drive]], list[CorrectedFrame]]
READERS: dict[str, _Reader] = {"kitti": kitti.read, "cvat": cvat.read}
# Parts of a selection that leave out boxes of a frame, and their options.
_FILTERS = {
    "min_confidence": "--min-confidence",
    "max_range": "--max-range",
    "classes": "--classes",
    "exclude_moving": "--exclude-moving",
}


@dataclass(frozen=True)
class ImportSummary:
    """What an import found."""

    frames: int  # that count as reviewed now
    unchanged: int  # frames that say what the run says, and were left as they are
    boxes: int  # of the reviewed frames
    kept: int  # boxes that are where the run has them
    moved: int  # boxes of instances that the run has in the frame, with another place, size, heading or class
    added: int  # boxes of instances that it does not have there
    removed: int  # instances that it has there and the human has not
    unlabelled: int = 0  # frames without boxes that the run has not labelled, which were left as they are


def import_labels(
    output: Location,
    root: Location,
    source: Location,
    *,
    format: str,
    confirm_unchanged: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportSummary:
    """Read corrected boxes back into a run. Frames of `source` are reviewed as a whole.

    A second import of a frame replaces the first. A frame without boxes that the run has not labelled, such as one of a
    group that failed, is left as it is: no export shows its boxes, but tools have an entry for every frame.

    Args:
        output: folder of a labelling run.
        root: the dataset that was labelled.
        source: what the human left: a folder of KITTI text, or an archive of CVAT's.
        format: one of `READERS`.
        confirm_unchanged: frames that say what the run says count as reviewed as well, so that their boxes become the
            human's, with a confidence of 1.
        progress: called with the number of frames done and of all frames.

    Raises:
        InputError: an unknown format, no run, an export that a filter has thinned out, or that lacks the corrections of
            reviewed frames, or a file that cannot be used; then nothing is written.
    """
    start_ns = time.time_ns()
    if format not in READERS:
        raise InputError(f"unknown format {format!r}: give one of {', '.join(READERS)}")
    _check_whole(source)
    inputs = read_inputs(output)
    drives = {name: open_drive(root, name, inputs.camera) for name in inputs.sequences}
    frames = sorted(READERS[format](source, drives), key=lambda frame: (frame.sequence, frame.frame))
    _check_corrected(source, frames)
    imports = _open(output, inputs, [drives[name] for name in sorted({frame.sequence for frame in frames})], format)
    for done, frame in enumerate(frames, start=1):
        imports[frame.sequence].add(frame, confirm_unchanged=confirm_unchanged)
        if progress is not None:
            progress(done, len(frames))
    for sequence in imports.values():
        _store(output, sequence)
    mark_imported(source, at_ns=start_ns)
    summary = _sum([sequence.summary for sequence in imports.values()])
    if summary.unlabelled:
        logger.warning(
            "%d frames without boxes are left as they are: the run has not labelled them, so no export shows theirs.",
            summary.unlabelled,
        )
    return summary


def _open(output: Location, inputs: RunInputs, drives: Sequence[Drive], format: str) -> dict[str, "_SequenceImport"]:
    """Imports of some sequences, by name."""
    groups, reviewed = read_groups(output), read_reviewed(output)
    labels, auto = read_labels(output), read_labels(output, prefer="auto")
    imports = {}
    for drive in drives:
        name = drive.name
        known, of_labeler = (sequence_labels(rows, sequence=name, camera=inputs.camera) for rows in (labels, auto))
        imports[name] = _SequenceImport(
            drive,
            known,
            of_labeler,
            read_index(output, name),
            labelled=labelled_frames(output, groups, sequence=name, inputs=inputs),
            reviewed=reviewed.get((name, inputs.camera), frozenset()),
            labeler=f"import-{format}",
        )
    return imports


def _check_whole(source: Location) -> None:
    """Refuse an export that a filter has taken boxes from: they would pass for boxes that the human took away."""
    selection = exported(source, "selection")
    if filters := [option for name, option in _FILTERS.items() if selection.get(name)]:
        raise InputError(
            f"{source} was exported with {' and '.join(filters)}, and boxes that this left out would be taken away: "
            "export without it, and correct that"
        )


def _check_corrected(source: Location, frames: Sequence[CorrectedFrame]) -> None:
    """Refuse an export with `--prefer auto` of frames that had been reviewed: it would undo their corrections."""
    uncorrected = {sequence: set(some) for sequence, some in exported(source, UNCORRECTED).items()}
    for frame in frames:
        if frame.frame in uncorrected.get(frame.sequence, ()):
            raise InputError(
                f"{frame.place}: frame {frame.frame} of {frame.sequence} was corrected before, but {source} was "
                "exported with --prefer auto, and the corrections would be undone: export without it, and correct that"
            )


@dataclass(frozen=True)
class _Mask:
    """What the index knows of a mask."""

    area: int  # px
    box_xyxy: tuple[int, int, int, int]  # px, last pixel included


class _SequenceImport:
    """The corrected frames of one sequence, on their way to rows."""

    def __init__(
        self,
        drive: Drive,
        known: pa.Table,  # rows that count in the run
        auto: pa.Table,  # the labeler's rows
        index: pa.Table,
        *,
        labelled: Iterable[int],  # frames
        reviewed: Iterable[int],  # frames
        labeler: str,
    ) -> None:
        self.drive = drive
        self.rows: dict[int, list[dict[str, Any]]] = {}  # of the frames that count as reviewed
        self._seen: set[int] = set()
        self._known = known
        self._handed_out = {*labelled, *reviewed}
        self._labeler = labeler
        self._index = index.filter(index["instance_id"].is_valid())
        masks = set(self._index["instance_id"].to_pylist())
        both = pa.concat_tables([auto, known])
        self._identities = Identities(both, masks, self.drive.classes)
        self._is_moving = dict(zip(*(both[name].to_pylist() for name in ("instance_id", "is_moving")), strict=True))
        self._counts = dict.fromkeys((field.name for field in fields(ImportSummary)), 0)

    @property
    def summary(self) -> ImportSummary:
        return ImportSummary(**self._counts)

    @cached_property
    def _masks(self) -> dict[int, dict[int, _Mask]]:
        """The masks of each frame, by instance."""
        columns = [self._index[name].to_pylist() for name in ("frame", "instance_id", "area")]
        boxes = zip(*(self._index[f"box_{side}"].to_pylist() for side in SIDES), strict=True)
        masks: dict[int, dict[int, _Mask]] = defaultdict(dict)
        for frame, instance_id, area, box in zip(*columns, boxes, strict=True):
            masks[frame][instance_id] = _Mask(area, box)
        return masks

    def add(self, frame: CorrectedFrame, *, confirm_unchanged: bool) -> None:
        """Take over one frame."""
        if frame.frame in self._seen:
            raise InputError(f"{frame.place}: frame {frame.frame} of {frame.sequence} is there twice: keep one of them")
        self._seen.add(frame.frame)
        if not frame.class_names and frame.frame not in self._handed_out:
            self._counts["unlabelled"] += 1
            return
        ((_, rows),) = rows_by_frame(self._known, [frame.frame])
        ids = self._identities.assign(frame, rows, lambda: self._look(frame))
        frame, ids = _with_unseen(frame, ids, rows)
        positions = {instance_id: n for n, instance_id in enumerate(rows["instance_id"].to_pylist())}
        same = _same_rows(frame, rows, [positions.get(instance_id, -1) for instance_id in ids])
        if len(same) == rows.num_rows and all(row is not None for row in same) and not confirm_unchanged:
            self._counts["unchanged"] += 1
            return
        self.rows[frame.frame] = self._rows_of(frame, ids, same)
        self._count(ids, known=set(positions), same=same)

    def _look(self, frame: CorrectedFrame) -> Sight:
        """Where the boxes and the masks of a frame are in its image."""
        nothing = np.zeros(len(frame.class_names))
        columns = camera_columns(self.drive.view(frame.frame), frame.boxes, mask_areas=nothing)
        masks = self._masks[frame.frame]
        return Sight(
            boxes_xyxy=np.stack([columns[name] for name in BOX_2D], axis=-1),
            mask_ids=tuple(masks),
            mask_boxes_xyxy=np.array([mask.box_xyxy for mask in masks.values()], dtype=np.float64).reshape(-1, 4),
        )

    def _count(self, ids: list[int], *, known: set[int], same: list[dict[str, Any] | None]) -> None:
        self._counts["frames"] += 1
        self._counts["boxes"] += len(ids)
        self._counts["kept"] += sum(row is not None for row in same)
        self._counts["moved"] += sum(i in known and row is None for i, row in zip(ids, same, strict=True))
        self._counts["added"] += len(set(ids) - known)
        self._counts["removed"] += len(known - set(ids))

    def _rows_of(
        self, frame: CorrectedFrame, ids: list[int], same: list[dict[str, Any] | None]
    ) -> list[dict[str, Any]]:
        """Rows of `LABEL_SCHEMA`; a box that is where the run has it keeps every digit."""
        exact = {n: row for n, row in enumerate(same) if row is not None}
        boxes = UprightBoxes.stack([box_of(exact[n]) if n in exact else box for n, box in enumerate(frame.boxes)])
        view = self.drive.view(frame.frame)
        masks = [self._masks[frame.frame].get(instance_id) for instance_id in ids]
        areas = np.array([mask.area if mask else 0 for mask in masks])
        columns = box_columns(boxes) | camera_columns(view, boxes, mask_areas=areas)
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        rows: list[dict[str, Any]] = [dict(zip(columns, numbers, strict=True)) for numbers in values]
        for n, row in enumerate(rows):
            row |= {
                "camera": self.drive.camera.name,
                "frame": frame.frame,
                "instance_id": ids[n],
                "class_name": frame.class_names[n],
                "confidence": 1.0,
                "mean_iou_2d": _mask_overlap(row, masks[n]),
                "num_views": None,  # nobody measured these
                "bearing_spread_deg": None,
                "silhouette_loss": None,
                "is_moving": self._is_moving.get(ids[n], False),
                "shape": exact[n]["shape"] if n in exact else None,
                "group_id": HUMAN,
                "target_frame": frame.frame,
                "labeler": self._labeler,
                "config_hash": "",
                "seed": 0,
                "source": HUMAN,
            }
        return sorted(rows, key=lambda row: row["instance_id"])


def _with_unseen(frame: CorrectedFrame, ids: list[int], rows: pa.Table) -> tuple[CorrectedFrame, list[int]]:
    """The frame and its ids [N] with the boxes that an export left out since no image shows them."""
    if frame.exported_ids is None:
        return frame, ids
    is_there = is_any_of(rows["instance_id"], [*ids, *frame.exported_ids]).to_numpy()
    unseen = rows.filter(pa.array(~is_in_image(rows) & ~is_there))
    more = unseen["instance_id"].to_pylist()
    frame = replace(
        frame,
        class_names=(*frame.class_names, *unseen["class_name"].to_pylist()),
        boxes=UprightBoxes.concatenate([frame.boxes, boxes_of(unseen)]),
        given_ids=(*frame.given_ids, *more),
    )
    return frame, [*ids, *more]


def _same_rows(frame: CorrectedFrame, rows: pa.Table, positions: Sequence[int]) -> list[dict[str, Any] | None]:
    """For each box [N] the row at its position, -1 for none, if it is the same box of the same class; None if not."""
    boxes = boxes_of(rows)
    names = rows["class_name"].to_pylist()
    same: list[dict[str, Any] | None] = []
    for n, position in enumerate(positions):
        is_same = position >= 0 and names[position] == frame.class_names[n]
        if is_same:
            a, b = frame.boxes[n], boxes[position]
            turn = wrap_angle(a.yaws - b.yaws)
            differences = np.concatenate([a.centers - b.centers, a.dimensions_lwh - b.dimensions_lwh, turn[None]])
            is_same = np.abs(differences).max() <= frame.rounding
        same.append(rows.slice(position, 1).to_pylist()[0] if is_same else None)
    return same


def _mask_overlap(row: dict[str, Any], mask: _Mask | None) -> float | None:
    """IoU of the projected box and the box of the mask in this frame, None without a mask."""
    if mask is None:
        return None
    projected = np.array([row[name] for name in BOX_2D])
    return float(box_iou(projected, np.asarray(mask.box_xyxy)))


def _store(output: Location, imported: _SequenceImport) -> None:
    """Write the rows and the reviewed frames of a sequence, those of other frames as they are."""
    name, camera = imported.drive.name, imported.drive.camera.name
    path = corrected_rows(output, sequence=name, camera=camera)
    frames = set(imported.rows)
    if not frames:
        return
    new = pa.Table.from_pylist([row for rows in imported.rows.values() for row in rows], schema=LABEL_SCHEMA)
    if path.exists():
        old = open_dataset([path], schema=LABEL_SCHEMA).to_table()
        new = pa.concat_tables([old.filter(~pc.field("frame").isin(list(frames))), new])
    write_parquet(new.sort_by([("frame", "ascending"), ("instance_id", "ascending")]), path)
    reviewed = read_reviewed(output)
    table = [
        {"camera": other, "frame": frame}
        for (sequence, other), some in sorted(
            (reviewed | {(name, camera): reviewed.get((name, camera), set()) | frames}).items()
        )
        if sequence == name
        for frame in sorted(some)
    ]
    write_parquet(pa.Table.from_pylist(table, schema=REVIEW_SCHEMA), RunPaths(output).corrections / f"{name}.parquet")


def _sum(parts: Sequence[ImportSummary]) -> ImportSummary:
    names = [field.name for field in fields(ImportSummary)]
    return ImportSummary(**{name: sum(getattr(part, name) for part in parts) for name in names})
