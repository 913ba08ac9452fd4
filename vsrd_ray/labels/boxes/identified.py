"""True boxes by the ids of masks, where those were given and may have ids of their own.

Shapes: N true boxes, M masks of a frame, C true boxes that hold for it.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import linear_sum_assignment

from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.data.index import SIDES
from vsrd_ray.data.truth import BOXES, TruthBoxes
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.cameras import box_iou, clip_boxes, project_boxes
from vsrd_ray.labels.boxes.columns import numbers

logger = logging.getLogger(__name__)

# IoU of a mask's box and a true box in the image, from which one may show the other: masks may be hidden in part.
_MIN_OVERLAP = 0.3
_MAX_RANGE = 150.0  # metres; farther boxes are a few pixels
_NOBODY = 1 << 20  # added to the ids of true boxes that no mask shows: above every id of a mask


@dataclass(frozen=True)
class _Sight:
    """The masks of one frame beside the true boxes that hold for it."""

    mask_ids: np.ndarray  # [M]
    true_ids: np.ndarray  # [C]
    overlaps: np.ndarray  # [M, C] IoU in the image; 0 of different classes


def true_boxes(drive: Drive, index: pa.Table) -> TruthBoxes:
    """The true boxes of a drive, numbered as its masks are.

    Masks that were given may be numbered otherwise than the truth. They are not if most that overlap a true box in the
    image overlap the one of their own id. Otherwise a mask's track is the object whose box it overlaps best in most of
    its frames, if that is half of them at least; several tracks may be parts of one.

    Args:
        drive: of a run, as it was labelled.
        index: of its masks, in `INDEX_SCHEMA`.

    Raises:
        InputError: there is no truth, or it cannot be read.
    """
    truth = drive.truth(BOXES)
    if MASKS not in drive.sources:
        return truth
    sights = list(_sights(drive, truth, index))
    if _are_alike(sights):
        return truth
    objects = _objects_of_tracks(sights)
    num_tracks = len({number for sight in sights for number in sight.mask_ids.tolist()})
    logger.warning(
        "%s: masks are numbered otherwise than the truth; by overlap in images, %d of %d tracks show a true object",
        *(drive.name, len(objects), num_tracks),
    )
    return _renumbered(truth, objects)


def _sights(drive: Drive, truth: TruthBoxes, index: pa.Table) -> Iterator[_Sight]:
    rows = index.filter(pc.field("instance_id").is_valid()).sort_by("frame")
    frames, ids = rows["frame"].to_numpy(), rows["instance_id"].to_numpy()
    names, boxes_xyxy = np.array(rows["class_name"].to_pylist()), numbers(rows, tuple(f"box_{side}" for side in SIDES))
    true_names, corners = np.array(truth.class_names), truth.boxes.corners()
    for part in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames)) + 1):
        if not len(part) or (pose := drive.T_world_cam.get(int(frames[part[0]]))) is None:
            continue
        near = np.linalg.norm(truth.boxes.centers - pose[:3, 3], axis=-1) < _MAX_RANGE
        held = np.flatnonzero(truth.in_frame(int(frames[part[0]])) & near)
        projected = project_boxes(rigid.apply(rigid.inverse(pose), corners[held]), drive.K)
        overlaps = box_iou(boxes_xyxy[part][:, None], clip_boxes(projected, drive.image_size)[None])
        overlaps[names[part][:, None] != true_names[held][None]] = 0
        yield _Sight(ids[part], truth.instance_ids[held], overlaps)


def _are_alike(sights: list[_Sight]) -> bool:
    """Whether most masks that overlap a true box overlap the one of their own id."""
    num_own = num_any = 0
    for sight in sights:
        is_over = sight.overlaps >= _MIN_OVERLAP
        is_own = sight.mask_ids[:, None] == sight.true_ids[None]
        num_any += int(is_over.any(axis=1).sum())
        num_own += int((is_over & is_own).any(axis=1).sum())
    return 2 * num_own >= num_any


def _objects_of_tracks(sights: list[_Sight]) -> dict[int, int]:
    """The true id that each track of masks shows; without those that show none."""
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for sight in sights:
        for mask, box in zip(*linear_sum_assignment(sight.overlaps, maximize=True), strict=True):
            if sight.overlaps[mask, box] >= _MIN_OVERLAP:
                votes[int(sight.mask_ids[mask])][int(sight.true_ids[box])] += 1
    objects: dict[int, int] = {}
    for track, counts in sorted(votes.items()):
        best = min(counts, key=lambda number: (-counts[number], number))
        if 2 * counts[best] >= counts.total():
            objects[track] = best
    return objects


def _renumbered(truth: TruthBoxes, objects: Mapping[int, int]) -> TruthBoxes:
    """The boxes of each track's object under the track's id, and the others under ids that no mask has."""
    places, ids = [np.flatnonzero(~np.isin(truth.instance_ids, list(objects.values())))], []
    ids.append(truth.instance_ids[places[0]] + _NOBODY)
    for track, number in objects.items():
        places.append(np.flatnonzero(truth.instance_ids == number))
        ids.append(np.full(len(places[-1]), track))
    order = np.concatenate(places)
    return TruthBoxes(
        instance_ids=np.concatenate(ids).astype(truth.instance_ids.dtype),
        class_names=tuple(truth.class_names[place] for place in order.tolist()),
        boxes=truth.boxes[order],
        timestamps=truth.timestamps[order],
        skipped=truth.skipped,
    )
