"""What confidences are worth: do they rank labels, do they mean what they say, and what does keeping the best gain.

All of it is over truths with a label of the labeler's; one that a human drew has no part in it. A label is good if its
IoU3D is over `GOOD_IOU`.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from vsrd_ray.labels.boxes.evaluation.matching import Matches

GOOD_IOU = 0.5
_TENTHS = 10


@dataclass(frozen=True)
class Reliability:
    """Labels with confidences in [low, high), the last tenth with its end; shares and means of no label are NaN."""

    low: float
    high: float
    count: int
    mean_confidence: float
    share_good: float  # what a confidence that is a probability would equal
    share_kept: float  # of all labels, those with a confidence of at least `low`
    precision_kept: float  # share of good ones among those


@dataclass(frozen=True)
class Kept:
    """The most confident labels, down to one confidence."""

    confidence: float  # least of those kept
    share: float  # of all labels
    precision: float  # share of good ones among those kept


def confidence_auc(matches: Matches) -> float:
    """`roc_area` of the labelled truths' confidences."""
    return roc_area(*_labels(matches))


def roc_area(
    confidences: np.ndarray,  # [B]
    is_good: np.ndarray,  # [B] bool
) -> float:
    """Area under the ROC curve of confidence against being good.

    The probability that a good label has a higher confidence than one that is not, ties counted half; NaN unless there
    are labels of both kinds.
    """
    num_good, num_others = int(is_good.sum()), int((~is_good).sum())
    if not num_good or not num_others:
        return math.nan
    ranks = rankdata(confidences)
    return float((ranks[is_good].sum() - num_good * (num_good + 1) / 2) / (num_good * num_others))


def reliability(matches: Matches) -> tuple[Reliability, ...]:
    """`reliability_by_tenths` of the labelled truths' confidences."""
    return reliability_by_tenths(*_labels(matches))


def reliability_by_tenths(
    confidences: np.ndarray,  # [B]
    is_good: np.ndarray,  # [B] bool
) -> tuple[Reliability, ...]:
    """The reliability diagram, and what is kept above each confidence: one entry for each tenth, ascending."""
    edges = np.arange(_TENTHS + 1) / _TENTHS
    tenths = np.digitize(confidences, edges[1:-1])
    entries = []
    for tenth, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        within, kept = tenths == tenth, tenths >= tenth
        entries.append(
            Reliability(
                low=low,
                high=high,
                count=int(within.sum()),
                mean_confidence=_mean(confidences[within]),
                share_good=_mean(is_good[within]),
                share_kept=_mean(kept),
                precision_kept=_mean(is_good[kept]),
            )
        )
    return tuple(entries)


def kept_labels(matches: Matches) -> tuple[Kept, ...]:
    """`precision_of_kept` of the labelled truths' confidences."""
    return precision_of_kept(*_labels(matches))


def precision_of_kept(
    confidences: np.ndarray,  # [B]
    is_good: np.ndarray,  # [B] bool
) -> tuple[Kept, ...]:
    """Precision against the share of labels kept: an entry for each tenth of the labels, ascending.

    Labels of one confidence are kept together, so a share may be larger than its tenth; none is there twice. Nothing
    where there are no labels.
    """
    count = len(confidences)
    wanted = -(-count * np.arange(1, _TENTHS + 1) // _TENTHS)  # rounded up
    falling = np.sort(confidences)[::-1]
    entries = []
    for least in np.unique(falling[wanted - 1])[::-1].tolist() if count else []:
        kept = confidences >= least
        entries.append(Kept(least, _mean(kept), _mean(is_good[kept])))
    return tuple(entries)


def _labels(matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and whether the label is good, of the truths that the labeler has labelled."""
    has_confidence = matches.is_labelled & ~np.isnan(matches.confidences)
    return matches.confidences[has_confidence], matches.iou_3d[has_confidence] > GOOD_IOU


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
