"""From the plan of a frame group to the group with its pixels.

In two steps: what the plan, the poses and the index say is small and can be sent around; pixels are read where the
group is prepared. Shapes: R index rows, N instances, F labelled frames, V views, H x W pixels.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vsrd_ray.data.groups import FrameGroup, GroupPlan, LabelFrame, Sequence
from vsrd_ray.data.index import SIDES
from vsrd_ray.datasets.kitti360.instances import class_name, read_instance_map


@dataclass(frozen=True)
class Sightings:
    """Rows of an index that show a group's instances in its labelled frames."""

    label_frames: np.ndarray  # [R] int32, places in plan.label_frames
    instances: np.ndarray  # [R] int32, places in plan.instance_ids
    mask_boxes_xyxy: np.ndarray  # [R, 4] int32 px, last pixel included
    mask_areas: np.ndarray  # [R] int32 px


@dataclass(frozen=True)
class GroupTask:
    """A frame group with everything but its pixels."""

    plan: GroupPlan
    sequence: Sequence  # where the pixels are, with the poses of the group's frames alone
    sightings: Sightings


class GroupTasks:
    """The tasks of a sequence's groups: its index is sorted once, so that each task costs only what its group has."""

    def __init__(self, sequence: Sequence, index: pa.Table) -> None:
        """Sort the index by instance.

        Args:
            sequence: the sequence that the plans are made of.
            index: rows of `vsrd_ray.data.index.INDEX_SCHEMA` that cover at least the labelled frames.
        """
        rows = index.filter(index["instance_id"].is_valid())
        rows = rows.sort_by([("instance_id", "ascending"), ("frame", "ascending")])
        self._sequence = sequence
        self._instance_ids = rows["instance_id"].to_numpy()
        self._frames = rows["frame"].to_numpy()
        self._mask_boxes_xyxy = np.stack([rows[f"box_{side}"].to_numpy() for side in SIDES], axis=-1)
        self._mask_areas = rows["area"].to_numpy()

    def task(self, plan: GroupPlan) -> GroupTask:
        """The group as far as it is known without its pixels."""
        frames = {plan.target_frame, *plan.source_frames, *plan.label_frames}
        return GroupTask(plan=plan, sequence=self._sequence.part(frames), sightings=self._sightings(plan))

    def _sightings(self, plan: GroupPlan) -> Sightings:
        first = np.searchsorted(self._instance_ids, plan.instance_ids, side="left")
        last = np.searchsorted(self._instance_ids, plan.instance_ids, side="right")
        rows = np.concatenate([np.arange(*ends) for ends in zip(first, last, strict=True)])
        instances = np.repeat(np.arange(len(plan.instance_ids), dtype=np.int32), last - first)
        is_labelled = np.isin(self._frames[rows], plan.label_frames)
        rows, instances = rows[is_labelled], instances[is_labelled]
        return Sightings(
            label_frames=np.searchsorted(plan.label_frames, self._frames[rows]).astype(np.int32),
            instances=instances,
            mask_boxes_xyxy=self._mask_boxes_xyxy[rows],
            mask_areas=self._mask_areas[rows],
        )


def load_group(task: GroupTask) -> FrameGroup:
    """The group with the instance maps of its views.

    Raises:
        InputError: a mask that was readable when the index was made, and no longer is.
    """
    frames = (task.plan.target_frame, *task.plan.source_frames)
    width, height = task.sequence.image_size
    instance_maps = np.empty((len(frames), height, width), dtype=np.uint16)
    for instance_map, frame in zip(instance_maps, frames, strict=True):
        instance_map[...] = read_instance_map(task.sequence, frame)
    return FrameGroup(
        plan=task.plan,
        class_names=tuple(class_name(instance_id) for instance_id in task.plan.instance_ids),
        views=tuple(task.sequence.view(frame) for frame in frames),
        label_frames=_label_frames(task),
        instance_maps=instance_maps,
    )


def _label_frames(task: GroupTask) -> tuple[LabelFrame, ...]:
    plan, sightings = task.plan, task.sightings
    shape = (len(plan.label_frames), len(plan.instance_ids))
    boxes = np.full((*shape, 4), np.nan)
    areas = np.zeros(shape, dtype=np.int64)
    boxes[sightings.label_frames, sightings.instances] = sightings.mask_boxes_xyxy
    areas[sightings.label_frames, sightings.instances] = sightings.mask_areas
    return tuple(
        LabelFrame(view=task.sequence.view(frame), mask_boxes_xyxy=boxes[f], mask_areas=areas[f])
        for f, frame in enumerate(plan.label_frames)
    )
