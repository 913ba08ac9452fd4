"""Occupancy from rays: counted where their ends are known, expected where they are not; and a class by votes.

Shapes: X x Y x Z voxels, C classes, R rays.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from vsrd_ray.labelers.occupancy.images import DepthImage, Ends, PixelRays, ends_between, pixel_rays
from vsrd_ray.labels.voxels.classes import VoxelClasses
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.traversal import Counts, Rays, count, expected_ends

_MOST_VOTES = 20.0
_VOTE_BLUR = 0.6  # voxels
_NEAR_ERROR = 0.12  # m, of depth, whatever its share
_OUTLIERS = 4e-4  # 1/m
_PRIOR, _PRIOR_RAYS, _PRIOR_BLUR = 0.02, 3.0, 0.7
_VOTE_TRUST = 0.9


class Tally:
    """What rays have done in the voxels of a grid: lengths passed, ends, and ends by class."""

    def __init__(self, grid: Grid, num_classes: int) -> None:
        self.grid = grid
        self.passed = np.zeros(grid.shape)
        self.hits = np.zeros(grid.shape)
        self.votes = np.zeros((*grid.shape, num_classes), dtype=np.float32)

    def add_image(self, image: DepthImage, blocked: np.ndarray | None = None) -> None:
        """Count the rays of an image, and surfaces between them.

        Args:
            image: whose depths are taken as they are.
            blocked: [X, Y, Z] bool, what things that move fill: other times tell nothing of it.
        """
        rays = pixel_rays(image)
        if image.is_moved:
            self.add_ends(Ends(rays.ends, rays.labels, np.ones(len(rays.ends))))
        else:
            self.add_rays(rays, None if image.ignored is None else blocked)
        self.add_ends(ends_between(image))

    def add_rays(self, rays: PixelRays, blocked: np.ndarray | None = None) -> Counts:
        """Count rays of one weight: what they pass, but for blocked voxels [X, Y, Z], and what they hit."""
        walked = Rays.between(self.grid, rays.origin, rays.ends).endless(rays.is_endless)
        found = count(walked, self.grid.shape)
        self.passed += found.passed if blocked is None else np.where(blocked, 0, found.passed)
        self.hits += found.hits
        self._vote(rays.ends[~rays.is_endless], rays.labels[~rays.is_endless])
        return found

    def add_ends(self, ends: Ends) -> None:
        """Count points of surfaces, whose rays are passed by others."""
        index = self.grid.indices(ends.points)
        inside = self.grid.is_inside(index)
        flat = np.ravel_multi_index(tuple(index[inside].T), self.grid.shape)
        weights = ends.weights[inside]
        self.hits += np.bincount(flat, weights, minlength=self.hits.size).reshape(self.grid.shape)
        self._vote(ends.points, ends.labels, ends.weights)

    def _vote(self, points: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> None:
        num = self.votes.shape[3]
        index = self.grid.indices(points)
        valid = self.grid.is_inside(index) & (labels < num)
        flat = np.ravel_multi_index(tuple(index[valid].T), self.grid.shape) * num + labels[valid]
        some = np.bincount(flat, None if weights is None else weights[valid], minlength=self.votes.size)
        self.votes += some.reshape(self.votes.shape).astype(np.float32)


def named(votes: np.ndarray, occupied: np.ndarray, classes: VoxelClasses) -> np.ndarray:
    """Class [X, Y, Z] uint8 that most votes [X, Y, Z, C] in and around an occupied voxel are for; 255 elsewhere.

    Votes are capped at 20 a voxel, so that a near wall does not outvote what stands before it.
    """
    total = votes.sum(axis=3)
    capped = votes * np.minimum(1.0, _MOST_VOTES / np.maximum(total, 1e-9))[..., None]
    best = np.zeros(votes.shape[:3], dtype=np.float32)
    result = np.full(votes.shape[:3], 255, dtype=np.uint8)
    for number in range(votes.shape[3]):
        if number == classes.free or not capped[..., number].any():
            continue
        around = ndimage.gaussian_filter(capped[..., number], _VOTE_BLUR, mode="constant", truncate=3.4)
        better = occupied & (around > best)
        best[better], result[better] = around[better], number
    return result


def expect(
    tally: Tally,
    images: Sequence[PixelRays],
    *,
    error: float,  # standard deviation of depths, as a share of them
    rounds: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Occupancy [X, Y, Z] and expected ends [X, Y, Z] of rays whose ends are uncertain; `tally` gets the votes.

    Expectation and maximisation of the likelihood of all measured depths, with a prior that is smooth.
    """
    size, shape = tally.grid.voxel_size, tally.grid.shape
    walks = [Rays.between(tally.grid, one.origin, one.ends).endless(one.is_endless) for one in images]
    rays = Rays(
        np.concatenate([one.origins for one in walks]),
        np.concatenate([one.directions for one in walks]),
        np.concatenate([one.ranges for one in walks]),
    )
    labels = np.concatenate([np.where(one.is_endless, -1, one.labels.astype(np.int64)) for one in images])
    num = tally.votes.shape[3]
    labels[labels >= num] = -1
    metres = np.where(np.isfinite(rays.ranges), rays.ranges * size, 0)
    sigmas = np.hypot(_NEAR_ERROR, error * metres) / size
    occupancy = np.full(shape, _PRIOR)
    factor = np.ones((*shape, num), dtype=np.float32)
    found = None
    for _ in range(rounds):
        found = expected_ends(rays, sigmas, labels, occupancy, factor, outliers=_OUTLIERS * size)
        blurred = [ndimage.gaussian_filter(one, _PRIOR_BLUR, mode="constant") for one in (found.ends, found.arrivals)]
        prior = np.divide(blurred[0], blurred[1], out=np.full(shape, _PRIOR), where=blurred[1] > 1e-6)
        occupancy = (found.ends + _PRIOR_RAYS * prior) / (found.arrivals + _PRIOR_RAYS)
        factor = _factor(found.votes)
    assert found is not None
    tally.votes += found.votes
    return occupancy, found.ends


def _factor(votes: np.ndarray) -> np.ndarray:
    """By how much a class is likelier in a voxel than anywhere [X, Y, Z, C] float32."""
    num = votes.shape[3]
    smooth = np.stack(
        [
            ndimage.gaussian_filter(votes[..., number], _VOTE_BLUR, mode="constant")
            if votes[..., number].any()
            else votes[..., number]
            for number in range(num)
        ],
        axis=3,
    )
    total = smooth.sum(axis=3, keepdims=True)
    share = np.divide(smooth, total, out=np.full_like(smooth, 1 / num), where=total > 1e-6)
    return (num * (_VOTE_TRUST * share + (1 - _VOTE_TRUST) / num)).astype(np.float32)
