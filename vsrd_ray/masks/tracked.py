"""Numbers for given masks whose instances have none over frames: they are tracked once, when their drive is opened.

Every process that opens the drive finds the same numbers; workers are sent those of their frames.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.drive import Camera
from vsrd_ray.errors import InputError
from vsrd_ray.masks.base import Mask
from vsrd_ray.tracking.drive import Detections, track
from vsrd_ray.tracking.settings import TrackerSettings

_UNKNOWN, _NOTHING = -1, -2  # in the place of a number
_SETTINGS = TrackerSettings()

# Numbers of a frame's masks in their order: 1..999 of instances, 0 of stuff, or one of the two above.
Numbers = Mapping[int, tuple[int, ...]]  # by frame


@dataclass(frozen=True)
class Outline:
    """What tracking has to know of a mask."""

    class_name: str | None  # see `Mask`
    is_instance: bool
    box_xyxy: tuple[int, int, int, int]  # px, around its pixels; the last ones lie inside
    score: float

    @staticmethod
    def of(mask: Mask) -> "Outline":
        """That of a mask."""
        (height, width), left, top = mask.part.pixels.shape, mask.part.left, mask.part.top
        is_instance = mask.class_name is not None and mask.number != 0 and bool(mask.part.pixels.any())
        return Outline(mask.class_name, is_instance, (left, top, left + width, top + height), mask.score)


def tracked_numbers(
    outlines: Mapping[int, Sequence[Outline]],  # of all masks of each frame, frames ascending
    camera: Camera,
) -> tuple[Numbers, int]:
    """Numbers of all masks, and how many objects were left out, because their class has no number left.

    Each class is tracked for itself. Who is in no track is unknown, or nothing if its score is low.
    """
    frames = sorted(outlines)
    places = [(frame, place) for frame in frames for place in range(len(outlines[frame]))]
    every = [outlines[frame][place] for frame, place in places]
    numbers = np.array([_UNKNOWN if one.class_name is None else 0 for one in every], dtype=np.int64)
    num_left_out = 0
    for class_name in sorted({one.class_name for one in every if one.is_instance and one.class_name is not None}):
        rows = np.array([row for row, one in enumerate(every) if one.is_instance and one.class_name == class_name])
        detections = Detections(
            frames=np.array([places[row][0] for row in rows]),
            boxes_xyxy=np.array([every[row].box_xyxy for row in rows], dtype=np.float64),
            scores=np.array([every[row].score for row in rows]),
        )
        ids = track(detections, frames=frames, camera=camera, settings=_SETTINGS)
        ids, num_more = _most_seen(ids)
        num_left_out += num_more
        is_sure = detections.scores > _SETTINGS.threshold
        numbers[rows] = np.where(ids > 0, ids, np.where(is_sure, _UNKNOWN, _NOTHING))
    found: dict[int, list[int]] = {frame: [] for frame in frames}
    for (frame, _), number in zip(places, numbers.tolist(), strict=True):
        found[frame].append(number)
    return {frame: tuple(values) for frame, values in found.items()}, num_left_out


def numbered(masks: Sequence[Mask], numbers: Sequence[int]) -> list[Mask]:
    """Masks of a frame with their numbers; without those that are nothing."""
    return [
        replace(mask, class_name=None, number=None) if number == _UNKNOWN else replace(mask, number=number)
        for mask, number in zip(masks, numbers, strict=True)
        if number != _NOTHING
    ]


def numbered_in_frame(masks: Sequence[Mask]) -> list[Mask]:
    """Masks of a frame, of which those whose number nobody knows have one that holds in this frame alone.

    Raises:
        InputError: a class has more of them than numbers.
    """
    taken: defaultdict[str | None, int] = defaultdict(int)
    for mask in masks:
        taken[mask.class_name] = max(taken[mask.class_name], mask.number or 0)
    found: list[Mask] = []
    for mask in masks:
        number = mask.number
        if mask.class_name is not None and number is None:
            taken[mask.class_name] = number = taken[mask.class_name] + 1
            if number >= IDS_PER_CLASS:
                raise InputError(f"{number} masks of class {mask.class_name} in one frame: expected at most 999")
        found.append(replace(mask, number=number))
    return found


def _most_seen(ids: np.ndarray) -> tuple[np.ndarray, int]:
    """Ids of as many tracks as a class has numbers, those of the most detections, and how many there are more."""
    counts = np.bincount(ids, minlength=1)[1:]
    if len(counts) < IDS_PER_CLASS:
        return ids, 0
    kept = np.sort(np.argsort(-counts, kind="stable")[: IDS_PER_CLASS - 1]) + 1
    return np.where(np.isin(ids, kept), np.searchsorted(kept, ids) + 1, 0), len(counts) - len(kept)
