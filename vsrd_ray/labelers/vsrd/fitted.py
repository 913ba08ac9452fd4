"""Tracks of a group as they are fitted, and suggestions of tracks among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from vsrd_ray.labelers.vsrd.bodyfit import BodyFit
from vsrd_ray.labelers.vsrd.ground import Ground
from vsrd_ray.labelers.vsrd.joins import Suggestion, Track, TrackViews
from vsrd_ray.labelers.vsrd.observations import Expectations, Observations, stacked

T = TypeVar("T")


@dataclass(frozen=True)
class Known:
    """What bodies that stand tell those that move."""

    road: Ground
    inset: float  # px


@dataclass(frozen=True)
class Fitted:
    """Tracks of a group, what they look like, and their bodies as if none moved."""

    tracks: list[Track]
    views: TrackViews
    observations: Observations
    expectations: Expectations
    standing: BodyFit

    def with_others(self, others: "Fitted") -> "Fitted":
        """These and others after them."""
        most = max(one.observations.seen.shape[1] for one in (self, others))
        return Fitted(
            self.tracks + others.tracks,
            TrackViews(self.views.frames + others.views.frames, self.views.places + others.views.places),
            stacked([one.observations.with_views(most) for one in (self, others)]),
            stacked([self.expectations, others.expectations]),
            stacked([self.standing, others.standing]),
        )

    def part(self, places: list[int]) -> "Fitted":
        """Some of them."""
        index = torch.tensor(places, dtype=torch.int64)
        return Fitted(
            [self.tracks[n] for n in places],
            TrackViews([self.views.frames[n] for n in places], [self.views.places[n] for n in places]),
            self.observations.part(index),
            self.expectations.part(index),
            self.standing.part(index),
        )


def rows_of(suggestions: Sequence[Suggestion]) -> set[int]:
    """The instances that some suggestions are about, by their rows."""
    return {row for suggestion in suggestions for row in suggestion.rows}


def by_suggestion(found: Sequence[Suggestion], values: list[T]) -> list[list[T]]:
    """Values of all tracks of suggestions, suggestion by suggestion."""
    ends = np.cumsum([len(suggestion.tracks) for suggestion in found]).tolist()
    return [values[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def places_of(kept: Sequence[Suggestion], found: Sequence[Suggestion]) -> list[int]:
    """Where the tracks of some suggestions are among those of all."""
    places = by_suggestion(found, list(range(sum(len(suggestion.tracks) for suggestion in found))))
    return [place for suggestion in kept for place in places[found.index(suggestion)]]
