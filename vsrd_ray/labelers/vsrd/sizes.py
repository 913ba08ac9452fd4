"""Sizes that no vehicle has, which tell of a fit to part of one, or of one nearer than it is."""

from collections.abc import Sequence

import numpy as np

from vsrd_ray.labelers.vsrd.config import SizeSettings

# Of squared departures of three sides together, in standard deviations: 1 of 1,000 vehicles is beyond (chi-squared).
_BEYOND = 16.27


def are_too_small(
    half_extents: np.ndarray,  # [N, 3] metres, half of width, height and length
    sizes: Sequence[SizeSettings],
) -> np.ndarray:
    """Whether boxes [N] bool are smaller than vehicles of their classes are; larger ones do not count.

    Classes have few kinds that are much smaller than the mean, but many that are much larger.

    Args:
        half_extents: of the boxes.
        sizes: N, of their classes.
    """
    if not sizes:
        return np.zeros(0, dtype=bool)
    mean, spread = (np.array([getattr(size, f"half_extents_{name}") for size in sizes]) for name in ("mean", "spread"))
    short = np.minimum((half_extents - mean) / spread, 0)
    return np.square(short).sum(axis=-1) > _BEYOND
