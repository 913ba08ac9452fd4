"""Which voxels are occupied, and in which colour their class is published."""

import numpy as np

from vsrd_ray.labels.voxels.classes import UNKNOWN, table_named
from vsrd_ray.labels.voxels.labelled import LabelledGrid
from vsrd_ray.labels.voxels.schema import OCCUPIED

_GREY = 128  # of what has no class


def occupied_of(labelled: LabelledGrid) -> np.ndarray:
    """Which voxels [X, Y, Z] bool are occupied."""
    voxels = labelled.voxels
    if voxels.state is not None:
        return voxels.state == OCCUPIED
    assert voxels.semantics is not None and voxels.classes is not None
    return (voxels.semantics != UNKNOWN) & (voxels.semantics != table_named(voxels.classes).free)


def occupied_colors(labelled: LabelledGrid) -> tuple[np.ndarray, np.ndarray]:
    """Indices [N, 3] of the occupied voxels, and their colours [N, 3] uint8, RGB; grey without a class."""
    voxels = labelled.voxels
    index = np.argwhere(occupied_of(labelled))
    colors = np.full((len(index), 3), _GREY, np.uint8)
    if voxels.semantics is not None and voxels.classes is not None:
        table = table_named(voxels.classes)
        numbers = voxels.semantics[tuple(index.T)]
        named = numbers < len(table.names)
        colors[named] = table.colors[numbers[named]]
    return index, colors
