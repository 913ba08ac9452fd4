"""The way of a group's camera, and motions along it in the world."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.data.groups import FrameGroup, GroupFrames
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.labelers.vsrd.confidence import confidences_by_range
from vsrd_ray.labelers.vsrd.movers import Motions
from vsrd_ray.labelers.vsrd.observations import SECONDS_A_FRAME, has_times, seconds_of
from vsrd_ray.labels.boxes.fits import Motion


@dataclass(frozen=True)
class Way:
    """Where the camera was, and when."""

    positions_ref: np.ndarray  # [C, 3] metres, in the order of frames
    frames: np.ndarray  # [F] of the group's labels
    times: np.ndarray  # [F] s, of the same
    seconds: float  # that a unit of the velocities' time is long: 1, or a frame where the dataset has no times

    @staticmethod
    def of(group: FrameGroup, T_world_ref: np.ndarray) -> "Way":
        """The way of a group's camera."""
        poses, seconds = group.drive.cameras[group.plan.camera].T_world_cam, seconds_of(group)
        frames = [frame.view.frame for frame in group.label_frames]
        shown = {frame.view.frame for frame in group.label_frames if frame.mask_areas.any()}
        positions = np.stack([poses[frame][:3, 3] for frame in sorted(shown.union(group.plan.view_frames))])
        return Way(
            positions_ref=rigid.apply(rigid.inverse(T_world_ref), positions),
            frames=np.array(frames),
            times=np.array([seconds[frame] for frame in frames]),
            seconds=1.0 if has_times(group) else SECONDS_A_FRAME,
        )

    def motion(self, motions: Motions, place: int, T_world_ref: np.ndarray) -> Motion:
        """The motion of one body over all labelled frames."""
        centers, yaws, velocities = motions.at(place, self.times)
        half_extents = motions.fit.half_extents[place].double().numpy()
        ahead = np.stack([np.sin(yaws), np.zeros_like(yaws), np.cos(yaws)], axis=-1)
        return Motion(
            frames=self.frames,
            boxes=in_world(T_world_ref, centers, np.repeat(half_extents[None], len(yaws), axis=0), ahead),
            velocities=(velocities @ T_world_ref[:3, :3].T)[:, :2] * self.seconds,
        )


def with_confidences(motion: Motion, confidence: float, group: GroupFrames, rows: Sequence[int]) -> Motion:
    """A motion over a group's labelled frames with a confidence in each, by that over those that show its masks.

    Args:
        motion: of one object.
        confidence: over the frames that show it.
        group: where it was fitted.
        rows: its instances in the group.
    """
    cameras = np.stack([frame.view.T_world_cam[:3, 3] for frame in group.label_frames])
    ranges = np.linalg.norm((motion.boxes.centers - cameras)[:, :2], axis=-1)
    shown = np.array([frame.mask_areas[list(rows)].any() for frame in group.label_frames])
    return replace(motion, confidences=confidences_by_range(confidence, ranges, shown))


def in_world(
    T_world_ref: np.ndarray,  # [4, 4]
    locations: np.ndarray,  # [N, 3] metres
    half_extents: np.ndarray,  # [N, 3] metres: half of width, height, length
    ahead: np.ndarray,  # [N, 3] unit vectors along their lengths
) -> UprightBoxes:
    """Boxes [N] of the reference frame in the world."""
    forward = ahead @ T_world_ref[:3, :3].T
    yaws = wrap_angle(np.arctan2(forward[:, 1], forward[:, 0]))
    return UprightBoxes(rigid.apply(T_world_ref, locations), 2 * half_extents[:, [2, 0, 1]], yaws)
