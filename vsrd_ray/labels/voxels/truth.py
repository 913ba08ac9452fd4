"""True voxels, in the classes of a grid that was labelled."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.labels.voxels.classes import UNKNOWN, VoxelClasses, table_named
from vsrd_ray.labels.voxels.schema import Voxels


@dataclass(frozen=True)
class TrueGrid:
    """The truth in one grid."""

    semantics: np.ndarray  # [X, Y, Z] uint8, of a class table; 255 where nobody knows
    mask_camera: np.ndarray  # [X, Y, Z] bool
    mask_lidar: np.ndarray  # [X, Y, Z] bool


def true_grid(truth: Any, frame: int, voxels: Voxels) -> TrueGrid | None:
    """The truth of a frame; None where the frame has none.

    Args:
        truth: what the drive gives as truth of `voxels`.
        frame: its number.
        voxels: what was labelled, whose grid the truth must have.

    Raises:
        InputError: the truth is of another grid, or the labels have no classes.
    """
    if frame not in truth.frames:
        return None
    if voxels.classes is None:
        raise InputError("the run's voxels have no classes: they are of density alone")
    found = truth.voxels(frame)
    is_same = (
        found.semantics.shape == voxels.grid.shape
        and np.allclose(found.range, voxels.grid.range)
        and (found.T_world_grid is None or np.allclose(found.T_world_grid, voxels.T_world_grid, atol=1e-3))
    )
    if not is_same:
        raise InputError(
            f"frame {frame}: the true voxels are of the range {found.range.tolist()} m in {found.voxel_size:g} m, "
            f"and the labels of {list(voxels.grid.range)} in {voxels.grid.voxel_size:g}, or they lie elsewhere: "
            "label that grid"
        )
    if found.classes not in (None, voxels.classes):
        raise InputError(
            f"frame {frame}: the true voxels have the classes of {found.classes}, and the labels of {voxels.classes}: "
            f"label with --set classes={found.classes}"
        )
    semantics = found.semantics if found.classes else _named(found.semantics, table_named(voxels.classes))
    return TrueGrid(semantics, found.mask_camera, found.mask_lidar)


def _named(ids: np.ndarray, classes: VoxelClasses) -> np.ndarray:
    """Classes [X, Y, Z] uint8 of ids of Cityscapes, of which 0 is free."""
    named = np.where(ids == 0, classes.free, classes.of_city[ids])
    return np.where(named >= len(classes.names), UNKNOWN, named).astype(np.uint8)
