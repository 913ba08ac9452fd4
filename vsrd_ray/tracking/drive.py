"""Ids for the detections of a drive: what was seen in each frame of a camera becomes objects.

The result is a function of the detections, the camera and the settings alone. Shapes: D detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vsrd_ray.data.drive import Camera
from vsrd_ray.tracking.egomotion import EgoMotion
from vsrd_ray.tracking.settings import TrackerSettings
from vsrd_ray.tracking.sightings import Sightings, steps_of
from vsrd_ray.tracking.stitching import mended
from vsrd_ray.tracking.tracker import LOWEST_SCORE, Tracker

_LEAST_SEEN = 2  # detections of a track


@dataclass(frozen=True)
class Detections:
    """Detections of one class in the frames of one camera, in any order."""

    frames: np.ndarray  # [D] int64
    boxes_xyxy: np.ndarray  # [D, 4] float64 px, of width and height > 0
    scores: np.ndarray  # [D] float64, 0 to 1


def track(
    detections: Detections,
    *,
    frames: Sequence[int],
    camera: Camera,
    settings: TrackerSettings,
) -> np.ndarray:
    """Id [D] int64 of each detection, from 1 in the order of appearance; 0 where it is in no track.

    Args:
        detections: all of one class.
        frames: numbers, ascending, of those that were looked at; frames without detections count.
        camera: with the poses of its frames; with `uses_poses`, what is seen in frames without one is in no track.
        settings: of the tracker.
    """
    if settings.uses_poses:
        frames = [frame for frame in frames if frame in camera.T_world_cam]
    numbers = np.asarray(frames, dtype=np.int64)
    times = np.searchsorted(numbers, detections.frames)
    rows = np.flatnonzero(np.isin(detections.frames, numbers))
    # By time, then falling score, as detectors give them: the order decides ties.
    rows = rows[np.lexsort((rows, -detections.scores[rows], times[rows]))]
    times, boxes, scores = times[rows], detections.boxes_xyxy[rows], detections.scores[rows]
    motions = _motions(frames, camera) if settings.uses_poses else [None] * len(frames)
    tracks = _followed(times, boxes, scores, motions=motions, steps=steps_of(frames), settings=settings)
    if settings.uses_poses:
        sightings = Sightings(times, boxes, frames=frames, camera=camera)
        tracks = mended(tracks, sightings, scores > LOWEST_SCORE)
        least = settings.threshold + settings.margin
        tracks = [track for track in tracks if len(track) >= _LEAST_SEEN and scores[track].max() >= least]
    ids = np.zeros(len(detections.frames), dtype=np.int64)
    for number, track_rows in enumerate(sorted(tracks, key=lambda one: int(one[0])), start=1):
        ids[rows[track_rows]] = number
    return ids


def _motions(frames: Sequence[int], camera: Camera) -> list[EgoMotion | None]:
    """How the camera moved before each frame."""
    poses = [camera.T_world_cam[frame] for frame in frames]
    moved = (np.linalg.solve(next_, one) for one, next_ in pairwise(poses))
    return [None, *(EgoMotion(camera.K, T_next_cam) for T_next_cam in moved)][: len(frames)]


def _followed(
    times: np.ndarray,  # [D] ascending
    boxes_xyxy: np.ndarray,  # [D, 4]
    scores: np.ndarray,  # [D]
    *,
    motions: Sequence[EgoMotion | None],  # one for each time
    steps: np.ndarray,  # of each time
    settings: TrackerSettings,
) -> list[np.ndarray]:
    """Rows of each track that the tracker finds, by time."""
    tracker = Tracker(settings)
    found: dict[int, list[int]] = {}
    bounds = np.searchsorted(times, np.arange(len(motions) + 1))
    missing = np.diff(steps, prepend=-1) - 1
    for time, motion in enumerate(motions):
        for _ in range(min(int(missing[time]), settings.buffer + 2)):  # then no track is left
            tracker.step(boxes_xyxy[:0], scores[:0])
        first, last = bounds[time : time + 2]
        for one in tracker.step(boxes_xyxy[first:last], scores[first:last], motion):
            found.setdefault(one.id, []).append(int(first) + one.detection)
    return [np.array(rows) for rows in found.values()]
