"""Where the voxels of a grid lie.

Shapes: X x Y x Z voxels, N points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsrd_ray.errors import InputError

_ROUNDING = 1e-6  # of a voxel, by which a range may miss a whole number of them
_MAX_VOXELS = 2**28


@dataclass(frozen=True)
class Grid:
    """A box of equal cubes, in a frame of its own."""

    range: tuple[float, float, float, float, float, float]  # m, lowest x, y, z and highest x, y, z
    voxel_size: float  # m
    shape: tuple[int, int, int]

    @staticmethod
    def of(range: Sequence[float], voxel_size: float) -> "Grid":
        """The grid that fills a range.

        Args:
            range: lowest x, y, z and highest x, y, z, metres.
            voxel_size: metres.

        Raises:
            InputError: an empty range, one that is no whole number of voxels, or more of them than memory takes.
        """
        low, high = np.array(range[:3], dtype=np.float64), np.array(range[3:], dtype=np.float64)
        if len(range) != 6 or not voxel_size > 0 or not (high > low).all():
            raise InputError(f"grid of range {list(range)} m and voxels of {voxel_size:g} m: no voxel lies in it")
        counts = (high - low) / voxel_size
        whole = np.rint(counts)
        if (np.abs(counts - whole) > _ROUNDING * np.maximum(whole, 1)).any():
            raise InputError(
                f"grid of range {list(range)} m: its sides are no whole numbers of voxels of {voxel_size:g} m"
            )
        if whole.prod() > _MAX_VOXELS:
            raise InputError(
                f"grid of {whole.prod():.0f} voxels: expected at most {_MAX_VOXELS}: "
                "give larger voxels or a smaller range"
            )
        x, y, z = (int(count) for count in whole)
        low_x, low_y, low_z, high_x, high_y, high_z = (float(value) for value in range)
        return Grid((low_x, low_y, low_z, high_x, high_y, high_z), float(voxel_size), (x, y, z))

    @property
    def low(self) -> np.ndarray:
        """Lowest corner [3], metres."""
        return np.array(self.range[:3])

    def indices(self, points: np.ndarray) -> np.ndarray:
        """Voxel [N, 3] int64 of points [N, 3] of the grid's frame, inside or not: floor((p - low) / voxel_size)."""
        return np.floor((points - self.low) / self.voxel_size).astype(np.int64)

    def is_inside(self, indices: np.ndarray) -> np.ndarray:
        """Whether indices [N, 3] are of the grid [N] bool; its upper faces are not."""
        return np.asarray(((indices >= 0) & (indices < np.array(self.shape))).all(axis=-1))

    def centers(self, indices: np.ndarray) -> np.ndarray:
        """Centres [N, 3] of voxels [N, 3], metres, in the grid's frame."""
        return self.low + (indices + 0.5) * self.voxel_size


OCC3D_GRID = Grid.of((-40.0, -40.0, -1.0, 40.0, 40.0, 5.4), 0.4)  # of the car: x forward, y left, z up from the road
SSCBENCH_GRID = Grid.of((0.0, -25.6, -2.0, 51.2, 25.6, 4.4), 0.2)  # of the LiDAR: x forward, y left, z up
GRIDS = {"occ3d": OCC3D_GRID, "sscbench": SSCBENCH_GRID}
