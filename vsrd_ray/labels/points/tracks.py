"""Ids over a drive: which clusters of its frames are one object.

Labels of a frame depend on that frame alone, so that frames are labelled in any order. Tracks are a pure function of
the clusters of a drive: what reads labels works them out. Each object is followed by a Kalman filter of constant
velocity, and clusters are given to the objects that they fit best, all at once. Shapes: N clusters of a drive, K of a
frame, T tracks.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vsrd_ray.labels.points.classes import NAMES

_JITTER = 0.8  # m by which the middle of what is visible wanders (standard deviation)
_ACCELERATION = 3.0  # m/s^2 (standard deviation)
# What is not known of the speed of an object that was seen once, m/s (standard deviation).
_SPEED = {"pedestrian": 1.5, "bicycle": 4.0, "traffic_cone": 0.1, "barrier": 0.1}
_SPEED_OF_OTHERS = 10.0
_MEMORY = 2.0  # s that an object may be out of sight
_GATE = 3.5  # standard deviations
_VEHICLES = ("car", "truck", "trailer", "bus", "construction_vehicle")  # taken for each other
_FAR = 1e6


@dataclass
class _Track:
    xy: np.ndarray  # [2] m, world
    speed: np.ndarray  # [2] m/s
    covariance: np.ndarray  # [2, 2] of place and speed, the same along both axes
    time: float  # s, when it was last seen
    kind: int

    def after(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Where it should be [2], and the covariance [2, 2] then."""
        passed = time - self.time
        step = np.array([[1.0, passed], [0.0, 1.0]])
        push = np.array([passed**2 / 2, passed]) * _ACCELERATION
        return self.xy + passed * self.speed, step @ self.covariance @ step.T + np.outer(push, push)

    def see(self, xy: np.ndarray, time: float) -> None:
        """Take in where it was seen [2]."""
        expected, covariance = self.after(time)
        gain = covariance[:, 0] / (covariance[0, 0] + _JITTER**2)
        self.xy = expected + gain[0] * (xy - expected)
        self.speed = self.speed + gain[1] * (xy - expected)
        self.covariance = covariance - np.outer(gain, covariance[0])
        self.time = time


def track(
    frames: np.ndarray,  # [N] of a drive, ascending
    times: dict[int, float],  # frame -> s
    class_names: np.ndarray,  # [N]
    xy: np.ndarray,  # [N, 2] m, centres in the world
) -> np.ndarray:
    """Track [N] of each cluster, from 0, in the order of their first clusters; no two of a frame have the same."""
    names = class_names.tolist()
    kinds = np.array([0 if name in _VEHICLES else 1 + NAMES.index(name) for name in names], dtype=int)
    ids = np.empty(len(frames), dtype=np.int64)
    tracks: list[_Track] = []
    for frame in np.unique(frames).tolist():
        time, here = times[frame], np.flatnonzero(frames == frame)
        alive = [place for place, one in enumerate(tracks) if time - one.time <= _MEMORY]
        costs = _costs([tracks[place] for place in alive], time, xy[here], kinds[here])
        rows, columns = linear_sum_assignment(costs)
        found = {c: alive[r] for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if costs[r, c] < _FAR}
        for column, place in enumerate(here.tolist()):
            if column in found:
                ids[place] = found[column]
                tracks[ids[place]].see(xy[place], time)
            else:
                ids[place] = len(tracks)
                doubt = np.diag([_JITTER, _SPEED.get(names[place], _SPEED_OF_OTHERS)]) ** 2
                tracks.append(_Track(xy[place], np.zeros(2), doubt, time, int(kinds[place])))
    return ids


def _costs(tracks: list[_Track], time: float, xy: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Squared distances [T, K] from where tracks should be, in standard deviations; `_FAR` beyond the gate."""
    costs = np.full((len(tracks), len(xy)), _FAR)
    for row, one in enumerate(tracks):
        expected, covariance = one.after(time)
        squares = ((xy - expected) ** 2).sum(axis=1) / (covariance[0, 0] + _JITTER**2)
        costs[row] = np.where((squares <= _GATE**2) & (kinds == one.kind), squares, _FAR)
    return costs
