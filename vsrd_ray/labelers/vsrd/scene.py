"""Which instances of a drive are fitted together, each once and from its own views: stretches along the drive.

An instance is fitted if its class is wanted and its mask is large enough in at least one frame. Its views are those of
the frames that show it in which its mask is of use; the best of them gives it its place along the drive.

Shapes: R index rows, N instances of a stretch, F frames that show an instance, V views of it, V <= F.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vsrd_ray.data.groups import InstanceGroupPlan
from vsrd_ray.data.index import is_any_of
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.grouping import choose_sources, is_counting, smaller_sides


@dataclass(frozen=True)
class _Sighted:
    """An instance that is to be fitted, and where it is seen."""

    instance_id: int
    frames: tuple[int, ...]  # [F] ascending; all that show it
    views: tuple[int, ...]  # [V] ascending; those in which it is fitted
    best_frame: int  # one of the views


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
    instances = _instances(index.filter(is_any_of(index["class_name"], classes)), settings)
    if not instances:
        return []
    in_order = sorted(instances, key=lambda instance: (instance.best_frame, instance.instance_id))
    num_stretches = -(-len(in_order) // settings.window_instances)
    stretches = np.array_split(np.arange(len(in_order)), num_stretches)
    return [
        _stretch([in_order[n] for n in members], number=number, sequence=sequence, camera=camera)
        for number, members in enumerate(stretches)
    ]


def _stretch(members: list[_Sighted], *, number: int, sequence: str, camera: str) -> InstanceGroupPlan:
    members = sorted(members, key=lambda instance: instance.instance_id)
    target = sorted(instance.best_frame for instance in members)[len(members) // 2]
    views = {frame for instance in members for frame in instance.views}
    return InstanceGroupPlan(
        group_id=f"{sequence}-{camera}-w{number:05d}",
        sequence=sequence,
        camera=camera,
        target_frame=target,
        source_frames=tuple(sorted(views - {target})),
        label_frames=tuple(sorted({frame for instance in members for frame in instance.frames})),
        instance_ids=tuple(instance.instance_id for instance in members),
        instance_views=tuple(instance.views for instance in members),
        best_frames=tuple(instance.best_frame for instance in members),
    )


def _instances(rows: pa.Table, settings: GroupingSettings) -> list[_Sighted]:
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
    )
    parts = zip(*(np.split(column, starts[1:]) for column in columns), strict=True)
    return [
        _sighted(instance_id, frames, areas=areas, sides=sides, on_border=on_border, settings=settings)
        for instance_id, (frames, areas, sides, on_border, counts) in zip(ids.tolist(), parts, strict=True)
        if counts.any()
    ]


def _sighted(
    instance_id: int,
    frames: np.ndarray,  # [F] ascending
    *,
    areas: np.ndarray,  # [F] px
    sides: np.ndarray,  # [F] px, the smaller one of the mask box
    on_border: np.ndarray,  # [F] bool
    settings: GroupingSettings,
) -> _Sighted:
    """The views of an instance and the best of them: the largest mask that is not cut off by the image's border."""
    useful = frames[sides >= min(settings.min_view_side, sides.max())]
    views = tuple(useful.tolist())
    if len(views) > settings.num_views:
        views = choose_sources(views, settings.num_views)
    positions = np.searchsorted(frames, views)
    whole = positions[~on_border[positions]]
    positions = whole if len(whole) else positions
    best_frame = int(frames[positions[areas[positions].argmax()]])
    return _Sighted(instance_id, frames=tuple(frames.tolist()), views=views, best_frame=best_frame)
