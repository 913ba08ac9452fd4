"""Which frames and boxes of a run are handed on.

Shapes: N boxes.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Drive, View
from vsrd_ray.data.index import empty_frames, is_any_of
from vsrd_ray.datasets.base import dataset_named, open_drive
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.columns import BOX_2D, centers_cam, numbers
from vsrd_ray.labels.boxes.parquet import FOLDER, HUMAN, Preference, read_labels, read_reviewed
from vsrd_ray.runs.folder import check_files, group_frames, read_index, sequence_labels
from vsrd_ray.runs.manifest import RunInputs, read_inputs
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.sink import rows_by_frame
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

LABEL_FAILED_AGAIN = "give the same `vsrd-ray label` command again, which tries them again"  # the fix of failed groups
_MIN_SIDE = 0.01  # px of a projected box that has an area: less is 0 in KITTI text


@dataclass(frozen=True)
class Selection:
    """What is to be handed on; everything by default. Frames stay where all of their boxes go."""

    min_confidence: float = 0.0  # least one that counts, 0..1
    max_range: float = math.inf  # metres from the camera to the box's centre
    classes: tuple[str, ...] | None = None  # None: every one
    sequences: tuple[str, ...] | None = None  # None: all of the run
    exclude_moving: bool = False
    prefer: Preference = "human"  # see `read_labels`


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

    def by_frame(self) -> Iterator[tuple[View, pa.Table]]:
        """Each frame with its rows."""
        for frame, rows in rows_by_frame(self.rows, self.frames):
            yield self.sequence.view(frame), rows

    def in_image(self) -> "LabelledSequence":
        """The same without the boxes that are not in their image (`is_in_image`)."""
        return replace(self, rows=self.rows.filter(pa.array(is_in_image(self.rows))))


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
        drive = open_drive(root, name, inputs.camera)
        corrected = reviewed.get((name, inputs.camera), frozenset())
        of_human, uncorrected = (corrected, ()) if selection.prefer == "human" else ((), corrected)
        frames = tuple(sorted({*labelled_frames(output, groups, sequence=name, inputs=inputs), *of_human}))
        check_files(output, groups, sequence=name, folder=FOLDER)
        check_poses(drive, frames)
        rows = _wanted(sequence_labels(labels, sequence=name, camera=inputs.camera), selection)
        rows = rows.filter(is_any_of(rows["frame"], frames))
        failed = failed_frames(groups, sequence=name, labelled=frames)
        chosen.append(LabelledSequence(drive, frames, rows, tuple(failed), tuple(sorted(uncorrected))))
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


def is_in_image(rows: pa.Table) -> np.ndarray:
    """Which label rows [N] bool are in the image; not those that a human put behind the camera or beside the image.

    A labeler's box stands for a mask that the image shows, wherever the box is.
    """
    boxes_xyxy = numbers(rows, BOX_2D)
    has_area = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] >= _MIN_SIDE).all(axis=1)
    return has_area | ~is_any_of(rows["source"], [HUMAN]).to_numpy()


def _wanted(rows: pa.Table, selection: Selection) -> pa.Table:
    wanted = rows["confidence"].to_numpy() >= selection.min_confidence
    wanted &= np.linalg.norm(centers_cam(rows), axis=-1) <= selection.max_range
    if selection.classes is not None:
        wanted &= is_any_of(rows["class_name"], selection.classes).to_numpy()
    if selection.exclude_moving:
        wanted &= ~rows["is_moving"].fill_null(False).to_numpy()
    return rows.filter(pa.array(wanted))


def _check(selection: Selection, inputs: RunInputs) -> None:
    if not 0 <= selection.min_confidence <= 1:
        raise InputError(f"the least confidence must be from 0 to 1, got {selection.min_confidence}")
    if not selection.max_range > 0:
        raise InputError(f"the range must be greater than 0 m, got {selection.max_range}")
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
