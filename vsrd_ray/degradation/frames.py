"""One degraded instance map: masks that are drawn over each other again.

Shapes: H x W pixels of the image, h x w of a window.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.degradation.blobs import Blob, blobs_of
from vsrd_ray.degradation.chance import Dice
from vsrd_ray.degradation.outlines import break_outline, margin_of
from vsrd_ray.degradation.scan import Seen, locate, thing_ids
from vsrd_ray.degradation.settings import DegradeSettings
from vsrd_ray.degradation.tracks import Identities, Numbers, identities_of


@dataclass(frozen=True)
class _Claim:
    """The pixels that an object wants."""

    track: int | None  # None: a false object
    new_id: int
    window: tuple[slice, slice]
    mask: np.ndarray  # [h, w] bool

    @property
    def foot(self) -> int:
        """Lowest row of the image that it wants; -1 if it wants none."""
        rows = np.flatnonzero(self.mask.any(axis=1))
        return int(self.window[0].start + rows[-1]) if len(rows) else -1


@dataclass
class Span:
    """Where an id stands for one object."""

    first: int  # frame
    last: int  # frame
    masks: int


@dataclass
class Ledger:
    """What was done in a sequence."""

    counts: Counter[str] = field(default_factory=Counter)
    spans: dict[tuple[int, int | None], Span] = field(default_factory=dict)  # (new id, track or None) -> where

    def add(self, new_id: int, track: int | None, frame: int) -> None:
        """Note a mask that was written; frames come in ascending order."""
        span = self.spans.setdefault((new_id, track), Span(frame, frame, 0))
        span.last, span.masks = frame, span.masks + 1


class Degrader:
    """What happens to the masks of one sequence."""

    def __init__(
        self, seen: Seen, settings: DegradeSettings, dice: Dice, classes: ClassTable, image_size: tuple[int, int]
    ):
        """Decide on tracks and false objects.

        Args:
            seen: where all masks are.
            settings: how bad.
            dice: random numbers of the sequence.
            classes: of the dataset.
            image_size: (width, height) px.

        Raises:
            InputError: a class has no instance number left.
        """
        numbers = Numbers(seen.tracks, classes)
        self._settings, self._dice = settings, dice
        self._is_thing = thing_ids(classes)
        self.identities: Identities = identities_of(seen, settings, dice, classes, numbers)
        self.blobs: list[Blob] = blobs_of(seen, settings.false, dice, numbers, image_size)
        made = self.identities
        self.ledger = Ledger(
            Counter(
                tracks=len(seen.tracks),
                masks=len(seen.ids),
                cut_tracks=len(made.cuts),
                swapped_pairs=len(made.swaps) // 2,
                merged_pairs=len(made.merges),
                false_objects=len(self.blobs),
                missed_masks=0,
                flickered_masks=0,
                vanished_masks=0,
                false_masks=0,
            )
        )

    def degraded(
        self,
        instance_map: np.ndarray,  # [H, W] uint16
        frame: int,
    ) -> np.ndarray:
        """The instance map [H, W] uint16 of a frame as a detector and a tracker give it.

        Pixels that lose their object are 0. A pixel that several objects want goes to the one whose it was, or else to
        the one whose foot is lowest in the image. False objects get only what no object has.
        """
        is_object = self._is_thing[instance_map]
        claims = self._true_claims(instance_map, frame)
        result = np.where(is_object, np.uint16(0), instance_map)
        for claim in (*self._false_claims(is_object, frame), *sorted(claims, key=lambda one: (one.foot, one.track))):
            result[claim.window][claim.mask] = claim.new_id
        for claim in claims:
            is_own = claim.mask & (instance_map[claim.window] == claim.track)
            result[claim.window][is_own] = claim.new_id
        return result

    def _true_claims(self, instance_map: np.ndarray, frame: int) -> list[_Claim]:
        counts, claims = self.ledger.counts, list[_Claim]()
        for track, box in locate(instance_map, self._is_thing).items():
            if self.identities.is_missing(track, frame):
                counts["missed_masks"] += 1
                continue
            window = self._window(box, instance_map.shape)
            mask = self._broken(instance_map[window] == track, window, frame, track)
            new_id = self.identities.id_of(track, frame)
            if not mask.any():
                counts["vanished_masks"] += 1
                continue
            counts["flickered_masks"] += self.identities.flickers_in(track, frame)
            self.ledger.add(new_id, track, frame)
            claims.append(_Claim(track, new_id, window, mask))
        return claims

    def _false_claims(self, is_object: np.ndarray, frame: int) -> list[_Claim]:
        height, width = is_object.shape
        claims = list[_Claim]()
        for blob in self.blobs:
            drawn = blob.mask(frame, (width, height))
            if not drawn.any():  # of another frame, or beyond the image
                continue
            rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
            box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
            window = self._window(box, is_object.shape)
            mask = self._broken(drawn[window], window, frame, blob.instance_id) & ~is_object[window]
            if mask.any():
                self.ledger.counts["false_masks"] += 1
                self.ledger.add(blob.instance_id, None, frame)
                claims.append(_Claim(None, blob.instance_id, window, mask))
        return claims

    def _window(self, box: tuple[slice, slice], shape: tuple[int, ...]) -> tuple[slice, slice]:
        """The box with the margin that its mask may grow into, within the image."""
        margin = margin_of(self._settings, box[0].stop - box[0].start)
        rows, columns = (
            slice(max(side.start - margin, 0), min(side.stop + margin, length))
            for side, length in zip(box, shape, strict=True)
        )
        return rows, columns

    def _broken(self, mask: np.ndarray, window: tuple[slice, slice], frame: int, instance_id: int) -> np.ndarray:
        rng = self._dice.stream("outline", frame, instance_id)
        return break_outline(mask, self._settings, rng, origin_uv=(window[1].start, window[0].start))
