"""How labels are held against true boxes, whatever the ids of their masks.

Shapes: T true boxes, each in one frame; R label rows.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.datasets import CLASSES
from vsrd_ray.data.drive import Drive
from vsrd_ray.data.lookup import instance_keys, positions
from vsrd_ray.data.truth import TruthBoxes
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import boxes_of, has_velocity, track_ids
from vsrd_ray.labels.boxes.criteria import MAX_RANGE
from vsrd_ray.labels.boxes.evaluation.assignment import PlacedBoxes, pair_ious, touching_pairs
from vsrd_ray.labels.boxes.evaluation.confidence import GOOD_IOU
from vsrd_ray.labels.boxes.evaluation.matching import match
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA

SURE = 0.5  # a label with a greater confidence had better be right


@dataclass(frozen=True)
class Truths:
    """True boxes that count, each in one frame."""

    frames: np.ndarray  # [T]
    instance_ids: np.ndarray  # [T]
    is_moving: np.ndarray  # [T] bool
    boxes: UprightBoxes  # [T], in the world
    ways: np.ndarray  # [T] m, the diagonal of the ground that all true boxes of the object cover


def truths_of(truth: TruthBoxes, index: pa.Table, drive: Drive) -> Truths:
    """The true boxes of cars within range that a drive's masks show well enough."""
    found = match(
        LABEL_SCHEMA.empty_table(),
        truth,
        index=index.filter(index["instance_id"].is_valid()),
        sequence=drive,
        frames=index["frame"].unique().to_pylist(),
        classes=CLASSES,
        max_range=MAX_RANGE,
        official=False,
    )
    boxes = truth.boxes[truth.find(found.instance_ids, found.frames)]
    return Truths(found.frames, found.instance_ids, found.is_moving, boxes, ways_of(truth, found.instance_ids))


def ways_of(truth: TruthBoxes, instance_ids: np.ndarray) -> np.ndarray:
    """The diagonals [T] m of the ground that the centres of all true boxes of some objects [T] cover."""
    ways: dict[int, float] = {}
    for instance_id in np.unique(instance_ids).tolist():
        places = truth.boxes.centers[truth.instance_ids == instance_id][:, :2]
        ways[instance_id] = float(np.hypot(*np.ptp(places, axis=0)))
    return np.array([ways[instance_id] for instance_id in instance_ids.tolist()])


@dataclass(frozen=True)
class Scores:
    """What the labels of truths are worth. Without one, overlaps are 0, the confidence is NaN, and all else False."""

    is_moving: np.ndarray  # [T] bool, as the truth says
    ways: np.ndarray  # [T] m, that its boxes cover
    by_id: np.ndarray  # [T] IoU3D of the label in the truth's own track
    by_place: np.ndarray  # [T] of the best label
    by_mask: np.ndarray  # [T] of the label of the object's mask: its box, and what follows
    confidences: np.ndarray  # [T]
    says_moving: np.ndarray  # [T] bool
    has_motion: np.ndarray  # [T] bool: says so, and has a velocity
    is_across: np.ndarray  # [T] bool: headed more than 45 degrees off, front and rear taken as equal
    false_confidences: np.ndarray  # [R] of labels on objects that are not there

    def where(self, chosen: np.ndarray) -> "Scores":
        """The truths that a mask [T] chooses, with all false objects."""
        kept = {field.name: getattr(self, field.name)[chosen] for field in fields(self)[:-1]}
        return Scores(**kept, false_confidences=self.false_confidences)

    @property
    def is_labelled(self) -> np.ndarray:
        """Whether the object's mask has a label [T] bool."""
        return ~np.isnan(self.confidences)

    @property
    def is_good(self) -> np.ndarray:
        """Whether that label is good [T] bool."""
        return self.by_mask > GOOD_IOU

    @property
    def wrong(self) -> float:
        """Labels that are confident and wrong, for each truth; those of false objects among them."""
        count = (~self.is_good & (self.confidences > SURE)).sum() + (self.false_confidences > SURE).sum()
        return float(count) / len(self.by_mask) if len(self.by_mask) else math.nan

    @property
    def said_to_move(self) -> np.ndarray:
        """What is said [N] bool of what stands and has a label, and of all that moves, labelled or not."""
        return self.says_moving[self.is_moving | self.is_labelled]


def concatenate(parts: Sequence[Scores]) -> Scores:
    """All truths of several sequences; at least one part."""
    names = [field.name for field in fields(Scores)]
    return Scores(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def score(truths: Truths, labels: pa.Table, spans: Sequence[Mapping[str, Any]] = ()) -> Scores:
    """Hold labels against truths.

    Args:
        truths: those that count.
        labels: rows of `LABEL_SCHEMA`.
        spans: of degraded.json: which id stands for which object where. Without any, ids are the true ones.
    """
    frames, ids = (labels[name].to_numpy().astype(np.int64) for name in ("frame", "instance_id"))
    boxes, keys, count = boxes_of(labels), instance_keys(ids, frames), len(truths.frames)
    confidences, moves = labels["confidence"].to_numpy(), labels["is_moving"].to_numpy()
    of_mask = positions(keys, instance_keys(mask_ids(truths, spans), truths.frames))
    own = rows_by_id(truths, labels, spans)
    hits = np.flatnonzero(of_mask >= 0)
    rows = of_mask[hits]
    turns = boxes.yaws[rows] - truths.boxes.yaws[hits]
    return Scores(
        is_moving=truths.is_moving,
        ways=truths.ways,
        by_id=overlaps(truths, boxes, own),
        by_place=best_overlaps(truths, PlacedBoxes(frames, boxes)),
        by_mask=overlaps(truths, boxes, of_mask),
        confidences=scatter(confidences[rows], hits, count, missing=np.nan),
        says_moving=scatter(moves[rows], hits, count, missing=False),
        has_motion=scatter((moves & has_velocity(labels))[rows], hits, count, missing=False),
        is_across=scatter(np.abs(np.cos(turns)) < np.sqrt(0.5), hits, count, missing=False),
        false_confidences=confidences[np.isin(ids, [span["id"] for span in spans if span["true_id"] is None])],
    )


def rows_by_id(truths: Truths, labels: pa.Table, spans: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Rows [T] of labels in the track of each truth's object, -1 where it has none in the frame.

    A track is of the object that most of its masks show, and of several tracks of one object the longest counts.
    """
    frames, ids = (labels[name].to_numpy().astype(np.int64) for name in ("frame", "instance_id"))
    tracks = track_ids(labels).astype(np.int64)
    by_mask: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for span in spans:
        by_mask[span["id"]].append(span)
    votes: Counter[tuple[int, int]] = Counter()  # of tracks and objects
    for track, mask, frame in zip(tracks.tolist(), ids.tolist(), frames.tolist(), strict=True):
        own = [{"true_id": mask, "first": frame, "last": frame}]
        for span in by_mask.get(mask, own if not spans else ()):
            if span["true_id"] is not None and span["first"] <= frame <= span["last"]:
                votes[track, span["true_id"]] += 1
    track_of: dict[int, int] = {}
    for (track, true_id), _ in sorted(votes.items(), key=lambda vote: (-vote[1], vote[0])):
        if true_id not in track_of and track not in track_of.values():
            track_of[true_id] = track
    wanted = np.array([track_of.get(true_id, -1) for true_id in truths.instance_ids.tolist()], dtype=np.int64)
    return positions(instance_keys(tracks, frames), instance_keys(wanted, truths.frames))


def mask_ids(truths: Truths, spans: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The id [T] of each truth's mask: that of the span that holds the frame, or else of the nearest one."""
    by_object: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for span in spans:
        by_object[span["true_id"]].append(span)
    ids: list[int] = []
    for frame, true_id in zip(truths.frames.tolist(), truths.instance_ids.tolist(), strict=True):

        def apart(span: Mapping[str, Any], frame: int = frame) -> tuple[int, int]:
            return max(span["first"] - frame, frame - span["last"], 0), -span["masks"]

        nearest = min(by_object[true_id], key=apart, default={"id": true_id})
        ids.append(nearest["id"])
    return np.array(ids, dtype=np.int64)


def overlaps(truths: Truths, boxes: UprightBoxes, rows: np.ndarray) -> np.ndarray:
    """IoU3D [T] of each truth with the box in a row; 0 where the row is -1."""
    hits = np.flatnonzero(rows >= 0)
    return scatter(truths.boxes[hits].iou(boxes[rows[hits]])[0], hits, len(rows), missing=0.0)


def best_overlaps(truths: Truths, labels: PlacedBoxes) -> np.ndarray:
    """IoU3D [T] of each truth with the label of its frame that overlaps it most."""
    placed = PlacedBoxes(truths.frames, truths.boxes)
    pairs = touching_pairs(placed, labels)
    best = np.zeros(len(truths.frames))
    np.maximum.at(best, pairs[0], pair_ious(pairs, placed, labels)[0])
    return best


def scatter(values: np.ndarray, places: np.ndarray, count: int, *, missing: float | bool) -> np.ndarray:
    """Values [count] that are known at some places."""
    full = np.full(count, missing)
    full[places] = values
    return full
