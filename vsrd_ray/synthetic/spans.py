"""Extents, and runs of whole numbers in batches: what scanlines are made of."""

import numpy as np


def low_and_high(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest of the few entries of a second axis: [N, M, ...] gives two arrays [N, ...].

    NumPy's own reductions take several times as long where M is small.
    """
    low = high = values[:, 0]
    for i in range(1, values.shape[1]):
        low, high = np.minimum(low, values[:, i]), np.maximum(high, values[:, i])
    return low, high


def expand(
    starts: np.ndarray,  # [N] whole numbers
    ends: np.ndarray,  # [N] beyond the last number; a run that ends before it starts is empty
) -> tuple[np.ndarray, np.ndarray]:
    """All numbers of all runs one after the other, [M] int32, and the run [M] int32 that each of them belongs to."""
    counts = np.maximum(ends - starts, 0).astype(np.int32)
    stops = np.cumsum(counts, dtype=np.int32)
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    offsets = stops - counts - starts.astype(np.int32)
    return np.arange(len(owner), dtype=np.int32) - offsets[owner], owner
