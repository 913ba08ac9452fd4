"""Depth maps of several views, set right where they disagree about the same surfaces.

Each map is off by a factor of its own that varies slowly over the image, as networks' are; what overlapping views say
of one surface tells these factors. Their logarithms are bilinear between the nodes of a lattice, and found by
Gauss-Newton with robust weights: the smallest and smoothest that make the views agree.
Shapes: H x W pixels, N nodes of all images, R pixels of one image that are seen in another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.occupancy.images import DepthImage

_STRIDE = 4  # px, between pixels that are looked up in other views
_ACROSS = 10  # cells of a lattice over the width of an image
_ROUNDS = 6
_DIFFERENCE = 1e-3  # of a logarithm, by which its effect is found out
_SIGMA = 0.02  # of what views say of one surface, beside the factors
_SMOOTH = 0.5  # by how much neighbouring nodes differ, of how much they are off
_OUTLYING = 4.0  # standard deviations of depths, beyond which views see two surfaces
_JUMP = 1.15  # ratio of neighbouring depths on one surface
_LEAST = 50  # pixels in common, and below it views have nothing to say of each other
_MIN_DEPTH = 0.5  # m
_STEEPEST = 3.0  # what a pixel's factor may do to the disagreement


@dataclass(frozen=True)
class _Lattice:
    """The nodes of one image, numbered among those of all."""

    shape: tuple[int, int]  # of the image, px
    first: int  # number of its first node

    @property
    def pitch(self) -> float:
        """Px between nodes."""
        return self.shape[1] / _ACROSS

    @cached_property
    def numbers(self) -> np.ndarray:
        """Of its nodes, row by row."""
        rows, columns = (int(np.ceil((side - 1) / self.pitch)) + 1 for side in self.shape)
        return self.first + np.arange(rows * columns).reshape(rows, columns)

    def around(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers [R, 4] of the nodes around places, px, and their weights [R, 4]."""
        i, j, weights = _corners(u / self.pitch, v / self.pitch, self.numbers.shape)
        return np.stack([self.numbers[j + b, i + a] for b in (0, 1) for a in (0, 1)], axis=1), weights

    def applied(self, image: DepthImage, factors: np.ndarray) -> DepthImage:
        """The image with its factor, of logarithms [N], taken out."""
        v, u = (one.ravel() for one in np.mgrid[: self.shape[0], : self.shape[1]])
        nodes, weights = self.around(u, v)
        factor = np.exp(-(factors[nodes] * weights).sum(axis=1)).reshape(self.shape)
        return replace(image, depth=(image.depth * factor).astype(np.float32))


@dataclass(frozen=True)
class _Disagreement:
    """What two views say otherwise of the same surfaces."""

    residuals: np.ndarray  # [R] of logarithms of depth
    nodes: np.ndarray  # [R, 8] that each depends on
    slopes: np.ndarray  # [R, 8] by these


def agreed(images: Sequence[DepthImage], *, error: float) -> list[DepthImage]:
    """The same images with depths that agree, changed as little as that takes.

    Args:
        images: of one scene; what of them is ignored does not count.
        error: standard deviation of the factors, as a share of depth.
    """
    if len(images) < 2 or error <= 0:
        return list(images)
    lattices: list[_Lattice] = []
    for image in images:
        lattices.append(_Lattice(image.depth.shape, _count(lattices)))
    factors = np.zeros(_count(lattices))
    prior = _prior(lattices, error)
    for _ in range(_ROUNDS):
        now = [lattice.applied(image, factors) for image, lattice in zip(images, lattices, strict=True)]
        normal, right = prior, -(prior @ factors)
        for found in _disagreements(now, lattices, _OUTLYING * error):
            count = len(found.residuals)
            J = sparse.csr_matrix(
                (found.slopes.ravel(), found.nodes.ravel(), np.arange(0, 8 * count + 1, 8)), (count, len(factors))
            )
            weights = 1 / (_SIGMA**2 + found.residuals**2)  # of Cauchy's distribution
            weighted = sparse.diags(weights) @ J
            normal = normal + J.T @ weighted
            right = right - weighted.T @ found.residuals
        factors = factors + linalg.spsolve(sparse.csc_matrix(normal), right)
    return [lattice.applied(image, factors) for image, lattice in zip(images, lattices, strict=True)]


def _count(lattices: Sequence[_Lattice]) -> int:
    """How many nodes there are."""
    return int(lattices[-1].numbers[-1, -1]) + 1 if lattices else 0


def _prior(lattices: Sequence[_Lattice], error: float) -> sparse.csr_matrix:
    """Inverse covariance [N, N] of the nodes: none is far off, nor from its neighbours."""
    size = _count(lattices)
    pairs = np.concatenate(
        [
            np.stack([a.ravel(), b.ravel()], axis=1)
            for number in (lattice.numbers for lattice in lattices)
            for a, b in ((number[:, :-1], number[:, 1:]), (number[:-1], number[1:]))
        ]
    )
    D = sparse.csr_matrix(
        (np.tile([1.0, -1.0], len(pairs)), pairs.ravel(), np.arange(0, 2 * len(pairs) + 1, 2)), (len(pairs), size)
    )
    return sparse.csr_matrix(sparse.identity(size) / error**2 + D.T @ D / (_SMOOTH * error) ** 2)


def _disagreements(images: Sequence[DepthImage], lattices: Sequence[_Lattice], most: float) -> Iterator[_Disagreement]:
    """Of each image with each other one that sees enough of the same."""
    inverses = [image.inverse for image in images]
    for one, lattice in zip(images, lattices, strict=True):
        v, u = (_STRIDE * place for place in np.nonzero(one.inverse[::_STRIDE, ::_STRIDE]))
        points = one.points(u, v, one.depth[v, u].astype(np.float64))
        for other, other_lattice, inverse in zip(images, lattices, inverses, strict=True):
            if other is one:
                continue
            which, x, y, residuals = _seen(points, one.labels[v, u], other, inverse, most)
            if len(which) >= _LEAST:
                farther = points[which] + _DIFFERENCE * (points[which] - one.origin)
                _, _, changed, still = _looked_up(farther, other, inverse)
                slopes = ((changed - residuals)[still] / _DIFFERENCE).clip(-_STEEPEST, _STEEPEST)
                nodes, weights = lattice.around(u[which[still]], v[which[still]])
                other_nodes, other_weights = other_lattice.around(x[still], y[still])
                yield _Disagreement(
                    residuals[still],
                    np.concatenate([nodes, other_nodes], axis=1),
                    np.concatenate([-slopes[:, None] * weights, other_weights], axis=1),
                )


def _seen(
    points: np.ndarray,  # [P, 3] m, grid's frame
    labels: np.ndarray,  # [P] uint8
    other: DepthImage,
    inverse: np.ndarray,  # [H, W] of the other image
    most: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Numbers [R] of the points on a surface of another image, their places there, px, and what both disagree by."""
    height, width = inverse.shape
    x, y, residuals, good = _looked_up(points, other, inverse)
    columns, rows = (np.rint(np.clip(place, 0, side - 1)).astype(np.int64) for place, side in ((x, width), (y, height)))
    good &= (other.labels[rows, columns] == labels) & (np.abs(residuals) < most)
    which = np.flatnonzero(good)
    return which, x[which], y[which], residuals[which]


def _looked_up(
    points: np.ndarray, other: DepthImage, inverse: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Places of points [P, 3] in an image, px, logarithms of their depth over that of the image, and which have one."""
    height, width = inverse.shape
    cam = rigid.apply(rigid.inverse(other.T_grid_cam), points)
    ahead = cam[:, 2] > _MIN_DEPTH
    z = np.where(ahead, cam[:, 2], 1.0)
    x, y = (cam[:, axis] / z * other.K[axis, axis] + other.K[axis, 2] for axis in (0, 1))
    i, j, weights = _corners(x, y, inverse.shape)
    around = np.stack([inverse[j + b, i + a] for b in (0, 1) for a in (0, 1)], axis=1)
    good = ahead & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    good &= (around > 0).all(axis=1) & (around.max(axis=1) < _JUMP * around.min(axis=1))
    ratio = np.where(good, z * (around * weights).sum(axis=1), 1.0)
    return x, y, np.log(ratio), good


def _corners(x: np.ndarray, y: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns and rows of the cells of a lattice (rows, columns) that places are in, and weights [R, 4] of corners."""
    x, y = np.clip(x, 0, shape[1] - 1), np.clip(y, 0, shape[0] - 1)
    i, j = (np.minimum(np.floor(one), side - 2).astype(np.int64) for one, side in ((x, shape[1]), (y, shape[0])))
    a, b = x - i, y - j
    return i, j, np.stack([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b], axis=1)
