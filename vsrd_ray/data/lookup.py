"""Instances in frames as sortable integers, and where they are found.

Shapes: N, K, R any numbers of rows.
"""

import numpy as np

_IDS = 1 << 32  # instance ids are below this


def instance_keys(
    instance_ids: np.ndarray,  # [N]
    frames: np.ndarray | int,  # [N], or one for all
) -> np.ndarray:
    """An integer [N] for each instance in a frame; they sort by frame, then instance."""
    return np.asarray(frames, dtype=np.int64) * _IDS + instance_ids


def split_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Instance ids [N] and frames [N] of `instance_keys`."""
    return keys % _IDS, keys // _IDS


def positions(
    keys: np.ndarray,  # [K]
    wanted: np.ndarray,  # [R]
) -> np.ndarray:
    """Position [R] in `keys` of each wanted one: the first, where it occurs twice; -1 where it does not occur."""
    if not len(keys):
        return np.full(len(wanted), -1)
    order = np.argsort(keys, kind="stable")
    places = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where(keys[order][places] == wanted, order[places], -1)
