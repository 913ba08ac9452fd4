"""Points in meshes: which stretches of vertical lines lie inside the street's bodies.

Shapes: F faces, T triangles, H hits of lines with triangles, I intervals. Bodies are closed first: a hole gets a cap of
triangles between its rim and the rim's middle, so that houses without floors have an inside. Single panes have none.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic.meshes import Mesh
from vsrd_ray.synthetic.spans import expand, low_and_high

_WELD = 6  # decimals of a metre to which corners that are the same agree


@dataclass(frozen=True)
class Triangles:
    """Triangles of bodies or of ground. Neighbours share points, which stay equal to the last bit wherever they go."""

    points: np.ndarray  # [P, 3] metres
    index: np.ndarray  # [T, 3] corners among the points, counter-clockwise seen from outside
    ids: np.ndarray  # [T] semantic id * 1000 + instance id

    def placed(self, T_a_b: np.ndarray) -> "Triangles":
        """The triangles of frame b in frame a."""
        return replace(self, points=rigid.apply(T_a_b, self.points))

    def where(self, which: np.ndarray) -> "Triangles":
        """Some of the triangles; their points are those of all."""
        return replace(self, index=self.index[which], ids=self.ids[which])


def together(parts: list[Triangles]) -> Triangles:
    """All triangles of at least one part, in order."""
    starts = np.cumsum([0, *(len(part.points) for part in parts[:-1])])
    return Triangles(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.index + start for part, start in zip(parts, starts, strict=True)]),
        np.concatenate([part.ids for part in parts]),
    )


@dataclass(frozen=True)
class Hits:
    """Where vertical lines of a lattice meet triangles."""

    line: np.ndarray  # [H] row * columns + column
    z: np.ndarray  # [H] metres
    sign: np.ndarray  # [H] 1 where the line leaves a body upwards, -1 where it enters one
    ids: np.ndarray  # [H]


@dataclass(frozen=True)
class Intervals:
    """Stretches of lines inside bodies of one id."""

    line: np.ndarray  # [I]
    low: np.ndarray  # [I] metres
    high: np.ndarray  # [I] metres
    ids: np.ndarray  # [I]


def triangulated(mesh: Mesh) -> Triangles:
    """All faces as triangles; corners of one id that are the same to a micrometre become one point."""
    keys = np.concatenate([np.round(mesh.faces, _WELD).reshape(-1, 3), mesh.ids.repeat(4)[:, None]], axis=1)
    points, index = np.unique(keys, axis=0, return_inverse=True)
    index = index.reshape(-1, 4)
    halves = np.concatenate([index[:, [0, 1, 2]], index[:, [0, 2, 3]]])
    has_area = (halves[:, 0] != halves[:, 1]) & (halves[:, 1] != halves[:, 2]) & (halves[:, 2] != halves[:, 0])
    return Triangles(points[:, :3], halves[has_area], np.tile(mesh.ids, 2)[has_area])


def closed(triangles: Triangles) -> Triangles:
    """The triangles and caps on all their holes."""
    points, ids = triangles.points, np.zeros(len(triangles.points), dtype=triangles.ids.dtype)
    ids[triangles.index] = triangles.ids[:, None]
    start, end = _rims(triangles.index)
    if len(start) == 0:
        return triangles
    graph = coo_array((np.ones(len(start)), (start, end)), shape=(len(points), len(points)))
    _, rim = np.unique(connected_components(graph, directed=False)[1][start], return_inverse=True)
    middles = np.stack([np.bincount(rim, points[start, i]) for i in range(3)], axis=-1) / np.bincount(rim)[:, None]
    caps = np.stack([end, start, len(points) + rim], axis=1)
    return Triangles(
        np.concatenate([points, middles]),
        np.concatenate([triangles.index, caps]),
        np.concatenate([triangles.ids, ids[start]]),
    )


def _rims(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and second corner of all edges of triangles [T, 3] that no other triangle runs along the other way."""
    start, end = index.ravel(), np.roll(index, -1, axis=1).ravel()
    low, high = np.minimum(start, end), np.maximum(start, end)
    edges, edge = np.unique(np.stack([low, high], axis=1), axis=0, return_inverse=True)
    balance = np.bincount(edge.ravel(), np.where(start < end, 1, -1), minlength=len(edges)).astype(int)
    balance[edges[:, 0] == edges[:, 1]] = 0
    times = np.abs(balance)
    forward = np.where(balance > 0, edges[:, 0], edges[:, 1]).repeat(times)
    backward = np.where(balance > 0, edges[:, 1], edges[:, 0]).repeat(times)
    return forward, backward


def meet(triangles: Triangles, spacing: float, shape: tuple[int, int]) -> Hits:
    """Where the vertical lines of a lattice meet triangles.

    Lines stand at ((i + .5) spacing, (j + .5) spacing) for i < shape[0] and j < shape[1]; spacing is in metres. One
    through an edge meets exactly one of the two triangles beside it, so lines never slip between them.
    """
    corners = triangles.points[triangles.index]
    xy, z = corners[..., :2] / spacing - 0.5, corners[..., 2]
    (left, first), (right, last) = (values.T for values in low_and_high(xy))
    first, last = np.maximum(np.ceil(first), 0), np.minimum(np.ceil(last), shape[1])
    outside = (right < 0) | (left > shape[0])
    row, item = expand(first, np.where(outside, first, last))
    left, right = _crossings(xy, item, row)
    column, pair = expand(np.maximum(np.ceil(left), 0), np.minimum(np.ceil(right), shape[0]))
    row, item = row[pair], item[pair]
    a, b, c = np.moveaxis(np.concatenate([xy, z[..., None]], axis=2), 1, 0)
    normals = np.cross(b - a, c - a)
    offset = (normals[item, 0] * (column - a[item, 0]) + normals[item, 1] * (row - a[item, 1])) / normals[item, 2]
    lowest, highest = low_and_high(z)
    height = np.clip(a[item, 2] - offset, lowest[item], highest[item])
    return Hits(row.astype(np.int64) * shape[0] + column, height, np.sign(normals[item, 2]), triangles.ids[item])


def _crossings(xy: np.ndarray, item: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right end, each [S], of triangles [S] of corners [T, 3, 2] in rows [S]."""
    left, right = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for edge in range(3):
        a, b = xy[:, edge], xy[:, (edge + 1) % 3]
        rises = (a[:, 1] < b[:, 1])[:, None]
        # From the lower to the higher end, whichever triangle asks: both beside the edge get the same number.
        low, high = np.where(rises, a, b), np.where(rises, b, a)
        slope = (high[:, 0] - low[:, 0]) / np.where(low[:, 1] == high[:, 1], 1, high[:, 1] - low[:, 1])
        x = low[item, 0] + (row - low[item, 1]) * slope[item]
        crosses = (low[item, 1] <= row) & (row < high[item, 1])
        np.minimum(left, x, out=left, where=crosses)
        np.maximum(right, x, out=right, where=crosses)
    return left, right


def inside(hits: Hits) -> Intervals:
    """The stretches of lines that lie inside bodies; where bodies of one id overlap, inside any of them."""
    order = np.lexsort((-hits.sign, -hits.z, hits.line, hits.ids))
    line, z, ids = hits.line[order], hits.z[order], hits.ids[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (line[1:] != line[:-1]) | (ids[1:] != ids[:-1])
    total = np.cumsum(hits.sign[order])
    before = np.concatenate([[0], total[:-1]])[np.flatnonzero(is_first)]
    depth = total - before[np.cumsum(is_first) - 1]
    starts = np.flatnonzero((depth > 0) & (is_first | (np.roll(depth, 1) <= 0)))
    ends = np.flatnonzero(~is_first & (depth <= 0) & (np.roll(depth, 1) > 0))
    # Closed bodies give a start and an end by turns.
    ends = ends[np.searchsorted(ends, starts)] if len(starts) else starts
    return Intervals(line[starts], z[ends], z[starts], ids[starts])
