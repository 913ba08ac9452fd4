"""Average precision: from detections that were judged to one figure.

Shapes: D detections, S distinct scores, ... ways of judging at once (such as IoU thresholds).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

TRUE, FALSE, NEITHER = 1, 0, -1  # NEITHER: of something that need not be found, and may be
R40 = np.arange(1, 41) / 40  # recalls at which KITTI looks since 2019, rounded as recalls are: 9 / 120 is 3 / 40
R11 = np.arange(11) / 10  # and before that, as PASCAL VOC did until 2009

Summary = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Verdicts:
    """What became of detections, judged in several ways at once."""

    scores: np.ndarray  # [D]
    verdicts: np.ndarray  # [D, ...] int8: TRUE, FALSE or NEITHER
    num_objects: np.ndarray  # [...] int64, objects that ought to be found


def concatenate_verdicts(parts: Sequence[Verdicts]) -> Verdicts:
    """All detections and objects of several sequences; at least one part."""
    return Verdicts(
        scores=np.concatenate([part.scores for part in parts]),
        verdicts=np.concatenate([part.verdicts for part in parts]),
        num_objects=np.sum([part.num_objects for part in parts], axis=0),
    )


def average_precisions(judged: Verdicts, summary: Summary) -> np.ndarray:
    """Average precision [...], 0..1; NaN where there is no object to find.

    Args:
        judged: detections and their verdicts.
        summary: what is made of a curve: `mean_over_recalls` at some, or `area_under_envelope`.
    """
    order = np.argsort(-judged.scores, kind="stable")
    scores, verdicts = judged.scores[order], judged.verdicts[order]
    averages = np.full(judged.num_objects.shape, math.nan)
    for way in np.ndindex(averages.shape):
        if judged.num_objects[way]:
            curve = _precision_recall(scores, verdicts[(slice(None), *way)], int(judged.num_objects[way]))
            averages[way] = summary(*curve)
    return averages


def mean_over_recalls(precisions: np.ndarray, recalls: np.ndarray, *, levels: np.ndarray = R40) -> float:
    """Mean of the curve's envelope at some recalls, `R40` or `R11`: 0 where no score reaches the recall.

    KITTI's own program takes each precision at the score where recall comes next to k/40, without going between scores;
    with less than 40 objects it then counts recalls that are reached as not reached. This is the mean that it means.
    """
    envelope = np.append(_envelope(precisions), 0.0)
    return float(envelope[np.searchsorted(recalls, levels)].mean())


def area_under_envelope(precisions: np.ndarray, recalls: np.ndarray) -> float:
    """Area under the curve's envelope over recall (PASCAL VOC since 2010, KITTI-360)."""
    return float((_envelope(precisions) * np.diff(recalls, prepend=0.0)).sum())


def _precision_recall(scores: np.ndarray, verdicts: np.ndarray, num_objects: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision [S] and recall [S] of all detections with at least a score, for each distinct one from the highest.

    Detections of one score come together: their order means nothing.
    """
    counts = verdicts != NEITHER
    scores, is_true = scores[counts], verdicts[counts] == TRUE
    found = is_true.cumsum()
    is_last = np.append(scores[1:] != scores[:-1], True)[: len(scores)]
    ranks = np.arange(1, len(scores) + 1)
    return found[is_last] / ranks[is_last], found[is_last] / num_objects


def _envelope(precisions: np.ndarray) -> np.ndarray:
    """The best precision at each recall or a higher one."""
    return np.maximum.accumulate(precisions[::-1])[::-1]
