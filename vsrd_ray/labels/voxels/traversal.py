"""Exact walks of rays through a grid (Amanatides and Woo, A Fast Voxel Traversal Algorithm, 1987).

Compiled by numba. `slow_traversal` holds the same walks in NumPy, which say in few lines what these do.
Rays are in units of the grid: voxel (i, j, k) is the cube from (i, j, k) to (i + 1, j + 1, k + 1), and lengths are in
voxels. Shapes: R rays, X x Y x Z voxels, C classes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from vsrd_ray.labels.voxels.grid import Grid

_SURE = 1 - 1e-6  # occupancy of a voxel is at most this
_HAZARD = 0.1  # chance that a ray that has left the grid ends within the side of a voxel
_REACH = 3.0  # standard deviations behind its measured end to which a ray is followed


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    """The function as machine code, which is kept on disk where there is a place for it."""
    try:
        return numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # neither beside this file nor in the user's cache can anything be written
        return numba.njit(nogil=True, **options)(function)


@dataclass(frozen=True)
class Rays:
    """Rays in units of a grid."""

    origins: np.ndarray  # [R, 3] float64
    directions: np.ndarray  # [R, 3] float64, unit
    ranges: np.ndarray  # [R] float64, where they end; infinite if they meet nothing

    @staticmethod
    def between(grid: Grid, origins: np.ndarray, ends: np.ndarray) -> "Rays":
        """Rays from points [R, 3] or [3] to points [R, 3], metres, in the grid's frame."""
        starts = np.broadcast_to((origins - grid.low) / grid.voxel_size, ends.shape)
        way = (ends - grid.low) / grid.voxel_size - starts
        length = np.linalg.norm(way, axis=1)
        return Rays(np.ascontiguousarray(starts), way / np.maximum(length, 1e-12)[:, None], length)

    def endless(self, which: np.ndarray) -> "Rays":
        """The same rays, of which some [R] bool end nowhere."""
        return Rays(self.origins, self.directions, np.where(which, np.inf, self.ranges))


@dataclass(frozen=True)
class Counts:
    """What rays did in each voxel."""

    passed: np.ndarray  # [X, Y, Z] float64, length / side of the voxel, weighted
    hits: np.ndarray  # [X, Y, Z] float64, ends, weighted


def _begin(origin, direction, shape):
    """Where a ray enters the grid and leaves it; it misses the grid unless the first is below the second."""
    enter, leave = 0.0, np.inf
    for axis in range(3):
        if direction[axis] != 0.0:
            one = -origin[axis] / direction[axis]
            other = (shape[axis] - origin[axis]) / direction[axis]
            enter, leave = max(enter, min(one, other)), min(leave, max(one, other))
        elif not 0.0 <= origin[axis] < shape[axis]:
            leave = -1.0
    return enter, leave


_begin = _compiled(_begin, inline="always")


def _first(origin, direction, enter, shape, voxel, step, until, every):
    """Set a walk up: the first voxel, and of each axis the step, where the next voxel begins, and how far apart."""
    for axis in range(3):
        place = origin[axis] + enter * direction[axis]
        index = int(np.floor(place))
        if direction[axis] < 0.0 and index == place and enter > 0.0:
            index -= 1  # it comes from above, through an upper face
        voxel[axis] = min(max(index, 0), shape[axis] - 1)
        if direction[axis] > 0.0:
            step[axis], every[axis] = 1, 1.0 / direction[axis]
            until[axis] = (voxel[axis] + 1 - origin[axis]) / direction[axis]
        elif direction[axis] < 0.0:
            step[axis], every[axis] = -1, -1.0 / direction[axis]
            until[axis] = (voxel[axis] - origin[axis]) / direction[axis]
        else:
            step[axis], every[axis], until[axis] = 0, np.inf, np.inf


_first = _compiled(_first)


def _count(origins, directions, ranges, weights, shape, passed, hits):
    voxel, step = np.empty(3, np.int64), np.empty(3, np.int64)
    until, every = np.empty(3), np.empty(3)
    for ray in range(len(ranges)):
        enter, leave = _begin(origins[ray], directions[ray], shape)
        end = ranges[ray]
        if not enter < leave or end < enter:
            continue
        _first(origins[ray], directions[ray], enter, shape, voxel, step, until, every)
        t = enter
        while True:
            axis = 0 if until[0] < until[1] else 1
            if until[2] <= until[axis]:
                axis = 2
            after = until[axis]
            if end < after:
                hits[voxel[0], voxel[1], voxel[2]] += weights[ray]
                break
            passed[voxel[0], voxel[1], voxel[2]] += weights[ray] * (after - t)
            t = after
            voxel[axis] += step[axis]
            if not 0 <= voxel[axis] < shape[axis]:
                break
            until[axis] += every[axis]


_count = _compiled(_count)


def count(rays: Rays, shape: tuple[int, int, int], weights: np.ndarray | None = None) -> Counts:
    """Passed lengths and ends of rays: the voxel that a ray ends in is hit, and not passed.

    Args:
        rays: R of them.
        shape: of the grid.
        weights: [R], one each without them.
    """
    counts = Counts(np.zeros(shape), np.zeros(shape))
    weights = np.ones(len(rays.ranges)) if weights is None else weights.astype(np.float64)
    _count(rays.origins, rays.directions, rays.ranges, weights, shape, counts.passed, counts.hits)
    return counts


def _cross(origins, directions, ranges, shape, places, entered, left):
    voxel, step = np.empty(3, np.int64), np.empty(3, np.int64)
    until, every = np.empty(3), np.empty(3)
    for ray in range(len(ranges)):
        enter, leave = _begin(origins[ray], directions[ray], shape)
        end = ranges[ray]
        if not enter < leave or end <= enter:
            continue
        _first(origins[ray], directions[ray], enter, shape, voxel, step, until, every)
        t, number = enter, 0
        while t < end:
            axis = 0 if until[0] < until[1] else 1
            if until[2] <= until[axis]:
                axis = 2
            if until[axis] > t:  # not through an edge alone
                places[ray, number] = (voxel[0] * shape[1] + voxel[1]) * shape[2] + voxel[2]
                entered[ray, number], left[ray, number] = t, until[axis]
                number += 1
            t = until[axis]
            voxel[axis] += step[axis]
            if not 0 <= voxel[axis] < shape[axis]:
                break
            until[axis] += every[axis]


_cross = _compiled(_cross)


@dataclass(frozen=True)
class Crossed:
    """The voxels that each ray crosses, in order, at the front of its row."""

    places: np.ndarray  # [R, S] int64, flat indices; 0 behind the last
    entered: np.ndarray  # [R, S] float64, where the ray enters them, voxels
    left: np.ndarray  # [R, S] float64, where it leaves them; as `entered` behind the last


def crossed(rays: Rays, shape: tuple[int, int, int]) -> Crossed:
    """All voxels that rays cross up to and with those that they end in.

    Args:
        rays: R of them.
        shape: of the grid; S is the most voxels that a straight line may cross.
    """
    size = (len(rays.ranges), sum(shape))
    found = Crossed(np.zeros(size, dtype=np.int64), np.zeros(size), np.zeros(size))
    _cross(rays.origins, rays.directions, rays.ranges, shape, found.places, found.entered, found.left)
    return found


def _first_occupied(origins, directions, occupied, places, entered, axes, distances):
    shape = occupied.shape
    voxel, step = np.empty(3, np.int64), np.empty(3, np.int64)
    until, every = np.empty(3), np.empty(3)
    for ray in range(len(places)):
        enter, leave = _begin(origins[ray], directions[ray], shape)
        if not enter < leave:
            continue
        _first(origins[ray], directions[ray], enter, shape, voxel, step, until, every)
        t, before = enter, 2
        while True:
            axis = 0 if until[0] < until[1] else 1
            if until[2] <= until[axis]:
                axis = 2
            distances[ray] = until[axis]
            if occupied[voxel[0], voxel[1], voxel[2]]:
                entered[ray], axes[ray] = t, before
                places[ray] = (voxel[0] * shape[1] + voxel[1]) * shape[2] + voxel[2]
                break
            t, before = until[axis], axis
            voxel[axis] += step[axis]
            if not 0 <= voxel[axis] < shape[axis]:
                break
            until[axis] += every[axis]


_first_occupied = _compiled(_first_occupied)


@dataclass(frozen=True)
class FirstHits:
    """The first occupied voxel on each ray."""

    places: np.ndarray  # [R] int64, flat index; -1 without one
    entered: np.ndarray  # [R] float64, where the ray enters it, voxels
    axes: np.ndarray  # [R] int64, across which
    left: np.ndarray  # [R] float64, where it leaves it, or without one the grid


def first_occupied(rays: Rays, occupied: np.ndarray) -> FirstHits:
    """What rays meet first, wherever they end.

    Args:
        rays: R of them; where they end does not count.
        occupied: [X, Y, Z] bool.
    """
    num = len(rays.origins)
    found = FirstHits(np.full(num, -1, dtype=np.int64), np.zeros(num), np.zeros(num, dtype=np.int64), np.zeros(num))
    _first_occupied(rays.origins, rays.directions, occupied, found.places, found.entered, found.axes, found.left)
    return found


def _posterior(lengths, log_free, densities, outliers, beyond, posterior, arrivals):
    """Where one ray ends, and how far it comes; gives the likelihood of its measurement."""
    there, total = 1.0, outliers
    for n in range(len(lengths)):
        through = np.exp(lengths[n] * log_free[n])
        posterior[n] = there * (1.0 - through) * densities[n]
        total += posterior[n]
        there *= through
    total += there * beyond
    left = 1.0
    for n in range(len(lengths)):
        arrivals[n] = lengths[n] * left
        if posterior[n] > 0.0:
            posterior[n] /= total
            left -= posterior[n]
    return total


_posterior = _compiled(_posterior)


def posterior(
    occupancy: np.ndarray,  # [R, S] of the voxels on each ray
    lengths: np.ndarray,  # [R, S] in them, voxels
    densities: np.ndarray,  # [R, S] of the measurement, if the ray ends there
    *,
    outliers: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior [R, S], arrivals [R, S] and log-likelihood [R] of rays; see `expected_ends`."""
    log_free = np.log1p(-np.minimum(occupancy, _SURE))
    found, arrivals, likelihood = np.empty_like(lengths), np.empty_like(lengths), np.empty(len(lengths))
    for ray in range(len(lengths)):
        likelihood[ray] = _posterior(
            lengths[ray], log_free[ray], densities[ray], outliers, 0.0, found[ray], arrivals[ray]
        )
    return found, arrivals, np.log(likelihood)


def _expect(
    origins,
    directions,
    ranges,
    sigmas,
    labels,
    log_free,
    class_factor,
    outliers,
    ends,
    arrivals,
    votes,
):
    shape = log_free.shape
    voxel, step = np.empty(3, np.int64), np.empty(3, np.int64)
    until, every = np.empty(3), np.empty(3)
    most = shape[0] + shape[1] + shape[2] + 3
    places = np.empty((most, 3), np.int64)
    lengths, free, densities = np.empty(most), np.empty(most), np.empty(most)
    joint, arrived = np.empty(most), np.empty(most)
    for ray in range(len(ranges)):
        enter, leave = _begin(origins[ray], directions[ray], shape)
        measured, sigma, label = ranges[ray], sigmas[ray], labels[ray]
        is_endless = not measured < np.inf
        stop = np.inf if is_endless else measured + _REACH * sigma
        if not enter < leave or stop <= enter:
            continue
        _first(origins[ray], directions[ray], enter, shape, voxel, step, until, every)
        t, number = enter, 0
        while t < stop:
            axis = 0 if until[0] < until[1] else 1
            if until[2] <= until[axis]:
                axis = 2
            after = until[axis]
            i, j, k = voxel[0], voxel[1], voxel[2]
            density = 0.0
            if not is_endless and after > measured - 6.0 * sigma:
                a, b = (t - measured) / sigma, (after - measured) / sigma
                m = 0.5 * (a + b)
                density = np.exp(-0.5 * a * a) + 4.0 * np.exp(-0.5 * m * m) + np.exp(-0.5 * b * b)
                density *= 0.3989422804014327 / (6.0 * sigma)
                if label >= 0:
                    density *= class_factor[i, j, k, label]
            places[number, 0], places[number, 1], places[number, 2] = i, j, k
            lengths[number], free[number], densities[number] = after - t, log_free[i, j, k], density
            number += 1
            t = after
            voxel[axis] += step[axis]
            if not 0 <= voxel[axis] < shape[axis]:
                break
            until[axis] += every[axis]
        beyond = 0.0
        if t < stop and not is_endless:  # it may end behind the grid
            beyond = 0.5 * (1.0 + math.erf(0.7071067811865476 * (measured - t) / sigma)) * _HAZARD
        _posterior(lengths[:number], free[:number], densities[:number], outliers, beyond, joint, arrived)
        for n in range(number):
            i, j, k = places[n, 0], places[n, 1], places[n, 2]
            arrivals[i, j, k] += arrived[n]
            ends[i, j, k] += joint[n]
            if label >= 0:
                votes[i, j, k, label] += joint[n]


_expect = _compiled(_expect)


@dataclass(frozen=True)
class Ends:
    """Where rays end, as expected under the occupancy of the voxels before."""

    ends: np.ndarray  # [X, Y, Z] float64
    arrivals: np.ndarray  # [X, Y, Z] float64, length / side of the voxel x P(not ended before)
    votes: np.ndarray  # [X, Y, Z, C] float32, `ends` of rays by their class


def expected_ends(
    rays: Rays,
    sigmas: np.ndarray,  # [R] float64 standard deviation of `rays.ranges`, voxels
    labels: np.ndarray,  # [R] int64 class, below 0 without one
    occupancy: np.ndarray,  # [X, Y, Z] probability that a voxel ends a ray that crosses it along one side
    class_factor: np.ndarray,  # [X, Y, Z, C] float32, by which a class is likelier in a voxel than anywhere
    *,
    outliers: float,  # density of measurements that have nothing to do with what is there, 1/voxel
) -> Ends:
    """The E step: posterior of the voxel in which each ray ends, summed over rays.

    A ray ends in a voxel with probability w = T (1 - (1 - o)^length); it is then measured with a normal density, the
    mean over the voxel by Simpson's rule. The posterior is w times density over their sum and the outliers.
    """
    log_free = np.log1p(-np.minimum(occupancy, _SURE))
    shape = occupancy.shape
    found = Ends(np.zeros(shape), np.zeros(shape), np.zeros(class_factor.shape, dtype=np.float32))
    _expect(
        rays.origins,
        rays.directions,
        rays.ranges,
        sigmas,
        labels,
        log_free,
        class_factor,
        outliers,
        found.ends,
        found.arrivals,
        found.votes,
    )
    return found
