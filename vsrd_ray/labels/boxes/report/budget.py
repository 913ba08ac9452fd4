"""A report's bytes: what pictures it can hold, how large, and how well kept.

A few pictures are made at each quality to learn what they cost; the best quality at which everything wanted fits is
taken, and at the lowest as many as fit. What is then made is paid from a budget that never runs below nothing.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vsrd_ray.labels.boxes.report.choice import ViewChoice, choose_frames, choose_views, ranked_instances
from vsrd_ray.labels.boxes.report.pictures import Quality, Solids, close_up, frame_picture, read_pixels
from vsrd_ray.labels.boxes.report.tables import SequenceTables

QUALITIES = (
    Quality(frame_width=1408, view_side=480, webp=75),
    Quality(frame_width=1056, view_side=360, webp=68),
    Quality(frame_width=800, view_side=280, webp=58),
    Quality(frame_width=640, view_side=200, webp=48),
)
GOAL_FRAMES = 400  # a lower quality is taken before fewer frames than these are shown
MAX_FRAMES = 1500  # more are not read, so that a report is made in minutes
_SAMPLES = 10
_VIEW_SHARE = 0.4  # of the bytes, at most, for close-ups
_RESERVE = 1.1  # pictures that are not sampled may cost more than those that are


@dataclass(frozen=True)
class Plan:
    """What is to be shown of a sequence."""

    quality: Quality
    frames: frozenset[int]  # places of frames
    views: dict[int, list[tuple[int, ViewChoice]]]  # by the place of the frame: (instance, row) to show close up

    def places(self) -> list[int]:
        """Places of the frames that have to be read, ascending."""
        return sorted(self.frames | self.views.keys())


class ByteBudget:
    """Bytes that can be spent."""

    def __init__(self, num_bytes: int) -> None:
        """Fill it."""
        self.left = num_bytes

    def pays(self, picture: dict[str, Any]) -> bool:
        """Whether a picture could still be paid; if so, it is."""
        price = price_of(picture)
        if price > self.left:
            return False
        self.left -= price
        return True


def price_of(picture: dict[str, Any]) -> int:
    """Bytes that a picture takes in the report, with its key."""
    return len(json.dumps(picture, separators=(",", ":"))) + 16


def plan_pictures(tables: SequenceTables, num_bytes: int, solids: Solids | None) -> Plan:
    """What of a sequence to show for some bytes.

    Args:
        tables: the sequence.
        num_bytes: for all its pictures.
        solids: see `Solids`.
    """
    views = _by_rank(tables)
    frame_costs, view_costs = _sampled_costs(tables, views, solids)
    num_frames, num_views, quality = 0, 0, QUALITIES[-1]
    for frame_cost, view_cost, quality in zip(frame_costs, view_costs, QUALITIES, strict=True):  # noqa: B007
        num_views = min(len(views), int(_VIEW_SHARE * num_bytes / view_cost))
        num_frames = min(len(tables.frames), MAX_FRAMES, int((num_bytes - num_views * view_cost) / frame_cost))
        if num_views == len(views) and num_frames >= min(len(tables.frames), GOAL_FRAMES):
            break
    by_frame: dict[int, list[tuple[int, ViewChoice]]] = {}
    for instance, view in views[:num_views]:
        by_frame.setdefault(int(tables.rows.frames[view.row]), []).append((instance, view))
    return Plan(quality, frozenset(choose_frames(tables, num_frames)), by_frame)


def _by_rank(tables: SequenceTables) -> list[tuple[int, ViewChoice]]:
    """All close-ups: the first of every instance, doubtful instances first, then all second ones, and so on."""
    ranked = [
        (rank, order, instance, view)
        for order, instance in enumerate(ranked_instances(tables))
        for rank, view in enumerate(choose_views(tables, instance))
    ]
    return [(instance, view) for _, _, instance, view in sorted(ranked, key=lambda entry: entry[:2])]


def _sampled_costs(
    tables: SequenceTables, views: list[tuple[int, ViewChoice]], solids: Solids | None
) -> tuple[list[float], list[float]]:
    """Bytes of a frame's picture and of a close-up, for each quality."""
    places = np.unique(np.linspace(0, len(tables.frames) - 1, _SAMPLES).astype(int)).tolist()
    pixels = {place: read_pixels(tables, place) for place in places}
    shown = [views[k] for k in np.unique(np.linspace(0, len(views) - 1, _SAMPLES).astype(int))] if views else []
    view_pixels = {view.row: read_pixels(tables, int(tables.rows.frames[view.row])) for _, view in shown}

    def mean(makers: list[Callable[[Quality], dict[str, Any]]], quality: Quality) -> float:
        return _RESERVE * sum(price_of(make(quality)) for make in makers) / max(len(makers), 1) + 1

    frames = [lambda quality, place=place: frame_picture(tables, place, pixels[place], quality) for place in places]
    close_ups = [
        lambda quality, view=view: close_up(tables, view, view_pixels[view.row], quality, solids) for _, view in shown
    ]
    return [mean(frames, quality) for quality in QUALITIES], [mean(close_ups, quality) for quality in QUALITIES]
