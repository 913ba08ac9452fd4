"""From the plan of a frame group to the group with its pixels.

In two steps: what the plan, the poses and the index say is small and can be sent around; pixels are read where the
group is labelled.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vsrd_ray.data.frames import FrameGroup, GroupPlan, LabelFrame, Sequence
from vsrd_ray.data.index import SIDES, is_any_of
from vsrd_ray.data.kitti360.instances import class_name, read_instance_map


@dataclass(frozen=True)
class GroupTask:
    """A frame group with everything but its pixels."""

    plan: GroupPlan
    sequence: Sequence  # where the pixels are, with the poses of the group's frames alone
    label_frames: tuple[LabelFrame, ...]  # [F], in the order of plan.label_frames


def group_task(sequence: Sequence, plan: GroupPlan, index: pa.Table) -> GroupTask:
    """The group as far as it is known without its pixels.

    Args:
        sequence: the sequence that the plan was made of.
        plan: target, sources and labelled frames.
        index: rows of `vsrd_ray.data.index.INDEX_SCHEMA` that cover at least the labelled frames.
    """
    frames = {plan.target_frame, *plan.source_frames, *plan.label_frames}
    return GroupTask(plan=plan, sequence=sequence.part(frames), label_frames=_label_frames(sequence, plan, index))


def load_group(task: GroupTask) -> FrameGroup:
    """The group with the instance maps of its views.

    Raises:
        InputError: a mask that was readable when the index was made, and no longer is.
    """
    frames = (task.plan.target_frame, *task.plan.source_frames)
    return FrameGroup(
        plan=task.plan,
        class_names=tuple(class_name(instance_id) for instance_id in task.plan.instance_ids),
        views=tuple(task.sequence.view(frame) for frame in frames),
        instance_maps=np.stack([read_instance_map(task.sequence, frame) for frame in frames]),
        label_frames=task.label_frames,
    )


def _label_frames(sequence: Sequence, plan: GroupPlan, index: pa.Table) -> tuple[LabelFrame, ...]:
    rows = index.filter(is_any_of(index["frame"], plan.label_frames))
    rows = rows.filter(is_any_of(rows["instance_id"], plan.instance_ids))
    f = np.searchsorted(plan.label_frames, rows["frame"].to_numpy())
    n = np.searchsorted(plan.instance_ids, rows["instance_id"].to_numpy())
    shape = (len(plan.label_frames), len(plan.instance_ids))
    boxes = np.full((*shape, 4), np.nan)
    areas = np.zeros(shape, dtype=np.int64)
    boxes[f, n] = np.stack([rows[f"box_{side}"].to_numpy() for side in SIDES], axis=-1)
    areas[f, n] = rows["area"].to_numpy()
    return tuple(
        LabelFrame(view=sequence.view(frame), mask_boxes_xyxy=boxes[i], mask_areas=areas[i])
        for i, frame in enumerate(plan.label_frames)
    )
