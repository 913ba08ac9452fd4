"""Ids over a drive: which clusters of its frames are one object.

Labels of a frame depend on that frame alone, so that frames are labelled in any order. Tracks are a pure function of
the clusters of a drive: what reads labels works them out. Shapes: N clusters of a drive, K of a frame, T tracks.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vsrd_ray.labels.points.classes import NAMES

_STILL = 1.5  # m by which the visible middle of an object that stands still may move
_TOP_SPEED = {"bicycle": 8.0, "motorcycle": 20.0, "pedestrian": 2.5, "traffic_cone": 0.0, "barrier": 0.0}  # m/s
_TOP_SPEED_OF_CARS = 20.0
_CHANGE = 4.0  # m/s by which a known speed may be off
_MEMORY = 2.0  # s that an object may be out of sight
_VEHICLES = ("car", "truck", "trailer", "bus", "construction_vehicle")  # taken for each other
_FAR = 1e6


@dataclass
class _Track:
    xy: np.ndarray  # [2] m, world
    time: float  # s, when it was last seen
    speed: np.ndarray | None  # [2] m/s; None: seen once
    kind: int


def track(
    frames: np.ndarray,  # [N] of a drive, ascending
    times: dict[int, float],  # frame -> s
    class_names: np.ndarray,  # [N]
    xy: np.ndarray,  # [N, 2] m, centres in the world
) -> np.ndarray:
    """Track [N] of each cluster, from 0, in the order of their first clusters; no two of a frame have the same."""
    kinds = np.array([0 if name in _VEHICLES else 1 + NAMES.index(name) for name in class_names.tolist()], dtype=int)
    speeds = np.array([_TOP_SPEED.get(name, _TOP_SPEED_OF_CARS) for name in class_names.tolist()])
    ids = np.empty(len(frames), dtype=np.int64)
    tracks: list[_Track] = []
    for frame in np.unique(frames).tolist():
        time = times[frame]
        here = np.flatnonzero(frames == frame)
        alive = [place for place, one in enumerate(tracks) if time - one.time <= _MEMORY]
        costs = _costs([tracks[place] for place in alive], time, xy[here], kinds[here], speeds[here])
        rows, columns = linear_sum_assignment(costs)
        found = {c: alive[r] for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if costs[r, c] < _FAR}
        for column, place in enumerate(here.tolist()):
            if column in found:
                ids[place] = found[column]
                known = tracks[ids[place]]
                known.speed = (xy[place] - known.xy) / max(time - known.time, 1e-6)
                known.xy, known.time = xy[place], time
            else:
                ids[place] = len(tracks)
                tracks.append(_Track(xy[place], time, None, int(kinds[place])))
    return ids


def _costs(tracks: list[_Track], time: float, xy: np.ndarray, kinds: np.ndarray, speeds: np.ndarray) -> np.ndarray:
    """Distances [T, K] from where tracks should be, in shares of what is possible; `_FAR` beyond it."""
    costs = np.full((len(tracks), len(xy)), _FAR)
    for row, one in enumerate(tracks):
        passed = time - one.time
        expected = one.xy if one.speed is None else one.xy + one.speed * passed
        possible = _STILL + passed * (speeds if one.speed is None else np.minimum(speeds, _CHANGE))
        share = np.linalg.norm(xy - expected, axis=1) / possible
        costs[row] = np.where((share <= 1) & (kinds == one.kind), share, _FAR)
    return costs
