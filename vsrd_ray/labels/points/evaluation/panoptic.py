"""Panoptic quality (PQ) as nuScenes-panoptic computes it.

Shapes: N points, C classes; class 0 is void.
"""

from dataclasses import dataclass, field

import numpy as np

from vsrd_ray.labels.points.classes import CHALLENGE

MIN_POINTS = 15  # of an unmatched segment that counts
_MIN_IOU = 0.5
CLASS_STEP = 2**20  # labels are class * CLASS_STEP + instance
_SHIFT = 2**32


def _zeros() -> np.ndarray:
    return np.zeros(len(CHALLENGE), dtype=np.int64)


@dataclass
class Panoptic:
    """Counts over a set of sweeps, by class [C]."""

    tp: np.ndarray = field(default_factory=_zeros)
    fp: np.ndarray = field(default_factory=_zeros)
    fn: np.ndarray = field(default_factory=_zeros)
    iou_sum: np.ndarray = field(default_factory=lambda: np.zeros(len(CHALLENGE)))
    confusion: np.ndarray = field(  # [C, C] points: predicted, true; with void
        default_factory=lambda: np.zeros((len(CHALLENGE), len(CHALLENGE)), dtype=np.int64)
    )

    def add(self, predicted: np.ndarray, true: np.ndarray) -> list[tuple[int, int, float]]:
        """Count one sweep.

        Args:
            predicted: [N] class * 2^20 + instance; 0 is no segment.
            true: [N] likewise; points of class 0 are left out.

        Returns:
            Matched segments: predicted and true label, and their IoU.
        """
        predicted, true = predicted.astype(np.int64), true.astype(np.int64)
        np.add.at(self.confusion, (predicted // CLASS_STEP, true // CLASS_STEP), 1)
        known = true >= CLASS_STEP
        predicted, true = predicted[known], true[known]
        predicted_ids, predicted_sizes = np.unique(predicted, return_counts=True)
        true_ids, true_sizes = np.unique(true, return_counts=True)
        pairs, shared = np.unique(predicted * _SHIFT + true, return_counts=True)
        p, t = np.searchsorted(predicted_ids, pairs // _SHIFT), np.searchsorted(true_ids, pairs % _SHIFT)
        iou = shared / (predicted_sizes[p] + true_sizes[t] - shared)
        same = predicted_ids[p] // CLASS_STEP == true_ids[t] // CLASS_STEP
        p, t, iou = (values[same & (iou > _MIN_IOU)] for values in (p, t, iou))
        np.add.at(self.tp, true_ids[t] // CLASS_STEP, 1)
        np.add.at(self.iou_sum, true_ids[t] // CLASS_STEP, iou)
        for tally, ids, sizes, matched in (
            (self.fp, predicted_ids, predicted_sizes, p),
            (self.fn, true_ids, true_sizes, t),
        ):
            left = (sizes >= MIN_POINTS) & (ids >= CLASS_STEP)
            left[matched] = False
            np.add.at(tally, ids[left] // CLASS_STEP, 1)
        return list(zip(predicted_ids[p].tolist(), true_ids[t].tolist(), iou.tolist(), strict=True))

    @property
    def sq(self) -> np.ndarray:
        """Segmentation quality [C]: mean IoU of matches; 0 without any."""
        return self.iou_sum / np.maximum(self.tp, 1)

    @property
    def rq(self) -> np.ndarray:
        """Recognition quality [C]: F1 of segments; 0 without any."""
        return self.tp / np.maximum(self.tp + self.fp / 2 + self.fn / 2, 0.5)

    @property
    def pq(self) -> np.ndarray:
        """Panoptic quality [C]."""
        return self.sq * self.rq

    @property
    def occurring(self) -> np.ndarray:
        """Which classes [C] have a true or predicted segment that counts."""
        return self.tp + self.fp + self.fn > 0

    @property
    def iou(self) -> np.ndarray:
        """IoU [C] of classes, point by point, where the truth is not void; 0 where there is none."""
        inside = self.confusion.copy()
        inside[:, 0] = 0
        hits = np.diag(inside)
        return hits / np.maximum(inside.sum(axis=0) + inside.sum(axis=1) - hits, 1)
