"""The ground below a sweep: a smooth surface under its lowest points, which cars and people do not lift.

A cell's lowest points are often a car's. So heights are not taken cell by cell: nodes 4 m apart, 8 m far away, are
fitted to the low points of all cells at once, with a price on bending, and points above the surface count little
(asymmetric, robust least squares). Shapes: N points, C cells, G x G nodes.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.linalg import solveh_banded

_NEAR, _FAR = 40.0, 88.0  # m from the sensor, along x and y: nodes are close together, and end
_AXIS = np.concatenate([np.arange(-_FAR, -_NEAR, 8.0), np.arange(-_NEAR, _NEAR, 4.0), np.arange(_NEAR, _FAR + 1, 8.0)])
_NUM = len(_AXIS)  # G
_CELL = 1.0  # m
_LOW = 0.1  # share of a cell's points that lie below its low point
_STIFFNESS = 2.0  # price of bending by 1 m in 4 m, in squares of the misfit of low points
_SOFT_ABOVE, _SOFT_BELOW = 0.08, 0.4  # m of misfit at which a low point counts a quarter
_ROUNDS = 8
_DEEP = 1e6  # m below a sweep without points


@dataclass(frozen=True)
class Ground:
    """Heights of nodes, in axes of the world with the sensor at the origin."""

    nodes: np.ndarray  # [G, G] metres, by x and y

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Height [N] of the surface at places [N, 2]; beyond its reach, that of the nearest edge."""
        index, weight = _corners(xy)
        return (self.nodes.ravel()[index] * weight).sum(axis=1)

    def clearance(self, xyz: np.ndarray) -> np.ndarray:
        """Height [N] of points [N, 3] above the surface, metres."""
        return xyz[:, 2] - self.height(xyz[:, :2])


def fit_ground(
    xyz: np.ndarray,  # [N, 3] metres, axes of the world (z up), the sensor at the origin
) -> Ground:
    """The ground below a sweep; of a sweep without points, far below."""
    low = _low_points(xyz)
    if not len(low):
        return Ground(np.full((_NUM, _NUM), -_DEEP))
    index, weight = _corners(low[:, :2])
    heights = np.full(_NUM * _NUM, np.quantile(low[:, 2], 0.2))
    # What counts as above narrows from round to round: a street on a slope is no object.
    for softness in np.geomspace(12, 1, _ROUNDS):
        misfit = low[:, 2] - (heights[index] * weight).sum(axis=1)
        scale = np.where(misfit > 0, _SOFT_ABOVE, _SOFT_BELOW) * softness
        heights = _solve(index, weight, low[:, 2], 1 / (1 + (misfit / scale) ** 2) ** 2)
    return Ground(heights.reshape(_NUM, _NUM))


def _low_points(xyz: np.ndarray) -> np.ndarray:
    """The low point of each cell [C, 3]."""
    near = xyz[(np.abs(xyz[:, :2]) < _FAR).all(axis=1)]
    cell = np.floor((near[:, :2] + _FAR) / _CELL).astype(np.int64)
    key = cell[:, 0] * int(2 * _FAR / _CELL + 1) + cell[:, 1]
    order = np.lexsort([near[:, 2], key])
    start = np.flatnonzero(np.diff(key[order], prepend=-1))
    count = np.diff(np.append(start, len(order)))
    return near[order[start + (_LOW * (count - 1)).astype(np.int64)]]


def _corners(xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [N, 4] around places [N, 2], ascending, and their weights."""
    xy = np.clip(xy, -_FAR, _FAR)
    first = np.minimum(np.searchsorted(_AXIS, xy, side="right") - 1, _NUM - 2)
    fx, fy = ((xy - _AXIS[first]) / (_AXIS[first + 1] - _AXIS[first])).T
    index = first[:, 0] * _NUM + first[:, 1]
    return (
        np.stack([index, index + 1, index + _NUM, index + _NUM + 1], axis=1),
        np.stack([(1 - fx) * (1 - fy), (1 - fx) * fy, fx * (1 - fy), fx * fy], axis=1),
    )


@cache
def _bending() -> np.ndarray:
    """The price of second differences as a symmetric banded matrix [2 G + 1, G G], lower form."""
    bands = np.zeros((2 * _NUM + 1, _NUM * _NUM))
    nodes = np.arange(_NUM * _NUM).reshape(_NUM, _NUM)
    before, after = np.diff(_AXIS)[:-1], np.diff(_AXIS)[1:]
    # Second derivatives by divided differences, in units of 1 m in 4 m.
    factors = 16 * np.stack([2 / (before * (before + after)), -2 / (before * after), 2 / (after * (before + after))])
    for grid in (nodes, nodes.T):
        triples = (grid[:-2], grid[1:-1], grid[2:])
        for a, ka in zip(triples, factors, strict=True):
            for b, kb in zip(triples, factors, strict=True):
                if (below := a - b)[0, 0] >= 0:
                    np.add.at(bands, (below, b), _STIFFNESS * (ka * kb)[:, None])
    bands[0] += 1e-6
    return bands


def _solve(index: np.ndarray, weight: np.ndarray, z: np.ndarray, importance: np.ndarray) -> np.ndarray:
    bands, size = _bending(), _NUM * _NUM
    right = np.bincount(
        index.ravel(), weights=(importance * z)[:, None].repeat(4, 1).ravel() * weight.ravel(), minlength=size
    )
    places, values = [], []
    for i in range(4):
        for j in range(i + 1):
            places.append((index[:, i] - index[:, j]) * size + index[:, j])
            values.append(importance * weight[:, i] * weight[:, j])
    sums = np.bincount(np.concatenate(places), weights=np.concatenate(values), minlength=bands.size)
    return solveh_banded(bands + sums.reshape(bands.shape), right, lower=True, overwrite_ab=True, check_finite=False)
