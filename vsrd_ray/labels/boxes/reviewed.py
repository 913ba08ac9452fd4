"""The corrected frames of a sequence, on their way to label rows: what a human has changed, added and taken away.

Shapes: N boxes of one frame.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import SIDES
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.geometry.cameras import box_iou
from vsrd_ray.labels.boxes.columns import BOX_2D, SIZE_LWH, VELOCITY_WORLD, box_columns, box_of, boxes_of, numbers
from vsrd_ray.labels.boxes.corrected import CorrectedFrame
from vsrd_ray.labels.boxes.identities import Identities, Sight
from vsrd_ray.labels.boxes.parquet import HUMAN
from vsrd_ray.labels.boxes.rows import camera_columns
from vsrd_ray.runs.sink import rows_by_frame

logger = logging.getLogger(__name__)

_UNUSUAL = 1.5  # times the largest extent of a class in the run, or the smallest divided by it
_FEW = 3  # boxes of a class: that fewer are all taken away is no reason to ask
_MANY = 10  # boxes of a sequence: that none of fewer stays where it is is no reason to ask


class FrameChange(NamedTuple):
    """What an import changes in one frame."""

    sequence: str
    frame: int
    moved: int
    added: int
    removed: int


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
    outdated: int = 0  # frames that nobody edited since they were exported, but that were corrected in the run
    replaced: int = 0  # of `frames`, those that had been corrected before
    changes: tuple[FrameChange, ...] = field(default=(), compare=False)  # of `frames`, ascending


def summed(parts: Sequence[ImportSummary]) -> ImportSummary:
    """What the imports of several sequences found together."""
    names = [field.name for field in fields(ImportSummary) if field.name != "changes"]
    changes = tuple(change for part in parts for change in part.changes)
    return ImportSummary(**{name: sum(getattr(part, name) for part in parts) for name in names}, changes=changes)


@dataclass(frozen=True)
class _Mask:
    """What the index knows of a mask."""

    area: int  # px
    box_xyxy: tuple[int, int, int, int]  # px, last pixel included


class SequenceImport:
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
        new_ids: Iterable[int] = (),  # of instances that the file has added
        dropped: Iterable[int] = (),  # frames that are reviewed no more
    ) -> None:
        self.drive = drive
        self.dropped = frozenset(dropped)
        self.rows: dict[int, list[dict[str, Any]]] = {}  # of the frames that count as reviewed
        self._seen: set[int] = set()
        self._known = known
        self._handed_out = {*labelled, *reviewed}
        self._labeler = labeler
        self._index = index.filter(index["instance_id"].is_valid())
        masks = set(self._index["instance_id"].to_pylist())
        both = pa.concat_tables([auto, known])
        self._identities = Identities(both, {*masks, *new_ids}, self.drive.classes)
        self._judged = {  # of instances, whatever the frame
            row["instance_id"]: {"is_moving": row["is_moving"], "track_id": row["track_id"]}
            for row in both.select(["instance_id", "is_moving", "track_id"]).to_pylist()
        }
        self._usual = _usual_sizes(both)
        self._unusual: list[str] = []
        self._reviewed = frozenset(reviewed)
        self._counts = dict.fromkeys((field.name for field in fields(ImportSummary) if field.name != "changes"), 0)
        self._changes: list[FrameChange] = []
        self._boxes: Counter[str] = Counter()  # that the run has in the frames of the file, by class
        self._removed: Counter[str] = Counter()  # of them
        self._emptied: list[int] = []  # frames that had boxes
        self._num_same = 0  # boxes that are where the run has them

    @property
    def summary(self) -> ImportSummary:
        """What has been found so far."""
        return ImportSummary(**self._counts, changes=tuple(self._changes))

    @cached_property
    def _masks(self) -> dict[int, dict[int, _Mask]]:
        """The masks of each frame, by instance."""
        columns = [self._index[name].to_pylist() for name in ("frame", "instance_id", "area")]
        boxes = zip(*(self._index[f"box_{side}"].to_pylist() for side in SIDES), strict=True)
        masks: dict[int, dict[int, _Mask]] = defaultdict(dict)
        for frame, instance_id, area, box in zip(*columns, boxes, strict=True):
            masks[frame][instance_id] = _Mask(area, box)
        return masks

    def is_handed_out(self, frame: int) -> bool:
        """Whether all boxes of a frame are known, so that those that are not named can stay as they are."""
        return frame in self._handed_out

    def add(self, frame: CorrectedFrame, *, confirm_unchanged: bool, is_untouched: bool) -> None:
        """Take over one frame, whose file may be as it was exported."""
        if frame.frame in self._seen:
            raise InputError(f"{frame.place}: frame {frame.frame} of {frame.sequence} is there twice: keep one of them")
        self._seen.add(frame.frame)
        if not frame.class_names and frame.frame not in self._handed_out:
            self._counts["unlabelled"] += 1
            return
        _check_doubled(frame)
        ((_, rows),) = rows_by_frame(self._known, [frame.frame])
        ids = self._identities.assign(frame, rows, lambda: self._look(frame))
        rows, left_out = _apart(rows, frame, ids)
        names = dict(zip(rows["instance_id"].to_pylist(), rows["class_name"].to_pylist(), strict=True))
        self._boxes.update(names.values())
        positions = {instance_id: n for n, instance_id in enumerate(names)}
        same = _same_rows(frame, rows, [positions.get(instance_id, -1) for instance_id in ids])
        is_same = len(same) == rows.num_rows and all(row is not None for row in same)
        self._num_same += sum(row is not None for row in same)
        if is_same and not confirm_unchanged:
            self._counts["unchanged"] += 1
            return
        if is_untouched and not is_same:
            self._counts["outdated"] += 1
            return
        self._removed.update(names[instance_id] for instance_id in names.keys() - set(ids))
        if names and not ids:
            self._emptied.append(frame.frame)
        self._unusual += [text for n, row in enumerate(same) if row is None and (text := self._unlike(frame, n))]
        self.rows[frame.frame] = sorted(
            [*self._rows_of(frame, ids, same), *(row | {"source": HUMAN} for row in left_out)],
            key=lambda row: row["instance_id"],
        )
        self._count(frame, ids, known=set(positions), same=same)

    def check(self, *, confirm_changes: bool) -> None:
        """Refuse what no human does by hand, unless it is meant, and say what is odd.

        Tools have lost shapes on the way out, and have dropped those whose labels they did not know.

        Raises:
            InputError: most boxes, all of a class, or all in at least half of the frames would be taken away, or none
                of many would stay where it is.
        """
        name, removed, boxes = self.drive.name, self._removed.total(), self._boxes.total()
        lost = [one for one, count in self._removed.items() if count == self._boxes[one] >= _FEW]
        what = None
        if removed == boxes > 0:
            what = f"every box ({boxes}) would be taken away"
        elif 2 * removed > boxes:
            what = f"{removed} of {boxes} boxes would be taken away"
        elif lost:
            what = f"every box of the class {lost[0]} ({self._removed[lost[0]]}) would be taken away"
        elif len(self._emptied) > 1 and 2 * len(self._emptied) >= len(self._seen):
            what = f"every box in {len(self._emptied)} of {len(self._seen)} frames would be taken away"
        elif boxes >= _MANY and not self._num_same:
            what = f"none of {boxes} boxes is where the run has it, as in labels of another run"
        if what is not None and not confirm_changes:
            raise InputError(
                f"{name}: {what}, and nothing is imported: look what the tool has lost or mixed up, or give "
                "--confirm-changes if this is meant"
            )
        if self._emptied:
            logger.warning("%s: no box is left in frame %s.", name, ", ".join(map(str, self._emptied)))
        if self._unusual:
            logger.warning(
                "%s, as for %d boxes in all: are length, width and height in their places?",
                self._unusual[0],
                len(self._unusual),
            )

    def _unlike(self, frame: CorrectedFrame, n: int) -> str | None:
        """What is unusual about the size of a box, by those of its class in the run; None where nothing is."""
        name = frame.class_names[n]
        usual, sizes = self._usual.get(name), frame.boxes.dimensions_lwh[n]
        if usual is None or ((sizes >= usual[0]) & (sizes <= usual[1])).all():
            return None
        length, width, height = sizes.tolist()
        return (
            f"{frame.places[n]}: a {name} that is {length:.2f} m long, {width:.2f} m wide and {height:.2f} m high has "
            "an unusual size"
        )

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

    def _count(
        self, frame: CorrectedFrame, ids: list[int], *, known: set[int], same: list[dict[str, Any] | None]
    ) -> None:
        change = FrameChange(
            frame.sequence,
            frame.frame,
            moved=sum(i in known and row is None for i, row in zip(ids, same, strict=True)),
            added=len(set(ids) - known),
            removed=len(known - set(ids)),
        )
        self._changes.append(change)
        self._counts["frames"] += 1
        self._counts["replaced"] += frame.frame in self._reviewed
        self._counts["boxes"] += len(self.rows[frame.frame])
        self._counts["kept"] += sum(row is not None for row in same)
        for name in ("moved", "added", "removed"):
            self._counts[name] += getattr(change, name)

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
            # not known of what no labeler saw
            judged = exact.get(n, self._judged.get(ids[n], {"is_moving": None, "track_id": ids[n]}))
            if frame.moving is not None and frame.moving[n] != judged["is_moving"]:
                judged = {"is_moving": frame.moving[n], "track_id": judged["track_id"]}
            row |= {
                "camera": self.drive.camera.name,
                "frame": frame.frame,
                "time_s": view.time_s,
                "instance_id": ids[n],
                "track_id": judged["track_id"],
                "class_name": frame.class_names[n],
                "observed": masks[n] is not None,
                "confidence": 1.0,
                "mean_iou_2d": _mask_overlap(row, masks[n]),
                "num_views": None,  # nobody measured these
                "bearing_spread_deg": None,
                "silhouette_loss": None,
                "is_moving": judged["is_moving"],
                **{name: _velocity(judged, name) for name in VELOCITY_WORLD},
                "shape": judged.get("shape"),
                "group_id": HUMAN,
                "target_frame": frame.frame,
                "labeler": self._labeler,
                "config_hash": "",
                "seed": 0,
                "source": HUMAN,
            }
        return rows


def _check_doubled(frame: CorrectedFrame) -> None:
    """Refuse a box that stands where another one of its class does, such as one that was copied and not moved yet."""
    boxes = frame.boxes
    values = np.column_stack([boxes.centers, boxes.dimensions_lwh, np.cos(boxes.yaws), np.sin(boxes.yaws)])
    classes = np.array(frame.class_names)
    is_same = (np.abs(values[:, None] - values) <= frame.rounding).all(axis=-1) & (classes[:, None] == classes)
    pairs = np.argwhere(np.triu(is_same, k=1))
    if len(pairs):
        first, second = pairs[0].tolist()
        raise InputError(f"{frame.places[second]}: the same box as {frame.places[first]}: remove one of them")


def _apart(rows: pa.Table, frame: CorrectedFrame, ids: list[int]) -> tuple[pa.Table, list[dict[str, Any]]]:
    """The rows of a frame that its export handed out, and those that it left out and that no box stands for now.

    No human has seen these: no image shows them, or their labeler did not trust them.
    """
    if frame.exported_ids is None:
        return rows, []
    handed_out = {*ids, *frame.exported_ids}
    is_handed_out = np.array([instance_id in handed_out for instance_id in rows["instance_id"].to_pylist()], bool)
    return rows.filter(pa.array(is_handed_out)), rows.filter(pa.array(~is_handed_out)).to_pylist()


def _usual_sizes(rows: pa.Table) -> dict[str, np.ndarray]:
    """Smallest and largest length, width and height, [2, 3] metres, that a box of each class usually has."""
    names, sizes = np.array(rows["class_name"].to_pylist()), numbers(rows, SIZE_LWH)
    of_class = {name: sizes[names == name] for name in set(names.tolist())}
    return {
        name: np.stack([some.min(axis=0) / _UNUSUAL, some.max(axis=0) * _UNUSUAL]) for name, some in of_class.items()
    }


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


def _velocity(judged: dict[str, Any], name: str) -> float | None:
    """A corrected box's velocity along an axis: 0 if it stands, the run's if the box is the run's, else not known."""
    return 0.0 if judged["is_moving"] is False else judged.get(name)


def _mask_overlap(row: dict[str, Any], mask: _Mask | None) -> float | None:
    """IoU of the projected box and the box of the mask in this frame, None without a mask."""
    if mask is None:
        return None
    projected = np.array([row[name] for name in BOX_2D])
    return float(box_iou(projected, np.asarray(mask.box_xyxy)))
