"""Broken identities: which id each mask of a drive gets, and which masks are missing.

A track is an instance of the true masks. Shapes: K frames.
"""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.degradation.chance import Dice
from vsrd_ray.degradation.scan import Seen
from vsrd_ray.degradation.settings import DegradeSettings
from vsrd_ray.errors import InputError

_LEAST_FRAMES = 2  # of a track that is cut, and that two neighbours share


class Numbers:
    """Gives ids that no other object of the sequence has."""

    def __init__(self, taken: list[int], classes: ClassTable) -> None:
        self._taken, self._classes = set(taken), classes

    def take(self, class_number: int, *, preferred: int | None = None) -> int:
        """An id of a class: the preferred one if it is free, else the next above those in use.

        Raises:
            InputError: the class has no number left.
        """
        first = class_number * IDS_PER_CLASS
        highest = max((one for one in self._taken if one // IDS_PER_CLASS == class_number), default=first)
        candidates = [*range(highest + 1, first + IDS_PER_CLASS), *range(first + 1, highest)]
        if preferred is not None:
            candidates.insert(0, preferred)
        for one in candidates:
            if one not in self._taken:
                self._taken.add(one)
                return one
        raise InputError(
            f"all {IDS_PER_CLASS - 1} instance numbers of class {self._classes.by_number[class_number].name!r} are "
            "taken: give lower shares to --cut, --flicker and --false"
        )


@dataclass
class Identities:
    """What a tracker makes of the true tracks. Every answer depends on the frame and the track alone."""

    settings: DegradeSettings
    dice: Dice
    classes: ClassTable
    cuts: dict[int, tuple[int, int]] = field(default_factory=dict)  # track -> first frame of its second part, its id
    swaps: dict[int, tuple[int, int]] = field(default_factory=dict)  # track -> first frame, the track it swaps with
    merges: dict[int, int] = field(default_factory=dict)  # track -> the track whose id it gets
    flickers: dict[tuple[int, int], int] = field(default_factory=dict)  # (class number, id) -> id in that class

    def is_missing(self, track: int, frame: int) -> bool:
        """Whether the mask of a track in a frame is missing."""
        return self.dice.uniform("miss", frame, track) < self.settings.miss

    def flickers_in(self, track: int, frame: int) -> bool:
        """Whether the mask of a track in a frame has another class."""
        return self.other_class(track, frame) is not None

    def id_of(self, track: int, frame: int) -> int:
        """The id of a track's mask in a frame."""
        tracked = self.tracked_id(track, frame)
        other = self.other_class(track, frame)
        return tracked if other is None else self.flickers[other, tracked]

    def tracked_id(self, track: int, frame: int) -> int:
        """The same before its class flickers."""
        track = self.merges.get(track, track)
        first, partner = self.swaps.get(track, (frame, track))
        track = partner if frame >= first else track
        first, second_id = self.cuts.get(track, (frame, track))
        return second_id if frame >= first else track

    def other_class(self, track: int, frame: int) -> int | None:
        """The number of the class that a mask flickers to; None where it keeps its own."""
        if self.dice.uniform("flicker", frame, track) >= self.settings.flicker:
            return None
        numbers = neighbours(self.classes, track // IDS_PER_CLASS)
        return numbers[int(self.dice.uniform("class", frame, track) * len(numbers))] if numbers else None


def identities_of(
    seen: Seen, settings: DegradeSettings, dice: Dice, classes: ClassTable, numbers: Numbers
) -> Identities:
    """Which tracks are cut, swapped and merged, and the new ids that this takes.

    Raises:
        InputError: a class has no instance number left.
    """
    found = Identities(settings, dice, classes)
    for track in seen.tracks:
        frames = seen.frames_of(track)
        if len(frames) >= _LEAST_FRAMES and dice.uniform("cut", track) < settings.cut:
            first = dice.stream("cut frame", track).choice(frames[1:])
            found.cuts[track] = (int(first), numbers.take(track // IDS_PER_CLASS))
    for a, b in pairs_of(seen) if settings.swap or settings.merge else ():
        if dice.uniform("swap", a, b) < settings.swap:
            both = np.intersect1d(seen.frames_of(a), seen.frames_of(b))
            first = int(dice.stream("swap frame", a, b).choice(both[1:]))
            found.swaps |= {a: (first, b), b: (first, a)}
        if dice.uniform("merge", a, b) < settings.merge:
            found.merges[b] = a
    for frame, track in zip(seen.frames.tolist(), seen.ids.tolist(), strict=True) if settings.flicker else ():
        other = found.other_class(track, frame)
        key = (other, found.tracked_id(track, frame))
        if other is not None and key not in found.flickers:
            preferred = other * IDS_PER_CLASS + key[1] % IDS_PER_CLASS
            found.flickers[other, key[1]] = numbers.take(other, preferred=preferred)
    return found


def pairs_of(seen: Seen) -> list[tuple[int, int]]:
    """Neighbours of one class, the lower id first: each track is in one pair at most, the nearest ones first.

    Two tracks are neighbours if two frames or more show both. They are as near as the centres of their boxes come.
    """
    gaps: dict[tuple[int, int], tuple[float, int]] = {}  # px, and the number of frames that show both
    centers = (seen.boxes_xyxy[:, :2] + seen.boxes_xyxy[:, 2:]) / 2
    for frame in np.unique(seen.frames).tolist():
        rows = seen.rows_in(frame)
        for (a, center_a), (b, center_b) in combinations(zip(seen.ids[rows].tolist(), centers[rows], strict=True), 2):
            if a // IDS_PER_CLASS == b // IDS_PER_CLASS:
                gap, count = gaps.get((a, b), (np.inf, 0))
                gaps[a, b] = (min(gap, float(np.hypot(*(center_a - center_b)))), count + 1)
    paired: set[int] = set()
    pairs: list[tuple[int, int]] = []
    for _, (a, b) in sorted((gap, pair) for pair, (gap, count) in gaps.items() if count >= _LEAST_FRAMES):
        if paired.isdisjoint((a, b)):
            paired |= {a, b}
            pairs.append((a, b))
    return sorted(pairs)


def neighbours(classes: ClassTable, number: int) -> list[int]:
    """Numbers of the things that a detector takes for a class: called alike, or else the next in the table."""
    here = classes.by_number[number]
    things = [one for one in classes if one.is_thing and one is not here]
    alike = [
        one.number
        for one in things
        if one.name in here.easily_taken_for
        or here.name in one.easily_taken_for
        or not set(here.synonyms).isdisjoint(one.synonyms)
    ]
    return alike or sorted((one.number for one in things), key=lambda other: abs(other - number))[:1]
