"""Which ids may stand for one object, by the boxes of their masks in the image: tracks that end where others begin.

Trackers lose objects and find them again under another id, and exchange the ids of two that pass each other. Nothing
here says that they did: fits of bodies do (`joins.py`). Shapes: F frames of a track.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsrd_ray.geometry.cameras import box_iou

# Frames between the end of a track and the start of the one that goes on, at most.
MAX_GAP = 10
# Least IoU of a box with where another track would be then, and how much better others' boxes go on than own ones.
_LEAST_IOU, _BETTER = 0.3, 0.1
# Boxes go on as over this many frames.
_FRAMES_TO_TELL = 3
# Boxes grow and shrink by so much at most, as a logarithm.
_MOST_GROWTH = 0.7


@dataclass(frozen=True)
class BoxTrack:
    """The mask boxes of one id."""

    instance_id: int
    frames: np.ndarray  # [F] ascending, at least one
    boxes_xyxy: np.ndarray  # [F, 4] px

    def part(self, first: int, last: int) -> "BoxTrack":
        """Its frames from `first` to `last`, both included."""
        inside = (self.frames >= first) & (self.frames <= last)
        return BoxTrack(self.instance_id, self.frames[inside], self.boxes_xyxy[inside])

    def between(self, frame: int) -> np.ndarray:
        """Where the box [4] px would be in a frame between two of its own, or beyond its ends."""
        if not self.frames[0] < frame < self.frames[-1]:
            return self.beyond(frame)
        return np.array([np.interp(frame, self.frames, sides) for sides in self.boxes_xyxy.T])

    def beyond(self, frame: int) -> np.ndarray:
        """Where the box [4] px would be in a frame after its last one, or before its first one."""
        end, order = (-1, -1) if frame > self.frames[-1] else (0, 1)
        frames, boxes = self.frames[::order][:_FRAMES_TO_TELL], self.boxes_xyxy[::order][:_FRAMES_TO_TELL]
        low, high = boxes[:, :2], np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        states = np.concatenate([(low + high) / 2, np.log(high - low)], axis=1)
        if len(frames) > 1:
            slope = (states[0] - states[-1]) / (frames[0] - frames[-1])
            state = states[0] + slope * (frame - self.frames[end])
        else:
            state = states[0]
        half = np.exp(np.clip(state[2:], states[0, 2:] - _MOST_GROWTH, states[0, 2:] + _MOST_GROWTH)) / 2
        return np.concatenate([state[:2] - half, state[:2] + half])


def links(tracks: Sequence[BoxTrack]) -> list[tuple[int, int]]:
    """Places of tracks of which the second goes on where the first one ends; each track has one before it at most.

    The likeliest pairs count.
    """
    order = sorted(range(len(tracks)), key=lambda n: (int(tracks[n].frames[0]), n))
    starts = np.array([tracks[n].frames[0] for n in order])
    pairs: list[tuple[float, int, int]] = []
    for n, track in enumerate(tracks):
        last = track.frames[-1]
        first, end = np.searchsorted(starts, [last, last + MAX_GAP + 1], side="right")
        for m in order[first:end]:
            other = tracks[m]
            forward = box_iou(track.beyond(int(other.frames[0])), other.boxes_xyxy[0])
            backward = box_iou(other.beyond(int(last)), track.boxes_xyxy[-1])
            score = float(max(forward, backward))
            if score > _LEAST_IOU:
                pairs.append((-score, n, m))
    before, after, chosen = set[int](), set[int](), []
    for _, n, m in sorted(pairs):
        if n not in before and m not in after:
            before.add(n)
            after.add(m)
            chosen.append((n, m))
    return sorted(chosen)


def exchanges(tracks: Sequence[BoxTrack]) -> list[tuple[int, int, int]]:
    """Places of two tracks, and the first frame from which on each goes on where the other one was.

    In frames that show both, since what one has lost the other must have.
    """
    shown: dict[int, list[tuple[int, int]]] = {}
    for n, track in enumerate(tracks):
        for k, frame in enumerate(track.frames.tolist()):
            if k and frame - track.frames[k - 1] <= _FRAMES_TO_TELL:
                shown.setdefault(frame, []).append((n, k))
    found: list[tuple[int, int, int]] = []
    for frame, places in sorted(shown.items()):
        now = np.stack([tracks[n].boxes_xyxy[k] for n, k in places])
        before = np.stack([tracks[n].boxes_xyxy[k - 1] for n, k in places])
        ious = box_iou(before[:, None], now[None])
        own = np.diagonal(ious)
        both = np.minimum(ious, ious.T)  # what each has of the other
        is_better = (both > _LEAST_IOU) & (both > np.maximum(own[:, None], own[None]) + _BETTER)
        pairs = sorted((-both[a, b], a, b) for a, b in np.argwhere(np.triu(is_better, 1)).tolist())
        used = set[int]()
        for _, a, b in pairs:
            if used.isdisjoint((a, b)):
                used |= {a, b}
                found.append((places[a][0], places[b][0], frame))
    return found
