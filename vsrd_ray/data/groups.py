"""What a labeler works on: views of one camera, and groups of them.

Shapes: V views, N instances, F labelled frames, H x W pixels. `T_a_b` maps coordinates of b into a.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.storage import Location


@dataclass(frozen=True)
class View:
    """One frame of one camera, without its pixels."""

    frame: int  # frame number in its sequence
    K: np.ndarray  # [3, 3] float64, pixels; a pixel (u, v) names its centre
    T_world_cam: np.ndarray  # [4, 4] float64, metres
    image_size: tuple[int, int]  # (width, height), pixels


@dataclass(frozen=True)
class GroupPlan:
    """A frame group by numbers alone: what is planned, sent around and recorded before any pixel is read."""

    group_id: str  # unique in a run, usable as a file name
    sequence: str
    camera: str
    target_frame: int
    source_frames: tuple[int, ...]  # ascending, without the target
    label_frames: tuple[int, ...]  # ascending; the frames that the group's boxes are written for
    instance_ids: tuple[int, ...]  # [N] ascending; semantic id * 1000 + instance id
    instance_views: tuple[tuple[int, ...], ...]  # [N] the frames, ascending, in which each instance is fitted
    best_frames: tuple[int, ...]  # [N] the frame with the best view of each instance


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
    """A frame group with its pixels, for a labeler to prepare."""

    instance_maps: np.ndarray  # [V, H, W] uint16, semantic id * 1000 + instance id


@dataclass(frozen=True)
class Sequence:
    """A sequence that can be read: its calibration and poses. Pixels are read by frame."""

    root: Location
    name: str
    camera: str
    K: np.ndarray  # [3, 3] float64
    image_size: tuple[int, int]  # (width, height), pixels
    T_world_cam: dict[int, np.ndarray]  # frame -> [4, 4] float64, of this camera
    mask_frames: tuple[int, ...]  # ascending; frames that have a mask file

    def view(self, frame: int) -> View:
        """The view of one frame that has a pose."""
        return View(frame=frame, K=self.K, T_world_cam=self.T_world_cam[frame], image_size=self.image_size)

    def part(self, frames: Iterable[int]) -> "Sequence":
        """The same sequence with the poses and masks of some frames alone: little to send to a worker."""
        wanted = sorted(set(frames))
        return replace(
            self,
            T_world_cam={frame: self.T_world_cam[frame] for frame in wanted if frame in self.T_world_cam},
            mask_frames=tuple(frame for frame in wanted if self._has_mask(frame)),
        )

    def _has_mask(self, frame: int) -> bool:
        place = bisect_left(self.mask_frames, frame)
        return self.mask_frames[place : place + 1] == (frame,)
