"""What a report tells of one sequence in numbers: its frames, masks and boxes, and the truth where there is one.

Shapes: F frames, N instances, B different boxes, T true boxes, R rows. A row is an instance in a frame, known by its
mask, by its label or by both.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import SIDES
from vsrd_ray.data.lookup import instance_keys, positions, split_keys
from vsrd_ray.data.truth import BOXES, TruthBoxes
from vsrd_ray.geometry.cameras import box_iou
from vsrd_ray.labels.boxes.columns import BOX_2D, BOX_WORLD, boxes_of, numbers
from vsrd_ray.labels.boxes.identified import true_boxes
from vsrd_ray.labels.boxes.parquet import FOLDER, Preference
from vsrd_ray.labels.boxes.pictures.frames import frames_to_show
from vsrd_ray.labels.boxes.selection import check_poses
from vsrd_ray.runs.folder import check_files, open_labelled, read_index, sequence_labels
from vsrd_ray.runs.manifest import RunInputs
from vsrd_ray.storage import Location

_MASK_BOX = tuple(f"box_{side}" for side in SIDES)  # columns of the index
# Rows of the labels that agree in these columns are one box, seen in several frames.
_IDENTITY = ("instance_id", *BOX_WORLD, "confidence", "target_frame")


@dataclass(frozen=True)
class Rows:
    """Instances in frames, sorted by frame, then instance; NaN where a value is not known."""

    frames: np.ndarray  # [R] places in the sequence's frames
    instances: np.ndarray  # [R] places in its instances
    boxes: np.ndarray  # [R] places in its boxes; -1 where there is no label
    labels: np.ndarray  # [R] row of the label table; -1 where there is none
    mask_areas: np.ndarray  # [R] px; 0 where there is no mask
    mask_boxes_xyxy: np.ndarray  # [R, 4] px, last pixel included
    touches_border: np.ndarray  # [R] bool, of the mask
    iou_2d: np.ndarray  # [R] of the mask's box and the label's projected box
    iou_3d: np.ndarray  # [R] of the label and the truth


@dataclass(frozen=True)
class SequenceTables:
    """A sequence of a run."""

    sequence: Drive
    frames: np.ndarray  # [F] int64, ascending: those of `frames_to_show`, and those with labels
    instance_ids: np.ndarray  # [N] int64, ascending
    boxes: pa.Table  # [B] a label row for each different box
    labels: pa.Table  # all label rows of the sequence
    rows: Rows
    truth: TruthBoxes | None  # of the instances above

    @property
    def origin(self) -> np.ndarray:
        """[3] whole metres in the middle of the drive: positions from there have few digits."""
        return np.round(np.mean([self.sequence.T_world_cam[frame][:3, 3] for frame in self.frames.tolist()], axis=0))

    @cached_property
    def rows_of_instances(self) -> list[np.ndarray]:
        """[N] the rows of each instance, ascending."""
        order = np.argsort(self.rows.instances, kind="stable")
        counts = np.bincount(self.rows.instances, minlength=len(self.instance_ids))
        return np.split(order, counts.cumsum()[:-1])

    @property
    def class_names(self) -> list[str]:
        """[N] classes of the instances."""
        return [self.sequence.classes.name_of(instance_id) for instance_id in self.instance_ids.tolist()]


def read_tables(
    output: Location,
    root: Location,
    name: str,
    *,
    inputs: RunInputs,
    labels: pa.Table,
    groups: pa.Table,
    prefer: Preference = "human",
) -> SequenceTables | None:
    """The tables of one sequence; None where the run has done nothing of it yet.

    Args:
        output: folder of a labelling run.
        root: dataset with the sequence.
        name: of the sequence.
        inputs: of the run.
        labels: of the run, all sequences.
        groups: of the run.
        prefer: whose boxes the labels are in frames that a human reviewed.

    Raises:
        InputError: the sequence or its index cannot be read, files of its labels are gone, or `root` has another one.
    """
    check_files(output, groups, sequence=name, folder=FOLDER)
    labels = sequence_labels(labels, sequence=name, camera=inputs.camera).combine_chunks()
    shown = frames_to_show(output, groups, sequence=name, inputs=inputs, prefer=prefer)
    frames = np.union1d(np.array(shown, dtype=np.int64), labels["frame"].to_numpy().astype(np.int64))
    if not len(frames):
        return None
    sequence = open_labelled(inputs, root, name)
    check_poses(sequence, frames.tolist())
    index = read_index(output, name)
    wanted = pc.field("class_name").isin(list(inputs.classes)) & pc.field("frame").isin(frames.tolist())
    masks = index.filter(wanted)
    boxes, box_of_label = _different_boxes(labels)
    truth = _read_truth(sequence, index)
    ids, rows = _join(masks, labels, frames=frames, box_of_label=box_of_label, truth=truth)
    return SequenceTables(
        sequence=sequence,
        frames=frames,
        instance_ids=ids,
        boxes=boxes,
        labels=labels,
        rows=rows,
        truth=None if truth is None else _of_instances(truth, ids),
    )


def keep_instances(
    tables: SequenceTables,
    kept: np.ndarray,  # [N] bool
) -> SequenceTables:
    """The same sequence, all its frames among it, with some of its instances alone."""
    rows, ids = tables.rows, tables.instance_ids[kept]
    box_kept = np.isin(tables.boxes["instance_id"].to_numpy(), ids)
    row_kept = kept[rows.instances]
    fewer = Rows(**{name: values[row_kept] for name, values in vars(rows).items()})
    box_places = np.append(np.cumsum(box_kept) - 1, -1)  # where there is no box, there is none
    return replace(
        tables,
        instance_ids=ids,
        boxes=tables.boxes.filter(pa.array(box_kept)),
        rows=replace(fewer, instances=(np.cumsum(kept) - 1)[fewer.instances], boxes=box_places[fewer.boxes]),
        truth=None if tables.truth is None else _of_instances(tables.truth, ids),
    )


def _different_boxes(labels: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """A row for each different box [B], in the order of their instances, and the box [rows] of each label."""
    if not len(labels):
        return labels, np.empty(0, dtype=np.int64)
    identity = np.round(np.nan_to_num(numbers(labels, _IDENTITY), nan=-1.0), 6)
    _, firsts, boxes = np.unique(identity, axis=0, return_index=True, return_inverse=True)
    return labels.take(pa.array(firsts)), boxes.reshape(-1)


def _join(
    masks: pa.Table, labels: pa.Table, *, frames: np.ndarray, box_of_label: np.ndarray, truth: TruthBoxes | None
) -> tuple[np.ndarray, Rows]:
    """Instance ids [N] and the rows of masks and labels together."""
    mask_keys, label_keys = (
        instance_keys(table["instance_id"].to_numpy(), table["frame"].to_numpy()) for table in (masks, labels)
    )
    keys = np.union1d(mask_keys, label_keys)  # by frame, then instance
    id_of_row, frame_of_row = split_keys(keys)
    mask_rows, label_rows = positions(mask_keys, keys), positions(label_keys, keys)
    ids, instances = np.unique(id_of_row, return_inverse=True)
    has_mask, has_label = mask_rows >= 0, label_rows >= 0
    areas = np.zeros(len(keys), dtype=np.int64)
    areas[has_mask] = masks["area"].to_numpy()[mask_rows[has_mask]]
    mask_boxes = _spread(numbers(masks, _MASK_BOX), mask_rows)
    touches_border = np.zeros(len(keys), dtype=bool)
    touches_border[has_mask] = masks["touches_border"].to_numpy(zero_copy_only=False)[mask_rows[has_mask]]
    boxes = np.full(len(keys), -1)
    boxes[has_label] = box_of_label[label_rows[has_label]]
    rows = Rows(
        frames=np.searchsorted(frames, frame_of_row),
        instances=instances,
        boxes=boxes,
        labels=label_rows,
        mask_areas=areas,
        mask_boxes_xyxy=mask_boxes,
        touches_border=touches_border,
        iou_2d=box_iou(mask_boxes, _spread(numbers(labels, BOX_2D), label_rows)),
        iou_3d=_truth_overlaps(labels, label_rows, truth, ids=id_of_row, frames=frame_of_row),
    )
    return ids, rows


def _truth_overlaps(
    labels: pa.Table, label_rows: np.ndarray, truth: TruthBoxes | None, *, ids: np.ndarray, frames: np.ndarray
) -> np.ndarray:
    """IoU3D [R] of labels and truth, NaN where one is missing."""
    ious = np.full(len(ids), np.nan)
    if truth is None:
        return ious
    true_rows = truth.find(ids, frames)
    both = np.flatnonzero((true_rows >= 0) & (label_rows >= 0))
    ious[both], _ = boxes_of(labels)[label_rows[both]].iou(truth.boxes[true_rows[both]])
    return ious


def _read_truth(drive: Drive, index: pa.Table) -> TruthBoxes | None:
    return true_boxes(drive, index) if drive.has_truth(BOXES) else None


def _of_instances(truth: TruthBoxes, instance_ids: np.ndarray) -> TruthBoxes:
    wanted = np.isin(truth.instance_ids, instance_ids)
    return TruthBoxes(
        instance_ids=truth.instance_ids[wanted],
        class_names=tuple(name for name, is_wanted in zip(truth.class_names, wanted, strict=True) if is_wanted),
        boxes=truth.boxes[wanted],
        timestamps=truth.timestamps[wanted],
        skipped=truth.skipped,
    )


def _spread(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values [R, columns] at the places, NaN for place -1."""
    spread = np.full((len(places), values.shape[1]), np.nan)
    spread[places >= 0] = values[places[places >= 0]]
    return spread
