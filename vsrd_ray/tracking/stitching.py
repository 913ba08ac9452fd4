"""Tracks mended in the world: parted where they jump or stand in two places, joined where they agree or lead on.

Detections then go to the tracks that they fit best.

A tracker sees the past alone, and errors stay. Here the whole drive is known. A track is its detections' rows, by time.
Shapes: D detections, R those of a track, T times.
"""

import heapq
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from vsrd_ray.tracking.assignment import assign
from vsrd_ray.tracking.courses import LONGEST_GAP
from vsrd_ray.tracking.overlaps import box_overlaps, paired_overlaps
from vsrd_ray.tracking.sightings import Sightings

_ROUNDS = 2
_CUT = 0.3  # IoU below which a detection is not what the track leads to
_JOIN = 0.3  # mean IoU above which two tracks predict each other
_JOIN_GAP = 40  # times, the longest between two tracks of one object
_NUM_NEAREST = 3  # detections that are asked whether two tracks agree
_FIT = 0.3  # least IoU of a detection that a track gets
_STAY = 0.3  # IoU by which a detection has to fit another track better than its own
_REACH = 5  # times by which a track may grow at each end in a round


def mended(tracks: list[np.ndarray], sightings: Sightings, usable: np.ndarray) -> list[np.ndarray]:
    """Tracks of the same detections, each of one object as far as places tell.

    Args:
        tracks: rows [R] of each, by time, one at a time.
        sightings: the detections.
        usable: [D] bool, those that a track may get.
    """
    tracks = [part for track in tracks for part in _cut(track, sightings)]
    for _ in range(_ROUNDS):
        tracks = [part for track in tracks for part in sightings.places.parted(track)]
        tracks = _reassigned(_joined(tracks, sightings), sightings, usable)
    return tracks


def _cut(rows: np.ndarray, sightings: Sightings) -> list[np.ndarray]:
    """Parts of a track: it is cut before detections to which neither it nor the last one, standing, leads."""
    parts: list[np.ndarray] = []
    while True:
        times, boxes = sightings.times[rows[1:]], sightings.boxes_xyxy[rows[1:]]
        moving = paired_overlaps(sightings.predicted(rows, times, from_past=True), boxes)
        standing = paired_overlaps(sightings.standing(rows[:-1], times), boxes)
        breaks = np.flatnonzero(~(np.fmax(moving, standing) >= _CUT)) + 1
        if not len(breaks):
            return [*parts, rows]
        parts.append(rows[: breaks[0]])
        rows = rows[breaks[0] :]


@dataclass(frozen=True)
class _Piece:
    """A track, and where it would be seen by the detections that it has at other times."""

    rows: np.ndarray  # [R]
    times: np.ndarray  # [R] ascending, of its detections
    first: int  # time of the first box
    boxes_xyxy: np.ndarray  # [T, 4] px, from there on; NaN where unknown

    @cached_property
    def seen(self) -> frozenset[int]:
        """The times of its detections."""
        return frozenset(self.times.tolist())

    def at(self, times: np.ndarray) -> np.ndarray:
        """Boxes of some times within its reach."""
        return self.boxes_xyxy[times - self.first]


def _piece(rows: np.ndarray, sightings: Sightings, reach: int) -> _Piece:
    times = sightings.times[rows]
    first, last = max(int(times[0]) - reach, 0), min(int(times[-1]) + reach, sightings.num_times - 1)
    boxes = sightings.predicted(rows, np.arange(first, last + 1))
    own = boxes[times - first]
    # A track of one detection would lose it else.
    boxes[times - first] = np.where(np.isnan(own), sightings.boxes_xyxy[rows], own)
    return _Piece(rows, times, first, boxes)


def _joined(tracks: list[np.ndarray], sightings: Sightings) -> list[np.ndarray]:
    """Tracks of which those that are never seen together and predict each other are one: the best pair first."""
    pieces: list[_Piece | None] = []
    ends = np.empty((0, 2), dtype=np.int64)  # first and last row of each piece
    heap: list[tuple[float, int, int]] = []

    def add(rows: np.ndarray) -> None:
        nonlocal ends
        new = _piece(rows, sightings, _JOIN_GAP)
        for place in _near(new, ends, sightings).tolist():
            one = pieces[place]
            if one is not None and (agreement := _agreement(one, new, sightings)) > 0:
                heapq.heappush(heap, (-agreement, place, len(pieces)))
        pieces.append(new)
        ends = np.append(ends, rows[[0, -1]][None], axis=0)

    for rows in tracks:
        add(rows)
    while heap:
        _, a, b = heapq.heappop(heap)
        if (one := pieces[a]) is None or (other := pieces[b]) is None:
            continue
        pieces[a] = pieces[b] = None
        rows = np.concatenate([one.rows, other.rows])
        add(rows[np.argsort(sightings.times[rows])])
    return [piece.rows for piece in pieces if piece is not None]


def _near(piece: _Piece, ends: np.ndarray, sightings: Sightings) -> np.ndarray:
    """Pieces, by place, that may be of the same object: their nearer end [., 2] is about where it is predicted.

    Those that are near in time, or begin before it ends and end after it begins, are not looked at so closely.
    """
    firsts, lasts = sightings.times[ends].T
    is_after, is_before = firsts > piece.times[-1], lasts < piece.times[0]
    gaps = np.where(is_after, firsts - piece.times[-1], np.where(is_before, piece.times[0] - lasts, 0))
    found = np.flatnonzero(gaps <= _JOIN_GAP)
    rows = np.where(is_after, ends[:, 0], ends[:, 1])[found]
    is_apart = (gaps > LONGEST_GAP)[found]
    times = np.where(is_apart, sightings.times[rows], piece.first)
    overlaps = paired_overlaps(piece.at(times), sightings.boxes_xyxy[rows])
    return found[~is_apart | (overlaps > 0)]


def _agreement(a: _Piece, b: _Piece, sightings: Sightings) -> float:
    """How sure two pieces are one: by what each predicts of the other's detections, or else by how they lead on; or 0.

    The first is a mean IoU over the nearest detections, the worse of both, and above the second.
    """
    if not a.seen.isdisjoint(b.seen):
        return 0.0
    worse = 1.0
    for one, other in ((a, b), (b, a)):
        places = np.searchsorted(one.times, other.times)
        gaps = np.minimum(
            np.abs(other.times - one.times[np.minimum(places, len(one.times) - 1)]),
            np.abs(other.times - one.times[np.maximum(places - 1, 0)]),
        )
        nearest = np.argsort(gaps, kind="stable")[:_NUM_NEAREST]
        nearest = nearest[gaps[nearest] <= _JOIN_GAP]
        if not len(nearest):
            return 0.0
        boxes = sightings.boxes_xyxy[other.rows[nearest]]
        worse = min(worse, float(np.nan_to_num(paired_overlaps(one.at(other.times[nearest]), boxes)).mean()))
    return worse if worse > _JOIN else _JOIN * _lead(a, b, sightings)


def _lead(a: _Piece, b: _Piece, sightings: Sightings) -> float:
    """How well pieces lead to each other over a gap that is not too long, 0 to 1."""
    before, after = (a, b) if a.times[0] < b.times[0] else (b, a)
    if not 0 < after.times[0] - before.times[-1] <= LONGEST_GAP:
        return 0.0
    return sightings.places.leads_to(before.rows, after.rows)


def _reassigned(tracks: list[np.ndarray], sightings: Sightings, usable: np.ndarray) -> list[np.ndarray]:
    """Tracks with the detections that fit their predictions best, frame by frame; those that get none are gone."""
    pieces = [_piece(rows, sightings, _REACH) for rows in tracks]
    owners = np.full(len(sightings.times), -1)
    for place, piece in enumerate(pieces):
        owners[piece.rows] = place
    places = np.repeat(np.arange(len(pieces)), [len(piece.boxes_xyxy) for piece in pieces])
    times = np.concatenate([piece.first + np.arange(len(piece.boxes_xyxy)) for piece in pieces] or [owners[:0]])
    boxes = np.concatenate([piece.boxes_xyxy for piece in pieces] or [np.empty((0, 4))])
    new = np.full(len(owners), -1)
    by_time = _rows_by_time(np.where(usable, sightings.times, -1), sightings.num_times)
    known = _rows_by_time(np.where(np.isnan(boxes).any(axis=1), -1, times), sightings.num_times)
    for detections, candidates in zip(by_time, known, strict=True):
        if len(detections) and len(candidates):
            gains = box_overlaps(boxes[candidates], sightings.boxes_xyxy[detections])
            gains += _STAY * (places[candidates][:, None] == owners[detections])
            matches = assign(1 - gains, 1 - _FIT)
            found = matches >= 0
            new[detections[matches[found]]] = places[candidates[found]]
    parts = (np.flatnonzero(new == place) for place in range(len(pieces)))
    return [rows[np.argsort(sightings.times[rows])] for rows in parts if len(rows)]


def _rows_by_time(times: np.ndarray, num_times: int) -> list[np.ndarray]:
    """Rows of each time, ascending; those of no time, -1, are left out."""
    order = np.argsort(times, kind="stable")
    bounds = np.searchsorted(times[order], np.arange(num_times + 1))
    return [order[first:last] for first, last in pairwise(bounds)]
