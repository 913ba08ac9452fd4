"""Pairs of tracks and detections: the cheapest assignment whose pairs all cost less than a limit.

Shapes: N tracks, D detections.
"""

import numpy as np


def assign(costs: np.ndarray, limit: float) -> np.ndarray:  # [N, D]
    """Detection [N] int64 of each track; -1 where it gets none.

    Who stays alone costs the limit, a half for each of the two. So the result may differ from the cheapest assignment
    of all, whose dear pairs are parted afterwards (`lap.lapjv` with `cost_limit`, as ByteTrack calls it).
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow, and datasets are opened without it

    matches = np.full(len(costs), -1)
    if costs.size:
        rows, columns = linear_sum_assignment(np.minimum(costs - limit, 0.0))
        cheap = costs[rows, columns] < limit
        matches[rows[cheap]] = columns[cheap]
    return matches
