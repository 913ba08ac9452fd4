"""Which frames and boxes of a run are handed on.

Shapes: N boxes.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Drive, View
from vsrd_ray.data.index import SIDES, empty_frames, is_any_of
from vsrd_ray.datasets.base import dataset_named
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.labels.boxes.columns import BOTTOM_CAM, BOX_2D, ROTATION_Y, boxes_of, centers_cam, has_velocity, numbers
from vsrd_ray.labels.boxes.criteria import MIN_CONFIDENCE
from vsrd_ray.labels.boxes.parquet import FOLDER, HUMAN, IMPORTED, Preference, read_labels, read_reviewed
from vsrd_ray.labels.boxes.truth import frame_poses
from vsrd_ray.runs.folder import check_files, group_frames, open_labelled, read_index, sequence_labels
from vsrd_ray.runs.manifest import RunInputs, read_inputs
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.sink import rows_by_frame
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

LABEL_FAILED_AGAIN = "give the same `vsrd-ray label` command again, which tries them again"  # the fix of failed groups
_SAME_PLACE = 0.02  # metres and radians; more than any rounding, and less than any correction
_MIN_SIDE = 0.01  # px of a projected box that has an area: less is 0 in KITTI text


@dataclass(frozen=True)
class Selection:
    """What is to be handed on; everything by default. Frames stay where all of their boxes go."""

    min_confidence: float = 0.0  # least one that counts, 0..1
    max_range: float = math.inf  # metres from the camera to the box's centre
    classes: tuple[str, ...] | None = None  # None: every one
    sequences: tuple[str, ...] | None = None  # None: all of the run
    exclude_moving: bool = False
    reviewed_only: bool = False  # boxes that a human has accepted, corrected or added
    keep_doubtful: bool = True  # boxes that the labeler itself believes to be wrong; see `is_doubtful`
    prefer: Preference = "human"  # see `read_labels`
    split: str = "vsrd"  # into train, val and test, where a format has them; see `vsrd_ray.labels.boxes.formats.splits`


# Why boxes are left out, in the order in which it is asked: a box counts for the first reason alone. What is left out
# for lack of trust is an object all the same: its place in the image is handed on, where a format has such places.
CLASSES, RANGE, UNREVIEWED, MOVING, CONFIDENCE, DOUBTFUL = (
    "of other classes",
    "beyond --max-range",
    "not reviewed",
    "marked as moving",
    "under --min-confidence",
    f"moving without a velocity, or of a confidence under {MIN_CONFIDENCE:g} (--keep-doubtful has them)",
)
_NOT_TRUSTED = (UNREVIEWED, MOVING, CONFIDENCE, DOUBTFUL)
HIDDEN = "behind the camera or beside the image"


@dataclass(frozen=True)
class LabelledSequence:
    """A sequence with its labelled frames and their boxes."""

    sequence: Drive
    frames: tuple[int, ...]  # ascending
    rows: pa.Table  # `LABEL_SCHEMA` and `sequence`, by frame and instance; all of them lie in the frames
    failed_frames: tuple[int, ...] = ()  # ascending: those left out, since a group that labels them failed
    uncorrected_frames: tuple[
        int, ...
    ] = ()  # ascending: those a human reviewed, where the labeler's rows are preferred
    left_out: Mapping[str, int] = field(default_factory=dict)  # numbers of boxes, by the reason
    ignored: pa.Table | None = None  # of them, those that are not trusted: `BOX_2D` is their mask's, where there is one
    splits: tuple[str, ...] = ()  # train, val or test of each frame

    def by_frame(self) -> Iterator[tuple[View, pa.Table]]:
        """Each frame with its rows."""
        for frame, rows in rows_by_frame(self.rows, self.frames):
            yield self.sequence.view(frame), rows

    def ignored_by_frame(self) -> Iterator[pa.Table]:
        """Of each frame, the rows of what is not trusted and has a place in the image."""
        if self.ignored is None:
            yield from (self.rows.slice(0, 0) for _ in self.frames)
            return
        seen = self.ignored.filter(pa.array(_has_area(self.ignored)))
        yield from (rows for _, rows in rows_by_frame(seen, self.frames))

    def in_image(self) -> "LabelledSequence":
        """The same without the boxes that are not in their image (`is_in_image`)."""
        rows = self.rows.filter(pa.array(is_in_image(self.rows)))
        hidden = self.rows.num_rows - rows.num_rows
        return replace(self, rows=rows, left_out={**self.left_out, HIDDEN: hidden} if hidden else self.left_out)


def select(output: Location, root: Location, selection: Selection) -> list[LabelledSequence]:
    """The labelled frames of a run with the boxes that a selection leaves.

    Args:
        output: folder of a labelling run.
        root: the dataset that was labelled.
        selection: which of them.

    Raises:
        InputError: no run, a selection that names what is not there, or a dataset without the poses of its frames.
    """
    inputs, groups = read_inputs(output), read_groups(output)
    _check(selection, inputs)
    names = inputs.sequences if selection.sequences is None else selection.sequences
    if missing := [name for name in names if name not in inputs.sequences]:
        raise InputError(f"{output} has no sequence {missing[0]!r}: give some of {', '.join(inputs.sequences)}")
    if not names:
        raise InputError(f"{output} holds no labelled sequence yet: let `vsrd-ray label` go on first")
    labels = read_labels(output, prefer=selection.prefer)
    reviewed = read_reviewed(output)
    chosen = []
    for name in names:
        drive = open_labelled(inputs, root, name)
        corrected = reviewed.get((name, inputs.camera), frozenset())
        of_human, uncorrected = (corrected, ()) if selection.prefer == "human" else ((), corrected)
        frames = tuple(sorted({*labelled_frames(output, groups, sequence=name, inputs=inputs), *of_human}))
        check_files(output, groups, sequence=name, folder=FOLDER)
        check_poses(drive, frames)
        rows = sequence_labels(labels, sequence=name, camera=inputs.camera)
        rows = rows.filter(is_any_of(rows["frame"], frames))
        check_places(drive, rows)
        rows, ignored, left_out = _sorted_out(rows, selection)
        failed = failed_frames(groups, sequence=name, labelled=frames)
        ignored = _with_mask_boxes(ignored, read_index(output, name))
        chosen.append(
            LabelledSequence(drive, frames, rows, tuple(failed), tuple(sorted(uncorrected)), left_out, ignored)
        )
    return chosen


def labelled_frames(output: Location, groups: pa.Table, *, sequence: str, inputs: RunInputs) -> list[int]:
    """Frames, ascending, of one sequence whose boxes are all there: what is not in their rows is not in the frame.

    They are the frames of every group that succeeded, unless another group that labels the frame failed, and those in
    which no instance of the wanted classes is visible at all.
    """
    frames = set(group_frames(groups, sequence=sequence, status="ok"))
    frames.difference_update(group_frames(groups, sequence=sequence, status="failed"))
    frames.update(empty_frames(read_index(output, sequence), inputs.classes))
    return sorted(frames)


def failed_frames(groups: pa.Table, *, sequence: str, labelled: Iterable[int]) -> list[int]:
    """Frames, ascending, of one sequence that a failed group labels, and that are not among the labelled ones."""
    return sorted(set(group_frames(groups, sequence=sequence, status="failed")).difference(labelled))


def warn_of_failures(num_failed: int) -> None:
    """Say how many frames are not handed on, since a group that labels them failed, where there are some."""
    if num_failed:
        logger.warning(
            "%d frames are left out, since groups that label them failed: %s.", num_failed, LABEL_FAILED_AGAIN
        )


def check_poses(sequence: Drive, frames: Iterable[int]) -> None:
    """Refuse a dataset that is not the one that was labelled, by the frames of a run which have no pose in it.

    Raises:
        InputError: such a frame.
    """
    if without := [frame for frame in frames if frame not in sequence.T_world_cam]:
        raise InputError(
            f"{sequence.root} has no pose of frame {without[0]} of {sequence.name}: give the dataset that was labelled"
        )


def check_places(sequence: Drive, rows: pa.Table) -> None:
    """Refuse rows whose box in the world and box in the camera are not one: formats take the one or the other.

    Raises:
        InputError: such a row, as whoever edits some columns alone leaves it, or another dataset than that labelled.
    """
    if not rows.num_rows:
        return
    frames = rows["frame"].to_numpy()
    T_cam_world = rigid.inverse(frame_poses(sequence, frames))
    bottoms, rotation_y, _ = boxes_of(rows).to_kitti_camera(T_cam_world)
    offsets = np.linalg.norm(bottoms - numbers(rows, BOTTOM_CAM), axis=-1)
    turns = np.abs(wrap_angle(rotation_y - numbers(rows, (ROTATION_Y,))[:, 0]))
    is_off = (offsets > _SAME_PLACE) | (turns > _SAME_PLACE)
    if is_off.any():
        row = int(is_off.argmax())
        raise InputError(
            f"instance {rows['instance_id'][row]} in frame {frames[row]} of {sequence.name}: its box in the world and "
            f"its box in the camera are {offsets[row]:.2f} m and {turns[row]:.2f} rad apart: a row was edited in part, "
            f"or {sequence.root} is not the dataset that was labelled"
        )


def is_in_image(rows: pa.Table) -> np.ndarray:
    """Which label rows [N] bool are in the image; not those that a human put behind the camera or beside the image.

    A labeler's box stands for a mask that the image shows, wherever the box is.
    """
    return _has_area(rows) | ~is_any_of(rows["source"], [HUMAN]).to_numpy()


def is_doubtful(rows: pa.Table) -> np.ndarray:
    """Which label rows [N] bool their labeler believes to be wrong.

    They are those that it has hardly any trust in, and those of what moves without a velocity: they were fitted as if
    they stood. A human's boxes have a confidence of 1, and are taken at their word.
    """
    confidences = rows["confidence"].to_numpy()
    is_moving = rows["is_moving"].fill_null(False).to_numpy()
    return (confidences < MIN_CONFIDENCE) | (is_moving & ~has_velocity(rows) & (confidences < 1))


def is_reviewed(rows: pa.Table) -> np.ndarray:
    """Which label rows [N] bool a human has accepted, corrected or added."""
    return np.array([(name or "").startswith(IMPORTED) for name in rows["labeler"].to_pylist()], dtype=bool)


def _has_area(rows: pa.Table) -> np.ndarray:
    """Whether the 2D boxes [N] of rows have an area."""
    boxes_xyxy = numbers(rows, BOX_2D)
    return np.all(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] >= _MIN_SIDE, axis=1)


def _sorted_out(rows: pa.Table, selection: Selection) -> tuple[pa.Table, pa.Table, dict[str, int]]:
    """The wanted rows, those that are left out for lack of trust, and how many are left out for each reason."""
    confidences = rows["confidence"].to_numpy()
    nothing = np.zeros(rows.num_rows, dtype=bool)
    is_moving = rows["is_moving"].fill_null(False).to_numpy()
    reasons = {
        CLASSES: nothing if selection.classes is None else ~is_any_of(rows["class_name"], selection.classes).to_numpy(),
        RANGE: np.linalg.norm(centers_cam(rows), axis=-1) > selection.max_range,
        UNREVIEWED: ~is_reviewed(rows) & selection.reviewed_only,
        MOVING: is_moving & selection.exclude_moving,
        CONFIDENCE: confidences < selection.min_confidence,
        DOUBTFUL: nothing if selection.keep_doubtful else is_doubtful(rows),
    }
    is_out, is_ignored, left_out = nothing.copy(), nothing.copy(), {}
    for reason, applies in reasons.items():
        more = applies & ~is_out
        is_out |= more
        if reason in _NOT_TRUSTED:
            is_ignored |= more
        if more.any():
            left_out[reason] = int(more.sum())
    return rows.filter(pa.array(~is_out)), rows.filter(pa.array(is_ignored)), left_out


def _with_mask_boxes(rows: pa.Table, index: pa.Table) -> pa.Table:
    """The rows with the boxes of their masks for 2D boxes, where their frames show masks of them."""
    if not rows.num_rows:
        return rows
    index = index.filter(is_any_of(index["instance_id"], set(rows["instance_id"].to_pylist())))
    columns = [index[name].to_pylist() for name in ("frame", "instance_id", *(f"box_{side}" for side in SIDES))]
    masks = {(frame, instance_id): box for frame, instance_id, *box in zip(*columns, strict=True)}
    keys = zip(rows["frame"].to_pylist(), rows["instance_id"].to_pylist(), strict=True)
    boxes = [masks.get(key, box) for key, box in zip(keys, numbers(rows, BOX_2D).tolist(), strict=True)]
    for name, values in zip(BOX_2D, zip(*boxes, strict=True), strict=True):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, pa.float64()))
    return rows


def _check(selection: Selection, inputs: RunInputs) -> None:
    if not 0 <= selection.min_confidence <= 1:
        raise InputError(f"the least confidence must be from 0 to 1, got {selection.min_confidence}")
    if not selection.max_range > 0:
        raise InputError(f"the range must be greater than 0 m, got {selection.max_range}")
    if selection.reviewed_only and selection.prefer == "auto":
        raise InputError("--reviewed-only asks for a human's boxes, and --prefer auto for the labeler's: leave one out")
    _check_names(selection.sequences, "sequence")
    if selection.classes is not None:
        dataset = dataset_named(inputs.dataset)
        dataset.classes.check(selection.classes, title=dataset.title)


def _check_names(names: Sequence[str] | None, kind: str) -> None:
    if names is None:
        return
    if not names:
        raise InputError(f"no {kind} is named: give some, with commas between them")
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{kind} {min(repeated)!r} is named more than once: name each {kind} once")
