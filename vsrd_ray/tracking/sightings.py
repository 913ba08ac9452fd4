"""Detections of a drive by where they are in the world, and what a track's detections tell of other frames.

An object moves evenly for a second or so, and is more likely to stand.
Shapes: D detections, R those of a track, T times.
"""

from collections.abc import Sequence

import numpy as np

from vsrd_ray.data.drive import Camera
from vsrd_ray.tracking.courses import DEPTH_ERROR, SPEED, Places
from vsrd_ray.tracking.egomotion import applied, boxes_at, feet_of
from vsrd_ray.tracking.overlaps import xyah_from_xyxy

MEMORY = 4.0  # steps over which a detection's weight falls to 1/e
_FORGOTTEN = 80  # steps after which it is 2e-9
_AT_ONCE = 256  # times
_CUT_WEIGHT = 0.1  # of a box that the image's border cuts
_BORDER = 2.5  # px


class Sightings:
    """Detections of one class in a camera whose poses are known.

    A time is the place of a frame among those that were looked at; steps count frames that are missing between, too.
    """

    def __init__(
        self,
        times: np.ndarray,  # [D] int64
        boxes_xyxy: np.ndarray,  # [D, 4] px
        *,
        frames: Sequence[int],  # one for each time
        camera: Camera,
    ) -> None:
        self.times, self.boxes_xyxy = times, boxes_xyxy
        self.num_times = len(frames)
        self._steps = steps_of(frames)
        self._K = camera.K
        self._T_world_cam = np.array([camera.T_world_cam[frame] for frame in frames]).reshape(-1, 4, 4)
        self._T_cam_world = np.linalg.inv(self._T_world_cam)
        feet = feet_of(boxes_xyxy, camera.K)
        self._feet_world = applied(self._T_world_cam[times], feet)
        self._aspects = xyah_from_xyxy(boxes_xyxy)[:, 2]
        self._last = np.array(camera.image_size)[[0, 1, 0, 1]] - 1.0  # px, right and lower border
        is_cut = np.any((boxes_xyxy < _BORDER) | (boxes_xyxy > self._last - _BORDER), axis=1)
        self._weights = np.where(is_cut, _CUT_WEIGHT, 1) / (DEPTH_ERROR * feet[:, 2]) ** 2
        rays = self._feet_world - self._T_world_cam[times, :3, 3]
        self.places = Places(self._feet_world[:, :2], rays[:, :2], is_cut, self._steps[times])

    def predicted(
        self,
        rows: np.ndarray,  # [R]
        times: np.ndarray,  # [T]
        *,
        from_past: bool = False,
    ) -> np.ndarray:
        """Boxes [T, 4] px of a track at some times, by its detections at other times; NaN where they tell nothing.

        Args:
            rows: its detections, by time.
            times: the wanted ones, ascending.
            from_past: by its detections before each time alone.
        """
        steps, seen = self._steps[times], self._steps[self.times[rows]]
        boxes = np.empty((len(times), 4))
        for first in range(0, len(times), _AT_ONCE):  # of long tracks, most detections tell nothing of a time
            some = slice(first, first + _AT_ONCE)
            low = np.searchsorted(seen, steps[some][0] - _FORGOTTEN)
            high = np.searchsorted(seen, steps[some][-1] + _FORGOTTEN, side="right")
            boxes[some] = self._predicted(rows[low:high], times[some], from_past=from_past)
        return boxes

    def _predicted(self, rows: np.ndarray, times: np.ndarray, *, from_past: bool) -> np.ndarray:
        ages = self._steps[times][:, None] - self._steps[self.times[rows]]
        weights = self._weights[rows] * np.exp(-np.abs(ages) / MEMORY) * (ages > 0 if from_past else ages != 0)
        # A line through the places by weighted least squares, whose slope is pulled to zero; wanted is its value.
        total, first, second = weights.sum(1), (weights * ages).sum(1), (weights * ages**2).sum(1) + SPEED**-2
        known = np.where(total > 0, total, np.nan)
        shares = weights * (second[:, None] - first[:, None] * ages) / (known * second - first**2)[:, None]
        return self._boxes(shares @ self._feet_world[rows], (weights @ self._aspects[rows]) / known, times)

    def standing(
        self,
        rows: np.ndarray,  # [R]
        times: np.ndarray,  # [R]
    ) -> np.ndarray:
        """Boxes [R, 4] px of single detections at another time each, if they stand."""
        return self._boxes(self._feet_world[rows], self._aspects[rows], times)

    def _boxes(self, feet_world: np.ndarray, aspects: np.ndarray, times: np.ndarray) -> np.ndarray:
        boxes = boxes_at(applied(self._T_cam_world[times], feet_world), aspects, self._K)
        return np.clip(boxes, 0, self._last)


def steps_of(frames: Sequence[int]) -> np.ndarray:
    """Numbers [T] int64 of frames, ascending, in units of their usual distance, from 0."""
    numbers = np.asarray(frames, dtype=np.int64)
    usual = max(int(np.median(np.diff(numbers))), 1) if len(numbers) > 1 else 1
    return np.rint((numbers - numbers[:1]) / usual).astype(np.int64)
