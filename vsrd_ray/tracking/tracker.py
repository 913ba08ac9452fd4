"""ByteTrack (Zhang et al., ECCV 2022): boxes of one class, frame by frame, joined to tracks.

Confident detections are matched first, then the others with the tracks that are left; only confident ones begin tracks.
Shapes: D detections, N tracks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vsrd_ray.tracking import kalman
from vsrd_ray.tracking.assignment import assign
from vsrd_ray.tracking.egomotion import EgoMotion
from vsrd_ray.tracking.overlaps import box_overlaps, xyah_from_xyxy, xyxy_from_xyah
from vsrd_ray.tracking.settings import TrackerSettings

# ByteTrack's constants, which its settings do not change.
LOWEST_SCORE = 0.1
_SECOND_LIMIT, _UNCONFIRMED_LIMIT = 0.5, 0.7
_DUPLICATE = 0.15  # 1 - IoU below which a followed and a lost track are one


@dataclass(eq=False)
class Track:
    """One object, as far as it is known."""

    id: int  # from 1
    start: int  # step in which it began, from 1
    last: int  # step in which it was seen last
    state: np.ndarray  # [5, 4], see `kalman`
    is_confirmed: bool  # seen twice, or there from the start
    detection: int  # that it was seen as last, by its place in that step
    is_lost: bool = False
    is_expired: bool = False

    @property
    def box_xyxy(self) -> np.ndarray:
        """Its filtered box [4], px."""
        return _boxes([self])[0]


class Tracker:
    """The tracks so far. Their order decides ties: those that are followed first, then the lost ones."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._followed: list[Track] = []
        self._lost: list[Track] = []
        self._step = self._num_begun = 0

    def step(
        self,
        boxes_xyxy: np.ndarray,  # [D, 4] px
        scores: np.ndarray,  # [D]
        motion: EgoMotion | None = None,
    ) -> list[Track]:
        """The confirmed tracks that are seen in the next frame.

        Args:
            boxes_xyxy: detections.
            scores: of the detections, 0 to 1.
            motion: of the camera since the last frame; boxes are moved as objects that stand.
        """
        self._step += 1
        limits = self._settings
        measured = xyah_from_xyxy(boxes_xyxy)
        new = [track for track in self._followed if not track.is_confirmed]
        known = [track for track in self._followed if track.is_confirmed] + self._lost
        if motion is not None:
            _move(known + new, motion)
        _predict(known)

        high = np.flatnonzero(scores > limits.threshold)
        low = np.flatnonzero((scores > LOWEST_SCORE) & (scores < limits.threshold))
        self._match(known, high, limits.match_limit, boxes_xyxy, scores)
        rest = [track for track in known if not track.is_lost and track.last < self._step]
        self._match(rest, low, _SECOND_LIMIT, boxes_xyxy)
        self._match(new, self._free(high), _UNCONFIRMED_LIMIT, boxes_xyxy, scores)
        self._update(measured)
        self._reorder(self._begun(self._free(high), measured, scores), rest)
        return [track for track in self._followed if track.is_confirmed]

    def _match(
        self,
        tracks: list[Track],
        detections: np.ndarray,  # places in the step
        limit: float,
        boxes_xyxy: np.ndarray,  # [D, 4]
        scores: np.ndarray | None = None,  # [D]; overlaps weigh as much
    ) -> None:
        overlaps = box_overlaps(_boxes(tracks), boxes_xyxy[detections])
        costs = 1 - overlaps * (1 if scores is None else scores[detections])
        for track, match in zip(tracks, assign(costs, limit), strict=True):
            if match >= 0:
                track.detection, track.last = int(detections[match]), self._step

    def _free(self, detections: np.ndarray) -> np.ndarray:
        """Those that no track has been matched with in this step."""
        taken = [track.detection for track in self._followed + self._lost if track.last == self._step]
        return detections[~np.isin(detections, taken)]

    def _update(self, measured: np.ndarray) -> None:  # [D, 4]
        seen = [track for track in self._followed + self._lost if track.last == self._step]
        states = kalman.updated(_states(seen), measured[[track.detection for track in seen]])
        for track, state in zip(seen, states, strict=True):
            track.state, track.is_confirmed = state, True

    def _begun(self, detections: np.ndarray, measured: np.ndarray, scores: np.ndarray) -> list[Track]:
        """New tracks of detections that are left; nothing need confirm those that are there from the start."""
        begun: list[Track] = []
        least, now = self._settings.threshold + self._settings.margin, self._step
        for detection in detections[scores[detections] >= least].tolist():
            self._num_begun += 1
            state = kalman.started(measured[[detection]])[0]
            begun.append(Track(self._num_begun, now, now, state, is_confirmed=now == 1, detection=detection))
        return begun

    def _reorder(self, begun: list[Track], unseen: list[Track]) -> None:
        """Put the tracks in their order, and drop those that end."""
        now = self._step
        found = [track for track in self._lost if track.last == now]
        followed = [track for track in self._followed if track.last == now] + begun + found
        # What expires may still be found in the step after, as published, and is not kept twice.
        lost = [track for track in self._lost + unseen if track.last < now and not track.is_expired]
        for track in lost:
            track.is_lost, track.is_expired = True, now - track.last > self._settings.buffer
        for track in found:
            track.is_lost = False
        dropped = _duplicates(followed, lost)
        self._followed = [track for track in followed if track not in dropped]
        self._lost = [track for track in lost if track not in dropped]


def _duplicates(followed: list[Track], lost: list[Track]) -> set[Track]:
    """The younger of each two tracks, a followed and a lost one, that lie in one place; the followed one on a tie."""
    pairs = np.argwhere(1 - box_overlaps(_boxes(followed), _boxes(lost)) < _DUPLICATE)
    return {
        lost[b] if followed[a].last - followed[a].start > lost[b].last - lost[b].start else followed[a]
        for a, b in pairs.tolist()
    }


def _move(tracks: list[Track], motion: EgoMotion) -> None:
    states = _states(tracks)
    moved = motion.moved(states[:, kalman.VALUE])
    for track, values in zip(tracks, moved, strict=True):
        track.state = np.concatenate([values[None], track.state[1:]])


def _predict(tracks: list[Track]) -> None:
    """Tracks a frame later; what is lost grows and shrinks no more."""
    states = _states(tracks)
    states[[track.is_lost for track in tracks], kalman.VELOCITY, kalman.HEIGHT] = 0
    for track, state in zip(tracks, kalman.predicted(states), strict=True):
        track.state = state


def _states(tracks: Iterable[Track]) -> np.ndarray:
    """States [N, 5, 4] of tracks."""
    return np.array([track.state for track in tracks]).reshape(-1, 5, 4)


def _boxes(tracks: Iterable[Track]) -> np.ndarray:
    """Filtered boxes [N, 4] of tracks, px."""
    return xyxy_from_xyah(_states(tracks)[:, kalman.VALUE])
