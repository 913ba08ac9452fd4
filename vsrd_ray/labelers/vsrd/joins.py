"""Which ids are fitted as one object: what the boxes in the image suggest, and what fits of bodies say to it.

Bodies are fitted to the outlines of suggested tracks as to those of any id. A track is believed if its body, standing
or moving, lies about as near to its masks as those of its parts do to theirs: what is two objects fits no one body.

Shapes: N instances of a group, T tracks, V views of an instance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vsrd_ray.data.groups import GroupFrames, of_instances
from vsrd_ray.labelers.vsrd.grouping import choose_sources
from vsrd_ray.labelers.vsrd.links import BoxTrack, exchanges, links
from vsrd_ray.labelers.vsrd.observations import Observations

# Misfits of the body of a joined track: up to the first any, and beyond it up to so many times that of its parts.
_FITS, _AS_WELL = 0.5, 1.3
# Of two that change places, how much of the misfit of their own tracks the new ones may have.
_EXCHANGED = 0.7


@dataclass(frozen=True)
class Piece:
    """An instance in a stretch of frames."""

    row: int  # in its group
    first: int  # frame
    last: int  # frame, included

    def has(self, frame: int) -> bool:
        """Whether a frame lies in it."""
        return self.first <= frame <= self.last


Track = tuple[Piece, ...]  # in the order of their frames


@dataclass(frozen=True)
class Suggestion:
    """Tracks that may be in place of those of some instances."""

    tracks: tuple[Track, ...]
    rows: tuple[int, ...]  # of the instances

    @property
    def is_exchange(self) -> bool:
        """Whether instances change places, instead of one going on where the other ends."""
        return len(self.tracks) > 1


def whole(group: GroupFrames) -> list[Track]:
    """The tracks of a group as its ids have them."""
    return [(Piece(row, *_ends(group)),) for row in range(len(group.plan.instance_ids))]


def _ends(group: GroupFrames) -> tuple[int, int]:
    """The first and the last of a group's frames."""
    frames = (*group.plan.view_frames, *group.plan.label_frames)
    return min(frames), max(frames)


def suggestions(group: GroupFrames) -> list[Suggestion]:
    """What the mask boxes of a group's instances suggest: long tracks before their parts."""
    frames = np.array([one.view.frame for one in group.label_frames])
    areas = np.stack([one.mask_areas for one in group.label_frames])  # [F, N]
    boxes = np.stack([one.mask_boxes_xyxy for one in group.label_frames])
    rows = np.flatnonzero((areas > 0).any(axis=0)).tolist()
    tracks = [BoxTrack(row, frames[areas[:, row] > 0], boxes[areas[:, row] > 0, row]) for row in rows]
    found: list[Suggestion] = []
    first, last = _ends(group)
    for a, b, frame in exchanges(tracks):
        (a_before, a_after), (b_before, b_after) = (
            (Piece(rows[n], first, frame - 1), Piece(rows[n], frame, last)) for n in (a, b)
        )
        found.append(Suggestion(((a_before, b_after), (b_before, a_after)), (rows[a], rows[b])))
    follower = dict(links(tracks))
    for start in sorted(follower.keys() - set(follower.values())):
        chain = [start]
        while chain[-1] in follower:
            chain.append(follower[chain[-1]])
        starts = [first, *(int(tracks[n].frames[0]) for n in chain[1:]), last + 1]
        pieces = tuple(Piece(rows[n], starts[k], starts[k + 1] - 1) for k, n in enumerate(chain))
        parts = [pieces] + [pieces[k : k + 2] for k in range(len(pieces) - 1) if len(pieces) > 2]
        found += [Suggestion((part,), tuple(piece.row for piece in part)) for part in parts]
    return found


@dataclass(frozen=True)
class TrackViews:
    """Of each track the views in which it is fitted, ascending, as places in the views of its group's instances."""

    frames: list[list[int]]
    places: list[list[tuple[int, int]]]  # instance and view

    @staticmethod
    def of(group: GroupFrames, tracks: Sequence[Track], seen: np.ndarray, *, count: int) -> "TrackViews":
        """At most `count` views of each track, spread over those of its pieces that show [N, V] bool their instance."""
        plan = of_instances(group.plan)
        views = TrackViews([], [])
        for track in tracks:
            places = {
                frame: (piece.row, view)
                for piece in track
                for view, frame in enumerate(plan.instance_views[piece.row])
                if piece.has(frame) and seen[piece.row, view]
            }
            frames = sorted(places)
            frames = list(choose_sources(frames, count)) if len(frames) > count else frames
            views.frames.append(frames)
            views.places.append([places[frame] for frame in frames])
        return views

    def gather(self, observations: Observations) -> Observations:
        """The outlines of the tracks, from those of the instances."""
        most = max(1, *map(len, self.places))
        padded = [places + [(0, 0)] * (most - len(places)) for places in self.places]
        rows, views = torch.tensor(padded, dtype=torch.int64).reshape(len(padded), most, 2).unbind(dim=-1)
        lengths = torch.tensor([len(places) for places in self.places])
        is_view = torch.arange(most) < lengths[:, None]
        gathered = {name: values[rows, views] for name, values in vars(observations).items()}
        for name in ("seen", "trusted", "hidden", "sampled"):
            gathered[name] &= is_view.reshape(*is_view.shape, *[1] * (gathered[name].dim() - 2))
        return Observations(**gathered)


def believed(
    found: Sequence[Suggestion],
    misfits: Sequence[Sequence[float]],  # of the tracks of each suggestion
    own: Mapping[int, float] | None = None,  # of the instances alone, by row
    *,
    limit: float = _FITS,
) -> list[Suggestion]:
    """The suggestions that the bodies of their tracks confirm, each instance in one of them at most.

    Args:
        found: in the order in which they are to be believed.
        misfits: of bodies of their tracks, standing or moving.
        own: the same of the instances alone; without them those are confirmed that fit well.
        limit: the misfit beyond which a body explains nothing.
    """
    used, kept = set[int](), []
    for suggestion, off in zip(found, misfits, strict=True):
        most = _FITS
        if own is not None:
            alone = max(own[row] for row in suggestion.rows)
            most = _EXCHANGED * alone if suggestion.is_exchange else max(_FITS, _AS_WELL * alone)
        if max(off) <= min(most, limit) and used.isdisjoint(suggestion.rows):
            used.update(suggestion.rows)
            kept.append(suggestion)
    return kept
