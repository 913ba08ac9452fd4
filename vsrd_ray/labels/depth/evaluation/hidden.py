"""A field against known geometry, at points: all of them, and those that its camera does not see."""

import numpy as np


def truth_scores(
    predicted: np.ndarray,  # [Q] bool
    inside: np.ndarray,  # [Q] bool: in something solid
    hidden: np.ndarray,  # [Q] bool: behind the true depth
) -> dict[str, float]:
    """`iou` of occupied points, `accuracy` of all points and `hidden_accuracy` of hidden ones; NaN where undefined."""
    union = int((predicted | inside).sum())
    right = predicted == inside
    return {
        "iou": int((predicted & inside).sum()) / union if union else float("nan"),
        "accuracy": float(right.mean()) if right.size else float("nan"),
        "hidden_accuracy": float(right[hidden].mean()) if hidden.any() else float("nan"),
    }


def area_under_curve(
    density: np.ndarray,  # [Q]
    inside: np.ndarray,  # [Q] bool
) -> float:
    """The chance that an occupied point has a higher density than a free one, ties half; NaN without one of either.

    The area under the ROC curve, by ranks (Mann-Whitney): it needs no threshold, so "all free" scores 0.5.
    """
    positive = int(inside.sum())
    negative = inside.size - positive
    if not positive or not negative:
        return float("nan")
    _, where, counts = np.unique(density, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[where]
    return float((ranks[inside].sum() - positive * (positive + 1) / 2) / (positive * negative))
