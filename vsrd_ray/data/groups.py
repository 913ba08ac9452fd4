"""Frame groups: what is planned, sent to workers, and labelled together.

Shapes: V views, N instances, F labelled frames, R index rows, H x W pixels.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import MASKS, Drive, View
from vsrd_ray.data.index import SIDES
from vsrd_ray.errors import InputError
from vsrd_ray.storage import plain_name

_COMPACTED = re.compile(r".*-part\d{5,}")  # how files of many groups are named
_GROUP_ID = re.compile(r"[^/\\\0.][^/\\\0]*")


@dataclass(frozen=True)
class GroupPlan:
    """A frame group by numbers alone: what is planned, sent around and recorded before any pixel is read.

    Planners whose labelers need to know more of a group derive a frozen dataclass of their own.
    """

    group_id: str  # unique in a run, usable as a file name, and begins with the name of the drive and a dash
    sequence: str  # name of the drive
    camera: str  # of the target; all views are of it unless a planner says otherwise
    target_frame: int
    source_frames: tuple[int, ...]  # ascending, without the target
    label_frames: tuple[int, ...]  # ascending; the frames that the group's labels are written for
    instance_ids: tuple[int, ...] = ()  # [N] ascending; of a group that is about instances of masks

    @property
    def view_frames(self) -> tuple[int, ...]:
        """Frames [V] of the group's views: the target first, then the sources."""
        return (self.target_frame, *self.source_frames)

    @property
    def read_frames(self) -> tuple[int, ...]:
        """Frames whose poses and layers the group's task holds; planners that read other sensors' frames add them."""
        return (*self.view_frames, *self.label_frames)


@dataclass(frozen=True, kw_only=True)
class InstanceGroupPlan(GroupPlan):
    """A group of frames around some instances of their masks."""

    instance_views: tuple[tuple[int, ...], ...]  # [N] the frames, ascending, in which each instance is fitted
    best_frames: tuple[int, ...]  # [N] the frame with the best view of each instance
    # [N] frames, ascending, without a mask of each instance: in which it may be visible all the same, and others around
    # its own, in which it ought to be if it exists. Empty where nobody asks; all of them are label frames.
    gap_frames: tuple[tuple[int, ...], ...] = ()
    watched_frames: tuple[tuple[int, ...], ...] = ()


def of_instances(plan: GroupPlan) -> InstanceGroupPlan:
    """The same plan, which is one of instances.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(plan, InstanceGroupPlan):
        raise TypeError(f"group {plan.group_id} is not planned around instances of masks: expected InstanceGroupPlan")
    return plan


Plan = TypeVar("Plan", bound=GroupPlan)


def check_plans(plans: Iterable[Plan], *, drive: str) -> tuple[Plan, ...]:
    """The plans of a drive's groups, whose ids can be names of files, and tell whose they are.

    Raises:
        InputError: a drive whose name cannot; or a mistake of the planner, an id that cannot, or that two groups or a
            file of many groups have.
    """
    plain_name(drive, what="sequence")
    plans, seen = tuple(plans), set[str]()
    for plan in plans:
        is_name = _GROUP_ID.fullmatch(plan.group_id) and not _COMPACTED.fullmatch(plan.group_id)
        if not is_name or not plan.group_id.startswith(f"{drive}-"):
            raise InputError(f"group id {plan.group_id!r}: expected a plain file name that begins with '{drive}-'")
        if plan.group_id in seen:
            raise InputError(f"group id {plan.group_id!r}: two groups have it; a planner must give each its own")
        seen.add(plan.group_id)
    return plans


@dataclass(frozen=True)
class LabelFrame:
    """A frame that gets labels, with what the index knows of the group's instances there."""

    view: View
    mask_boxes_xyxy: np.ndarray  # [N, 4] float64, pixels, last pixel included; NaN where an instance is not visible
    mask_areas: np.ndarray  # [N] int64, pixels; 0 where an instance is not visible


@dataclass(frozen=True)
class GroupFrames:
    """A frame group without its pixels."""

    plan: GroupPlan
    class_names: tuple[str, ...]  # [N], in the order of plan.instance_ids
    views: tuple[View, ...]  # [V], the target first, then the sources
    label_frames: tuple[LabelFrame, ...]  # [F], in the order of plan.label_frames


@dataclass(frozen=True)
class FrameGroup(GroupFrames):
    """A frame group whose pixels can be read, for a labeler to prepare."""

    drive: Drive  # with the frames of the group alone
    read: Callable[[str, str, int], np.ndarray]  # layer, sensor and frame; see `Drive.read`

    @cached_property
    def instance_maps(self) -> np.ndarray:
        """Instance maps [V, H, W] uint16 of the group's views.

        Raises:
            InputError: a mask that was readable when the index was made, and no longer is.
        """
        width, height = self.views[0].image_size
        maps = np.empty((len(self.views), height, width), dtype=np.uint16)
        for instance_map, view in zip(maps, self.views, strict=True):
            instance_map[...] = self.read(MASKS, view.camera, view.frame)
        return maps


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
    drive: Drive  # where the pixels are, with the poses of the group's frames alone
    sightings: Sightings

    def __repr__(self) -> str:
        plan = self.plan
        return f"<GroupTask {plan.group_id}: {len(plan.view_frames)} views, {len(plan.instance_ids)} instances>"

    def group(self) -> FrameGroup:
        """The group, ready to read the pixels of its views."""
        plan, drive = self.plan, self.drive
        return FrameGroup(
            plan=plan,
            class_names=tuple(drive.classes.name_of(instance_id) for instance_id in plan.instance_ids),
            views=tuple(drive.view(frame, plan.camera) for frame in plan.view_frames),
            label_frames=_label_frames(self),
            drive=drive,
            read=drive.read,
        )


class GroupTasks:
    """The tasks of a drive's groups: its index is sorted once, so that each task costs only what its group has."""

    def __init__(self, drive: Drive, index: pa.Table) -> None:
        """Sort the index by instance.

        Args:
            drive: the drive that the plans are made of.
            index: rows of `vsrd_ray.data.index.INDEX_SCHEMA` that cover at least the labelled frames.
        """
        rows = index.filter(index["instance_id"].is_valid())
        rows = rows.sort_by([("instance_id", "ascending"), ("frame", "ascending")])
        self._drive = drive
        self._instance_ids = rows["instance_id"].to_numpy()
        self._frames = rows["frame"].to_numpy()
        self._mask_boxes_xyxy = np.stack([rows[f"box_{side}"].to_numpy() for side in SIDES], axis=-1)
        self._mask_areas = rows["area"].to_numpy()

    def task(self, plan: GroupPlan) -> GroupTask:
        """The group as far as it is known without its pixels."""
        return GroupTask(plan=plan, drive=self._drive.part(plan.read_frames), sightings=self._sightings(plan))

    def _sightings(self, plan: GroupPlan) -> Sightings:
        first = np.searchsorted(self._instance_ids, plan.instance_ids, side="left")
        last = np.searchsorted(self._instance_ids, plan.instance_ids, side="right")
        spans = [np.arange(*ends) for ends in zip(first, last, strict=True)]
        rows = np.concatenate([np.empty(0, dtype=np.int64), *spans])
        instances = np.repeat(np.arange(len(plan.instance_ids), dtype=np.int32), last - first)
        is_labelled = np.isin(self._frames[rows], plan.label_frames)
        rows, instances = rows[is_labelled], instances[is_labelled]
        return Sightings(
            label_frames=np.searchsorted(plan.label_frames, self._frames[rows]).astype(np.int32),
            instances=instances,
            mask_boxes_xyxy=self._mask_boxes_xyxy[rows],
            mask_areas=self._mask_areas[rows],
        )


def _label_frames(task: GroupTask) -> tuple[LabelFrame, ...]:
    plan, sightings = task.plan, task.sightings
    shape = (len(plan.label_frames), len(plan.instance_ids))
    boxes = np.full((*shape, 4), np.nan)
    areas = np.zeros(shape, dtype=np.int64)
    boxes[sightings.label_frames, sightings.instances] = sightings.mask_boxes_xyxy
    areas[sightings.label_frames, sightings.instances] = sightings.mask_areas
    return tuple(
        LabelFrame(view=task.drive.view(frame, plan.camera), mask_boxes_xyxy=boxes[f], mask_areas=areas[f])
        for f, frame in enumerate(plan.label_frames)
    )
