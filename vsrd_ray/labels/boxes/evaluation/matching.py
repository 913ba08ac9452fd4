"""Ground truth that a run ought to have labelled, and the label that each one got.

Shapes: T eligible truths (one for each box and frame), R rows of an index.
"""

from collections.abc import Sequence as Names
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import is_any_of
from vsrd_ray.data.lookup import instance_keys, positions
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.geometry.iou import official_iou
from vsrd_ray.geometry.outlines import outline_areas
from vsrd_ray.labels.boxes.columns import boxes_of
from vsrd_ray.labels.boxes.criteria import MIN_MASK_AREA
from vsrd_ray.labels.boxes.parquet import HUMAN
from vsrd_ray.labels.boxes.truth import frame_poses

_CHUNK = 1 << 15  # boxes whose outlines are cut at a time: they take some hundreds of MB


@dataclass(frozen=True)
class Matches:
    """Eligible truths, and how far off their labels are: NaN where there is no label, but IoU is 0 there."""

    frames: np.ndarray  # [T] int64
    instance_ids: np.ndarray  # [T] int64
    is_moving: np.ndarray  # [T] bool
    ranges: np.ndarray  # [T] metres from the camera to the true centre
    visible_shares: np.ndarray  # [T] mask area / area of the true box's outline in the image
    is_labelled: np.ndarray  # [T] bool
    confidences: np.ndarray  # [T] of the labeler, 0..1; NaN for a human's label too
    iou_3d: np.ndarray  # [T]
    iou_bev: np.ndarray  # [T]
    official_iou_3d: np.ndarray  # [T] as the KITTI-360 evaluation computes it; NaN where it was not asked for
    official_iou_bev: np.ndarray  # [T]
    center_distances: np.ndarray  # [T] metres
    size_errors_lwh: np.ndarray  # [T, 3] metres, label - truth
    yaw_errors: np.ndarray  # [T] radians, |label - truth| in [0, pi]

    def where(self, chosen: np.ndarray) -> "Matches":
        """The truths that a mask [T] chooses."""
        return Matches(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def concatenate(parts: Names[Matches]) -> Matches:
    """All truths of several sequences; at least one part."""
    names = [field.name for field in fields(Matches)]
    return Matches(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def match(
    labels: pa.Table,
    truth: TruthBoxes,
    *,
    index: pa.Table,
    sequence: Drive,
    frames: Names[int],
    classes: Names[str],
    max_range: float,
    official: bool,
) -> Matches:
    """Compare the labels of one sequence with every eligible truth.

    A truth is eligible in a frame if the frame is among `frames`, the visible mask of its instance there has at least
    `MIN_MASK_AREA` px, and its centre is within `max_range` metres of the camera. Boxes that moved belong to their own
    frame. Labels are found by frame and instance id.

    Args:
        labels: rows of `LABEL_SCHEMA` of this sequence and camera.
        truth: its ground truth.
        index: its index, in `INDEX_SCHEMA`.
        sequence: where the poses and the intrinsics come from.
        frames: frames that the run labelled or tried to.
        classes: names of the classes that count.
        max_range: metres.
        official: compute the IoU of the KITTI-360 evaluation too.
    """
    wanted = pc.field("class_name").isin(list(classes)) & pc.field("frame").isin(list(frames))
    rows = index.filter(wanted & (pc.field("area") >= MIN_MASK_AREA))
    frame_of_row, ids, areas = (rows[name].to_numpy().astype(np.int64) for name in ("frame", "instance_id", "area"))
    boxes = truth.find(ids, frame_of_row)
    has_box = boxes >= 0
    boxes, frame_of_row, ids, areas = boxes[has_box], frame_of_row[has_box], ids[has_box], areas[has_box]
    T_world_cam = frame_poses(sequence, frame_of_row)
    ranges = np.linalg.norm(truth.boxes.centers[boxes] - T_world_cam[:, :3, 3], axis=-1)
    near = ranges <= max_range
    boxes, T_cam_world = boxes[near], rigid.inverse(T_world_cam[near])
    frame_of_row, ids = frame_of_row[near], ids[near]
    outlines = _outlines(truth, boxes, T_cam_world=T_cam_world, sequence=sequence)
    label_keys = instance_keys(labels["instance_id"].to_numpy(), labels["frame"].to_numpy())
    found = positions(label_keys, instance_keys(ids, frame_of_row))
    return Matches(
        frames=frame_of_row,
        instance_ids=ids,
        is_moving=truth.timestamps[boxes] != STATIC,
        ranges=ranges[near],
        visible_shares=areas[near] / np.maximum(outlines, 1.0),
        is_labelled=found >= 0,
        **_errors(labels, truth, found=found, boxes=boxes, T_cam_world=T_cam_world, official=official),
    )


def _outlines(
    truth: TruthBoxes,
    boxes: np.ndarray,  # [T]
    *,
    T_cam_world: np.ndarray,  # [T, 4, 4]
    sequence: Drive,
) -> np.ndarray:
    """Area [T], px, of the outline of each true box in the image."""
    areas = np.empty(len(boxes))
    for start in range(0, len(boxes), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        corners_cam = rigid.apply(T_cam_world[chunk], truth.boxes[boxes[chunk]].corners())
        areas[chunk] = outline_areas(corners_cam, sequence.K, sequence.image_size)
    return areas


def _errors(
    labels: pa.Table,
    truth: TruthBoxes,
    *,
    found: np.ndarray,  # [T] row of the label, -1 where there is none
    boxes: np.ndarray,  # [T] row of the truth
    T_cam_world: np.ndarray,  # [T, 4, 4]
    official: bool,
) -> dict[str, np.ndarray]:
    """The columns of `Matches` that come of the label: its confidence, and how its box compares with the true one."""
    count, hits = len(found), np.flatnonzero(found >= 0)
    labelled, true = boxes_of(labels)[found[hits]], truth.boxes[boxes[hits]]
    iou_3d, iou_bev = labelled.iou(true)
    missing_official = 0.0 if official else np.nan
    official_3d, official_bev = np.full((2, count), missing_official)
    if official:
        corners_cam = (rigid.apply(T_cam_world[hits], boxes.corners()) for boxes in (labelled, true))
        official_3d[hits], official_bev[hits] = official_iou(*corners_cam)
    return {
        "confidences": _scatter(_labeler_confidences(labels)[found[hits]], hits, count, np.nan),
        "iou_3d": _scatter(iou_3d, hits, count, 0.0),
        "iou_bev": _scatter(iou_bev, hits, count, 0.0),
        "official_iou_3d": official_3d,
        "official_iou_bev": official_bev,
        "center_distances": _scatter(np.linalg.norm(labelled.centers - true.centers, axis=-1), hits, count, np.nan),
        "size_errors_lwh": _scatter(labelled.dimensions_lwh - true.dimensions_lwh, hits, count, np.nan),
        "yaw_errors": _scatter(np.abs(wrap_angle(labelled.yaws - true.yaws)), hits, count, np.nan),
    }


def _labeler_confidences(labels: pa.Table) -> np.ndarray:
    """Confidences of label rows; NaN where a human drew the box, whose confidence is 1 by definition."""
    is_human = is_any_of(labels["source"], [HUMAN]).to_numpy()
    return np.where(is_human, np.nan, labels["confidence"].to_numpy())


def _scatter(values: np.ndarray, positions: np.ndarray, count: int, missing: float) -> np.ndarray:
    full = np.full((count, *values.shape[1:]), missing)
    full[positions] = values
    return full
