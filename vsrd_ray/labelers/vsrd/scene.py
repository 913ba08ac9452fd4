"""Which instances of a drive are fitted together, each once and from its own views: stretches along the drive.

An instance is fitted if its class is wanted and its mask is large enough in at least one frame. Its views are those of
the frames that show it in which its mask is of use; the best of them gives it its place along the drive.

Shapes: R index rows, N instances of a stretch, F frames that show an instance, V views of it, V <= F.
"""

import itertools
import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vsrd_ray.data.groups import InstanceGroupPlan
from vsrd_ray.data.index import SIDES, is_any_of, readable_frames
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.grouping import choose_sources, is_counting, smaller_sides
from vsrd_ray.labelers.vsrd.links import BoxTrack, exchanges, links

# Frames in a row in which the mask of an instance may be missing, at most. Beyond the ends of its track as many as are
# missing in a row with more than this probability.
_LONGEST_GAP, _LEAST_CHANCE = 10, 0.05
# Of an instance with no more masks than this, so many frames on either side are watched.
_FEW_MASKS, _WATCHED = 8, 8
# Masks whose boxes are this near in the image are beside each other, px.
_BESIDE = 4


@dataclass(frozen=True)
class _Sighted:
    """An instance that is to be fitted, and where it is seen."""

    instance_id: int
    frames: tuple[int, ...]  # [F] ascending; all that show it
    views: tuple[int, ...]  # [V] ascending; those in which it is fitted
    best_frame: int  # one of the views
    boxes: BoxTrack


def plan_scene(
    index: pa.Table, *, sequence: str, camera: str, settings: GroupingSettings, classes: Iterable[str]
) -> list[InstanceGroupPlan]:
    """Plans of a sequence's stretches, in their order along the drive.

    Each instance is in one stretch; a frame may be in any number of them. Instances are ordered by their best frames
    and cut into the fewest stretches of at most `window_instances`, all of nearly the same size. The target of a
    stretch is the middle one of its best frames; its boxes are written for every frame that shows any of its
    instances.

    Args:
        index: rows of `vsrd_ray.data.index.INDEX_SCHEMA`, all frames of one sequence.
        sequence: its name.
        camera: `image_00` or `image_01`.
        settings: what makes an instance count, which views are of use, and how many go together.
        classes: names of the classes that count.
    """
    rows = index.filter(is_any_of(index["class_name"], classes))
    gaps = _Gaps.of(rows, np.array(readable_frames(index)))
    instances = _instances(rows, settings, gaps.doubtful())
    if not instances:
        return []
    in_order = sorted(instances, key=lambda instance: (instance.best_frame, instance.instance_id))
    num_stretches = -(-len(in_order) // settings.window_instances)
    stretches = _together(in_order, np.array_split(np.arange(len(in_order)), num_stretches))
    return [
        _stretch([in_order[n] for n in members], gaps, number=number, sequence=sequence, camera=camera)
        for number, members in enumerate(stretches)
    ]


def _together(in_order: Sequence[_Sighted], stretches: Sequence[np.ndarray]) -> list[list[int]]:
    """The stretches, but that ids which may be of one object are in the stretch of the first of them."""
    tracks = [instance.boxes for instance in in_order]
    places = [number for number, members in enumerate(stretches) for _ in members]
    with_it = [{n} for n in range(len(tracks))]  # ids that may be of one object
    most = 2 * max(len(members) for members in stretches)
    for a, b, *_ in [*links(tracks), *exchanges(tracks)]:
        first, second = sorted((a, b), key=lambda n: (places[n], n))
        joined = with_it[first] | with_it[second]
        if places.count(places[first]) + len(with_it[second]) <= most:
            for n in joined:
                places[n], with_it[n] = places[first], joined
    found = [[n for n, place in enumerate(places) if place == number] for number in range(len(stretches))]
    return [members for members in found if members]


@dataclass(frozen=True)
class _Gaps:
    """Where instances may be visible without a mask."""

    tracks: dict[int, BoxTrack]  # by id
    frames: np.ndarray  # ascending; all that are readable
    beyond: int  # frames beyond the ends of a track

    @staticmethod
    def of(rows: pa.Table, frames: np.ndarray) -> "_Gaps":
        """The gaps of a drive's tracks, by how often masks are missing between others of their instance."""
        tracks = _tracks(rows)
        num_missing = 0
        for track in tracks.values():
            gaps = np.diff(np.searchsorted(frames, track.frames)) - 1
            num_missing += int(gaps[gaps <= _LONGEST_GAP].sum())
        share = num_missing / max(rows.num_rows + num_missing, 1)
        beyond = 0 if share <= _LEAST_CHANCE else math.ceil(math.log(_LEAST_CHANCE) / math.log(share)) - 1
        return _Gaps(tracks, frames, min(beyond, _LONGEST_GAP))

    def doubtful(self) -> set[tuple[int, int]]:
        """Ids and frames of masks that may end at an object in front of theirs whose own mask is missing."""
        shown: dict[int, list[tuple[int, np.ndarray]]] = {}
        for track in self.tracks.values():
            for frame, box in zip(track.frames.tolist(), track.boxes_xyxy, strict=True):
                shown.setdefault(frame, []).append((track.instance_id, box))
        found = set[tuple[int, int]]()
        for track in self.tracks.values():
            for frame in self.around(track)[0]:
                left, top, right, bottom = track.between(frame)
                for instance_id, box in shown.get(frame, ()):
                    is_beside = box[0] <= right + _BESIDE and left <= box[2] + _BESIDE
                    if is_beside and top <= box[3] and box[1] <= bottom and bottom > box[3] - _BESIDE:
                        found.add((instance_id, frame))
        return found

    def around(self, track: BoxTrack) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Frames in which an instance may be visible, and those that are watched."""
        places = np.searchsorted(self.frames, track.frames)
        first, last = int(places[0]), int(places[-1])
        missing = [
            np.arange(low + 1, high)
            for low, high in itertools.pairwise(places.tolist())
            if high - low - 1 <= _LONGEST_GAP
        ]

        def ends(count: int) -> list[np.ndarray]:
            return [
                np.arange(max(first - count, 0), first),
                np.arange(last + 1, min(last + count + 1, len(self.frames))),
            ]

        few = ends(_WATCHED) if len(places) <= _FEW_MASKS else []
        return tuple(
            tuple(self.frames[np.unique(np.concatenate([np.empty(0, dtype=np.int64), *some]))].tolist())
            for some in (missing + ends(self.beyond), few)
        )  # pyright: ignore[reportReturnType]


def _stretch(members: list[_Sighted], gaps: _Gaps, *, number: int, sequence: str, camera: str) -> InstanceGroupPlan:
    members = sorted(members, key=lambda instance: instance.instance_id)
    target = sorted(instance.best_frame for instance in members)[len(members) // 2]
    views = {frame for instance in members for frame in instance.views}
    gap_frames, watched_frames = zip(*(gaps.around(instance.boxes) for instance in members), strict=True)
    unseen = {frame for some in (*gap_frames, *watched_frames) for frame in some}
    return InstanceGroupPlan(
        group_id=f"{sequence}-{camera}-w{number:05d}",
        sequence=sequence,
        camera=camera,
        target_frame=target,
        source_frames=tuple(sorted(views - {target})),
        label_frames=tuple(sorted(unseen.union(*(instance.frames for instance in members)))),
        instance_ids=tuple(instance.instance_id for instance in members),
        instance_views=tuple(instance.views for instance in members),
        best_frames=tuple(instance.best_frame for instance in members),
        gap_frames=gap_frames,
        watched_frames=watched_frames,
    )


def _tracks(rows: pa.Table) -> dict[int, BoxTrack]:
    """The mask boxes of all instances in index rows, by id, ascending."""
    rows = rows.sort_by([("instance_id", "ascending"), ("frame", "ascending")])
    ids, starts = np.unique(rows["instance_id"].to_numpy(), return_index=True)
    boxes = np.stack([rows[f"box_{side}"].to_numpy() for side in SIDES], axis=-1).astype(np.float64)
    parts = zip(*(np.split(column, starts[1:]) for column in (rows["frame"].to_numpy(), boxes)), strict=True)
    return {
        instance_id: BoxTrack(instance_id, frames, own)
        for instance_id, (frames, own) in zip(ids.tolist(), parts, strict=False)
    }


def _instances(rows: pa.Table, settings: GroupingSettings, doubtful: Container[tuple[int, int]]) -> list[_Sighted]:
    """The instances that count in at least one of the index rows, ids ascending."""
    if not rows.num_rows:
        return []
    rows = rows.sort_by([("instance_id", "ascending"), ("frame", "ascending")])
    ids, starts = np.unique(rows["instance_id"].to_numpy(), return_index=True)
    columns = (
        rows["frame"].to_numpy(),
        rows["area"].to_numpy(),
        smaller_sides(rows),
        rows["touches_border"].to_numpy(),
        is_counting(rows, settings),
        np.stack([rows[f"box_{side}"].to_numpy() for side in SIDES], axis=-1).astype(np.float64),
    )
    parts = zip(*(np.split(column, starts[1:]) for column in columns), strict=True)
    return [
        _sighted(
            BoxTrack(instance_id, frames, boxes),
            areas=areas,
            sides=sides,
            on_border=on_border,
            clear=np.array([(instance_id, frame) not in doubtful for frame in frames.tolist()], dtype=bool),
            settings=settings,
        )
        for instance_id, (frames, areas, sides, on_border, counts, boxes) in zip(ids.tolist(), parts, strict=True)
        if counts.any()
    ]


def _sighted(
    track: BoxTrack,  # of all F frames that show the instance
    *,
    areas: np.ndarray,  # [F] px
    sides: np.ndarray,  # [F] px, the smaller one of the mask box
    on_border: np.ndarray,  # [F] bool
    clear: np.ndarray,  # [F] bool: nothing in front of it lacks its mask
    settings: GroupingSettings,
) -> _Sighted:
    """The views of an instance and the best of them: the largest mask that is not cut off by the image's border."""
    frames = track.frames
    is_useful = sides >= min(settings.min_view_side, sides.max())
    if 2 * np.count_nonzero(is_useful & clear) >= np.count_nonzero(is_useful):
        is_useful &= clear
    useful = frames[is_useful]
    views = tuple(useful.tolist())
    if len(views) > settings.num_views:
        views = choose_sources(views, settings.num_views)
    positions = np.searchsorted(frames, views)
    whole = positions[~on_border[positions]]
    positions = whole if len(whole) else positions
    best_frame = int(frames[positions[areas[positions].argmax()]])
    return _Sighted(track.instance_id, tuple(frames.tolist()), views, best_frame, track)
