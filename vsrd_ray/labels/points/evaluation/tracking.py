"""Segmentation and tracking quality over time (LSTQ, Aygün et al., 4D Panoptic LiDAR Segmentation, CVPR 2021).

A tube is all points of one instance in all sweeps of a drive. Shapes: N points of a sweep.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from vsrd_ray.labels.points.classes import NUM_THINGS
from vsrd_ray.labels.points.evaluation.panoptic import CLASS_STEP


@dataclass
class Tubes:
    """Sizes of true and predicted tubes of things, and of what they share, in points."""

    true: Counter[tuple[str, int]] = field(default_factory=Counter)
    predicted: Counter[tuple[str, int]] = field(default_factory=Counter)
    shared: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    hits: np.ndarray = field(default_factory=lambda: np.zeros((3, NUM_THINGS + 1)))  # right, predicted, true points

    def add(self, drive: str, predicted: np.ndarray, true: np.ndarray) -> None:
        """Count a sweep.

        Args:
            drive: whose it is.
            predicted: [N] challenge class * 2^20 + id over the drive; 0 without a label.
            true: [N] likewise; points of 0 are left out.
        """
        known = true > 0
        predicted, true = predicted[known], true[known]
        classes, of_truth = predicted // CLASS_STEP, true // CLASS_STEP
        is_thing = of_truth <= NUM_THINGS
        for row, values in enumerate((of_truth[(classes == of_truth) & is_thing], classes, of_truth[is_thing])):
            self.hits[row] += np.bincount(values, minlength=NUM_THINGS + 1)
        for tally, values in ((self.true, true[is_thing]), (self.predicted, predicted[predicted > 0])):
            ids, counts = np.unique(values, return_counts=True)
            tally.update({(drive, one): count for one, count in zip(ids.tolist(), counts.tolist(), strict=True)})
        both = is_thing & (predicted > 0)
        pairs, counts = np.unique(np.stack([predicted[both], true[both]]), axis=1, return_counts=True)
        self.shared.update(
            {(drive, p, t): count for (p, t), count in zip(pairs.T.tolist(), counts.tolist(), strict=True)}
        )

    def values(self) -> dict[str, float]:
        """`association` and `classes` (mean IoU of things that occur), and `lstq`, the root of their product."""
        scores: defaultdict[tuple[str, int], float] = defaultdict(float)
        for (drive, p, t), count in self.shared.items():
            union = self.predicted[drive, p] + self.true[drive, t] - count
            scores[drive, t] += count * count / union
        association = sum(scores[one] / size for one, size in self.true.items()) / max(len(self.true), 1)
        right, found, true = self.hits[:, 1:]
        occurs = true > 0
        iou = right[occurs] / np.maximum(found[occurs] + true[occurs] - right[occurs], 1)
        classes = float(iou.mean()) if occurs.any() else 0.0
        return {"lstq": float(np.sqrt(association * classes)), "association": float(association), "classes": classes}
