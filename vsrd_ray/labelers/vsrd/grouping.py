"""Which frames are seen together: VSRD's instance groups, targets and sources (published name R50-N16-M128-B16).

An instance counts in a frame if its class is wanted and its mask is large enough. A target's candidates are the frames
around it, up to the first one on either side that shows too few of its instances. Targets that show the same instances
form one instance group; its middle target is optimised, and the labels serve them all.

Shapes: F readable frames, in positions 0 .. F - 1; frame numbers may have gaps. R index rows of instances.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vsrd_ray.data.groups import InstanceGroupPlan
from vsrd_ray.data.index import SIDES, is_any_of, readable_frames
from vsrd_ray.labelers.vsrd.config import GroupingSettings


@dataclass(frozen=True, eq=False)
class InstanceGroup:
    """Targets in which exactly the same instances count."""

    instance_ids: tuple[int, ...]  # ascending
    frames: tuple[int, ...]  # the targets, ascending
    target_frame: int  # the middle one of them, which is optimised
    around: np.ndarray  # [C + 1] ascending; frames that can be sources of that target, and the target itself

    @property
    def candidates(self) -> tuple[int, ...]:
        """[C] ascending; frames that can be sources of the target."""
        return tuple(self.around[self.around != self.target_frame].tolist())


def instance_groups(index: pa.Table, settings: GroupingSettings, classes: Iterable[str]) -> list[InstanceGroup]:
    """The instance groups of a sequence, in the order of their first targets.

    Args:
        index: rows of `vsrd_ray.data.index.INDEX_SCHEMA`, all frames of one sequence.
        settings: what makes an instance count, and how many frames have to show it.
        classes: names of the classes that count.
    """
    counting = _counting_instances(index, settings, classes)
    frames = np.array(sorted(counting), dtype=np.int64)
    members: dict[tuple[int, ...], list[int]] = defaultdict(list)
    candidates: dict[int, tuple[int, int]] = {}
    for position, (first, last) in _candidate_ranges(counting, frames, settings.min_shared):
        if last - first >= settings.num_sources:
            candidates[position] = (first, last)
            members[counting[int(frames[position])]].append(position)
    groups = []
    for instance_ids, positions in members.items():
        middle = positions[len(positions) // 2]
        first, last = candidates[middle]
        groups.append(
            InstanceGroup(
                instance_ids=instance_ids,
                frames=tuple(frames[positions].tolist()),
                target_frame=int(frames[middle]),
                around=frames[first : last + 1],  # a view: where a car waits, every group has all frames around it
            )
        )
    return groups


def plan_groups(
    index: pa.Table, *, sequence: str, camera: str, settings: GroupingSettings, classes: Iterable[str]
) -> list[InstanceGroupPlan]:
    """Plans of a sequence's frame groups, in the order of `instance_groups`.

    The candidates of each group's target are split into `num_sources` runs of nearly equal length, and the middle
    frame of each run is a source. Every instance is fitted in all of the group's frames.
    """
    return [
        _group_plan(group, sequence=sequence, camera=camera, num_sources=settings.num_sources)
        for group in instance_groups(index, settings, classes)
    ]


def _group_plan(group: InstanceGroup, *, sequence: str, camera: str, num_sources: int) -> InstanceGroupPlan:
    sources = choose_sources(group.around[group.around != group.target_frame], num_sources)
    num_instances = len(group.instance_ids)
    return InstanceGroupPlan(
        group_id=f"{sequence}-{camera}-{group.target_frame:010d}",
        sequence=sequence,
        camera=camera,
        target_frame=group.target_frame,
        source_frames=sources,
        label_frames=group.frames,
        instance_ids=group.instance_ids,
        instance_views=(tuple(sorted((group.target_frame, *sources))),) * num_instances,
        best_frames=(group.target_frame,) * num_instances,
    )


def choose_sources(candidates: Sequence[int] | np.ndarray, num_sources: int) -> tuple[int, ...]:
    """The middle frame (position length // 2) of each of `num_sources` nearly equal runs of ascending candidates."""
    runs = np.array_split(np.array(candidates, dtype=np.int64), num_sources)
    return tuple(int(run[len(run) // 2]) for run in runs)


def is_counting(rows: pa.Table, settings: GroupingSettings) -> np.ndarray:
    """Whether the mask of each index row of an instance, [R] bool, is large enough for the instance to count there."""
    return (rows["area"].to_numpy() >= settings.min_area) & (smaller_sides(rows) >= settings.min_box_side)


def smaller_sides(rows: pa.Table) -> np.ndarray:
    """The smaller side [R] of the mask box of each index row of an instance: px from its first to its last pixel."""
    left, top, right, bottom = (rows[f"box_{side}"].to_numpy() for side in SIDES)
    return np.minimum(right - left, bottom - top)


def _counting_instances(
    index: pa.Table, settings: GroupingSettings, classes: Iterable[str]
) -> dict[int, tuple[int, ...]]:
    """For every readable frame the ids, ascending, of the instances that count in it."""
    rows = index.filter(is_any_of(index["class_name"], classes))
    rows = rows.filter(pa.array(is_counting(rows, settings)))
    counting: dict[int, list[int]] = {frame: [] for frame in readable_frames(index)}
    for frame, instance_id in zip(rows["frame"].to_pylist(), rows["instance_id"].to_pylist(), strict=True):
        counting[frame].append(instance_id)
    return {frame: tuple(sorted(ids)) for frame, ids in counting.items()}


def _candidate_ranges(
    counting: dict[int, tuple[int, ...]], frames: np.ndarray, min_shared: float
) -> Iterator[tuple[int, tuple[int, int]]]:
    """For each position with instances, the first and last position of the run around it that shows enough of them."""
    positions_of: dict[int, list[int]] = defaultdict(list)
    for position, frame in enumerate(frames.tolist()):
        for instance_id in counting[frame]:
            positions_of[instance_id].append(position)
    shown_at = {instance_id: np.array(positions) for instance_id, positions in positions_of.items()}
    runs: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}  # first and last positions of runs, by instances
    for position, frame in enumerate(frames.tolist()):
        ids = counting[frame]
        if not ids:
            continue
        if ids not in runs:
            shown = np.concatenate([shown_at[number] for number in ids])
            shares = np.bincount(shown - shown.min()) / len(ids)
            enough = shown.min() + np.flatnonzero(shares >= min_shared) if min_shared else np.arange(len(frames))
            runs[ids] = _runs(enough)
        firsts, lasts = runs[ids]
        k = int(np.searchsorted(firsts, position, side="right")) - 1
        yield position, (int(firsts[k]), int(lasts[k]))


def _runs(
    positions: np.ndarray,  # ascending
) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last of every run of neighbouring positions."""
    ends = np.flatnonzero(np.diff(positions) > 1)
    return positions[np.concatenate([[0], ends + 1])], positions[np.concatenate([ends, [len(positions) - 1]])]
