"""Connected components of labelled points: the first half of MixSup's separability-aware refinement (SAR).

Points i and j are linked iff |pi - pj| < max(.04 max(|pi|, |pj|), min(m_i, m_j)), if nothing forbids it. Testing all
pairs is quadratic. Here points of one kind that share a voxel whose diagonal is m are linked at once, and voxel pairs
that a KD-tree finds are tested until they are joined: the same components.

Shapes: N points, V voxels, E pairs of voxels.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

RANGE_SHARE = 0.04  # of the distance from the sensor within which points are linked
_CHUNK = 400_000  # pairs of points that are tested at once
_SLACK = 1e-9  # m and shares, for what floats round away


@dataclass(frozen=True)
class Points:
    """What decides which points may be linked."""

    xyz: np.ndarray  # [N, 3] float64 metres, in the sensor's frame
    margin: np.ndarray  # [N] float64 metres: m
    block: np.ndarray  # [N] int: points of two blocks are never linked
    scope: np.ndarray  # [N] int: where parts exclude each other, such as a class or a camera
    part: np.ndarray  # [N] int: points of one scope and two parts are never linked, but by way of others


def components(points: Points) -> np.ndarray:
    """Components [N] int64, numbered by their first points."""
    num = len(points.xyz)
    if not num:
        return np.zeros(0, dtype=np.int64)
    voxels = _Voxels.of(points)
    label = np.arange(len(voxels.count))
    first, second = voxels.candidates()
    linked = voxels.surely_linked(first, second)
    label = _joined(label, first[linked], second[linked])
    first, second = first[~linked], second[~linked]
    while len(first):
        apart = label[first] != label[second]
        first, second = first[apart], second[apart]
        sizes = np.cumsum(voxels.count[first] * voxels.count[second])
        take = max(int(np.searchsorted(sizes, _CHUNK)), 1)
        is_link = voxels.linked(first[:take], second[:take])
        label = _joined(label, first[:take][is_link], second[:take][is_link])
        first, second = first[take:], second[take:]
    return _by_first_point(label[voxels.of_point])


def _joined(label: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Component [V] of each voxel after some pairs were joined."""
    graph = coo_array((np.ones(len(first), dtype=bool), (label[first], label[second])), shape=(len(label), len(label)))
    return connected_components(graph, directed=False)[1][label]


def _by_first_point(label: np.ndarray) -> np.ndarray:
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


@dataclass(frozen=True)
class _Voxels:
    """Points sorted by voxel, in each of which all are linked."""

    points: Points  # sorted
    of_point: np.ndarray  # [N] voxel of each point, in the order in which they were given
    start: np.ndarray  # [V] first place of each voxel's points
    count: np.ndarray  # [V]
    distance: np.ndarray  # [N] from the sensor, sorted as the points are

    @staticmethod
    def of(points: Points) -> "_Voxels":
        side = points.margin / np.sqrt(3) * (1 - _SLACK)
        cell = np.floor(points.xyz / side[:, None]).astype(np.int64)
        margins = np.unique(points.margin, return_inverse=True)[1]
        keys = np.column_stack([points.block, points.scope, points.part, margins, cell])
        order = np.lexsort(keys.T)
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = (np.diff(keys[order], axis=0) != 0).any(axis=1)
        of_point = np.empty(len(order), dtype=np.int64)
        of_point[order] = np.cumsum(is_first) - 1
        start = np.flatnonzero(is_first)
        ordered = Points(
            *(values[order] for values in (points.xyz, points.margin, points.block, points.scope, points.part))
        )
        return _Voxels(
            points=ordered,
            of_point=of_point,
            start=start,
            count=np.diff(np.append(start, len(order))),
            distance=np.linalg.norm(ordered.xyz, axis=1),
        )

    def candidates(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of voxels [E], nearest first, that may hold linked points and are not forbidden to."""
        low, high = (ufunc.reduceat(self.points.xyz, self.start, axis=0) for ufunc in (np.minimum, np.maximum))
        center, half = (low + high) / 2, np.linalg.norm(high - low, axis=1) / 2
        # A link is shorter than .04 of the farther end's distance, which is at most the nearer end's and the link.
        farthest = np.maximum.reduceat(self.distance, self.start)
        reach = np.maximum(RANGE_SHARE / (1 - RANGE_SHARE) * farthest, self.points.margin[self.start])
        radius = reach + half + half.max() + _SLACK
        found = KDTree(center).query_ball_point(center, radius, return_sorted=False)
        lengths = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
        first = np.repeat(np.arange(len(found)), lengths)
        second = np.concatenate([np.asarray(one, dtype=np.int64) for one in found])
        block, scope, part = (values[self.start] for values in (self.points.block, self.points.scope, self.points.part))
        is_cut = (scope[first] == scope[second]) & (part[first] != part[second])
        allowed = (first != second) & (block[first] == block[second]) & ~is_cut
        first, second = first[allowed], second[allowed]
        pairs = np.unique(np.minimum(first, second) * len(found) + np.maximum(first, second))
        first, second = np.divmod(pairs, len(found))
        gap = np.linalg.norm(center[first] - center[second], axis=1) - half[first] - half[second]
        nearest = np.argsort(gap, kind="stable")
        return first[nearest], second[nearest]

    def surely_linked(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Which pairs [E] are linked by their first points: often enough to spare most of the others."""
        a, b = self.start[first], self.start[second]
        return self._linked(a, b)

    def linked(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Which pairs [E] of voxels have a linked pair of points."""
        sizes = self.count[first] * self.count[second]
        pair = np.repeat(np.arange(len(first)), sizes)
        place = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        width = self.count[second][pair]
        is_link = self._linked(self.start[first][pair] + place // width, self.start[second][pair] + place % width)
        return np.bincount(pair, weights=is_link, minlength=len(first)) > 0

    def _linked(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        xyz, margin, distance = self.points.xyz, self.points.margin, self.distance
        apart = np.linalg.norm(xyz[a] - xyz[b], axis=1)
        return apart < np.maximum(RANGE_SHARE * np.maximum(distance[a], distance[b]), np.minimum(margin[a], margin[b]))
