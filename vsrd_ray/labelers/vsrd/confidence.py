"""How far a fitted body is to be believed, from what the fit itself knows.

A logistic regression of IoU3D > .5 on three numbers: how closely the outlines hold the place of the body, how much
worse the best body with another heading fits them, and how far the silhouettes are off the masks. Its weights come from
built-in streets alone, driven in part and as a whole, with cars that drive: `python -m benchmarks.confidence` makes
them again.
"""

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.labelers.vsrd.bodyfit import BodyFit

# Of a constant and of `confidence_features`: of bodies that stand, and of those that move.
WEIGHTS = (-0.10, -0.91, 0.60, -3.85)
MOVING_WEIGHTS = (0.69, -0.85, 0.00, -0.44)
# Beyond these a rival's cost and a misfit say no more.
_MAX_RIVAL, _MAX_MISFIT = 50.0, 2.0
# Nearer than this, m, a body is not placed any better.
_NEAREST = 1.0


def confidence_features(fit: BodyFit) -> Tensor:
    """What tells good boxes from bad ones, [N, 3].

    The logarithm of the horizontal location's standard deviation in metres; that of 1 + the rival's added cost; and the
    square of the misfit.
    """
    place = fit.spreads[:, [0, 2]].norm(dim=-1).clamp(min=1e-3)
    misfits = fit.misfits.clamp(max=_MAX_MISFIT)
    return torch.stack([place.log(), fit.rivals.clamp(max=_MAX_RIVAL).log1p(), misfits.square()], dim=-1)


def body_confidences(fit: BodyFit, *, moves: bool = False) -> Tensor:
    """Probabilities [N] that a body's box overlaps the true one by an IoU3D of more than .5.

    Args:
        fit: the bodies.
        moves: whether they are fitted as they move; then the mean over their frames is meant.
    """
    bias, *weights = MOVING_WEIGHTS if moves else WEIGHTS
    features = confidence_features(fit)
    return torch.sigmoid(bias + features @ features.new_tensor(weights))


def confidences_by_range(
    confidence: float,
    ranges: np.ndarray,  # [F] metres
    shown: np.ndarray,  # [F] bool
) -> np.ndarray:
    """Confidences [F] of one body that moves in frames that see it at some ranges, by that over those that show it.

    How far away it is, is known to a share of its range. So the standard deviation of its place grows with that, and
    counts as it does over the whole motion.
    """
    logs = np.log(np.maximum(ranges, _NEAREST))
    chance = float(np.clip(confidence, 1e-6, 1 - 1e-6))
    odds = np.log(chance / (1 - chance)) + MOVING_WEIGHTS[1] * (logs - logs[shown].mean())
    return 1 / (1 + np.exp(-odds))
