"""Detections as places on the ground, whose depth is less sure than their side: where tracks are two, and go on.

A track whose detections before and after some time each stand, in two places, has changed from one parked object to the
next. Two tracks that move evenly are one where what comes before a gap leads to what comes after it.
Shapes: D detections, R those of a track, P parameters.
"""

from bisect import bisect, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

DEPTH_ERROR = 0.06  # standard deviation, of a depth that a box's height tells
_SIDE_ERROR, _SIDE = 0.02, 0.3  # the same to the side, of the depth, and m: the middle of a box is not that of a car
_CUT = 3.0  # how many times less sure a box is that the image's border cuts
_WINDOW = 12  # detections before and after a time that are looked at
_FEWEST = 5  # of them
_WORST = 9.0  # squared error, in standard deviations, of a detection that tells nothing
_PARTED = 20.0  # by how much less the squared errors of two that stand have to be than those of one that moves evenly
SPEED = 0.5  # m a step, standard deviation of speeds before anything is seen
_ACCELERATION = 0.06  # m a step, for each step of a gap
# Squared distance, in standard deviations, and m, within which two tracks lead to each other.
_LEADS, _APART = 2.7, 3.0
LONGEST_GAP = 6  # times


@dataclass(frozen=True)
class Places:
    """Where detections stand on the ground."""

    feet: np.ndarray  # [D, 2] m in the world, x and y
    rays: np.ndarray  # [D, 2] m, from the camera
    is_cut: np.ndarray  # [D] bool, by the image's border
    steps: np.ndarray  # [D] of their times

    @cached_property
    def precisions(self) -> np.ndarray:
        """Inverse covariances [D, 2, 2] of the places."""
        depths = np.linalg.norm(self.rays, axis=1)
        ahead = self.rays / depths[:, None]
        side = np.column_stack([-ahead[:, 1], ahead[:, 0]])
        less = np.where(self.is_cut, _CUT, 1.0)
        along, across = less * DEPTH_ERROR * depths, less * (_SIDE_ERROR * depths + _SIDE)
        return _squares(ahead / along[:, None]) + _squares(side / across[:, None])

    def parted(self, rows: np.ndarray) -> list[np.ndarray]:
        """Parts of a track [R], by time, between which it changes from one object that stands to another."""
        ends = [0, len(rows)]
        gains = self._gains(rows, ends, range(_FEWEST, len(rows) - _FEWEST + 1))
        while gains and max(gains.values()) >= _PARTED:
            at = max(gains, key=gains.__getitem__)
            insort(ends, at)
            near = [place for place in range(at - _WINDOW + 1, at + _WINDOW) if place in gains]
            for place in near:
                del gains[place]
            gains |= self._gains(rows, ends, near)
        return [rows[first:last] for first, last in pairwise(ends)]

    def leads_to(self, before: np.ndarray, after: np.ndarray) -> float:
        """How well two tracks go on in each other: 0 not at all, to 1. They are not looked at if they are too short.

        Args:
            before: rows of the one, by time.
            after: rows of the other, all of them later.
        """
        before, after = before[-_WINDOW:], after[:_WINDOW]
        if min(len(before), len(after)) < _FEWEST:
            return 0.0
        last, first, origin = float(self.steps[before[-1]]), float(self.steps[after[0]]), self.feet[before[-1]]
        gap, middle = max(first - last, 1.0), (first + last) / 2
        (one, covariance), (other, others) = (self._course(rows, middle, origin) for rows in (before, after))
        speed = _ACCELERATION * gap
        changed = np.diag([*[(speed * gap / 2) ** 2 + 0.1] * 2, *[speed**2] * 2])
        apart = one - other
        if np.linalg.norm(apart[:2]) > _APART:
            return 0.0
        distance = float(apart @ np.linalg.solve(covariance + others + changed, apart))
        return max(1 - distance / _LEADS, 0.0)

    def _gains(self, rows: np.ndarray, ends: Sequence[int], places: Iterable[int]) -> dict[int, float]:
        """What cuts before some places of a track gain, that has been cut at some ends; not those next to these."""
        found: dict[int, float] = {}
        for at in places:
            last = bisect(ends, at)
            before, after = rows[max(ends[last - 1], at - _WINDOW) : at], rows[at : min(ends[last], at + _WINDOW)]
            if min(len(before), len(after)) >= _FEWEST:
                found[at] = self._gain(before, after)
        return found

    def _gain(self, before: np.ndarray, after: np.ndarray) -> float:
        """By how much the squared errors of two that stand are less than those of one that moves evenly."""
        every = np.concatenate([before, after])
        return self._errors(every, degree=1) - self._errors(before, degree=0) - self._errors(after, degree=0)

    def _errors(self, rows: np.ndarray, *, degree: int) -> float:
        """Squared errors of the best polynomial of time, in standard deviations."""
        design = _design(self.steps[rows] - self.steps[rows].mean(), degree)
        precisions, feet = self.precisions[rows], self.feet[rows] - self.feet[rows[0]]
        matrix, vector = _normal(design, precisions, feet)
        off = feet - design @ np.linalg.solve(matrix, vector)
        return float(np.minimum(np.einsum("ri,rij,rj->r", off, precisions, off), _WORST).sum())

    def _course(self, rows: np.ndarray, step: float, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Place from an origin, m, and speed, m a step, at some step [4], and their covariance."""
        matrix, vector = _normal(_design(self.steps[rows] - step, 1), self.precisions[rows], self.feet[rows] - origin)
        matrix += np.diag([0, 0, SPEED**-2, SPEED**-2])
        return np.linalg.solve(matrix, vector), np.linalg.inv(matrix)


def _squares(vectors: np.ndarray) -> np.ndarray:
    return vectors[:, :, None] * vectors[:, None]


def _design(ages: np.ndarray, degree: int) -> np.ndarray:
    """What places [R, 2, P] hang on: both coordinates of each power of time."""
    return np.concatenate([ages[:, None, None] ** power * np.eye(2) for power in range(degree + 1)], axis=2)


def _normal(design: np.ndarray, precisions: np.ndarray, feet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrix [P, P] and vector [P] of the normal equations."""
    weighted = precisions @ design
    return np.einsum("rip,riq->pq", design, weighted), np.einsum("rip,ri->p", weighted, feet)
