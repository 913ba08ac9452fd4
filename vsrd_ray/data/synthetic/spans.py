"""Runs of whole numbers in batches: what scanlines are made of."""

import numpy as np


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
