"""What a labeler finds, before it is written down for every frame."""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.geometry.boxes import UprightBoxes


@dataclass(frozen=True)
class Motion:
    """Where an object that moves is, frame by frame."""

    frames: np.ndarray  # [F] int, ascending: every frame that the group labels the object in
    boxes: UprightBoxes  # [F], in the world; their yaws are in [-pi, pi)
    velocities: np.ndarray  # [F, 2] of the centre along the world's x and y, m/s (per frame in drives without times)
    confidences: np.ndarray | None = None  # [F] 0..1, of the boxes; None: that of the fit in all frames

    def at(self, frame: int) -> tuple[UprightBoxes, np.ndarray]:
        """The box in a frame, without batch axes, and the velocity [2] of its centre.

        Raises:
            ValueError: the motion has no such frame.
        """
        place = self.place(frame)
        return self.boxes[place], self.velocities[place]

    def place(self, frame: int) -> int:
        """Where a frame is among its own.

        Raises:
            ValueError: the motion has no such frame.
        """
        place = int(np.searchsorted(self.frames, frame))
        if not np.array_equal(self.frames[place : place + 1], [frame]):
            raise ValueError(f"the motion has no frame {frame}, only {self.frames.tolist()}")
        return place


@dataclass(frozen=True)
class BoxFit:
    """One instance's box, as fitted in a group; it serves every frame that the group labels, unless there is a motion.

    An id that stands for several objects has a fit for each of them, in frames of its own.

    Raises:
        ValueError: there is a motion, but the object is said to stand.
    """

    instance_id: int
    class_name: str
    box: (
        UprightBoxes  # one, without batch axes, in the world; its yaw is in [-pi, pi). With a motion: of the best frame
    )
    confidence: float  # 0..1, over all frames
    mean_iou_2d: float  # mean over the labelled frames of the IoU of projected box and mask box
    num_views: int  # views of the group that show the instance
    bearing_spread_deg: float  # largest angle at the box between two of those views
    silhouette_loss: float  # this instance's part of the silhouette loss at the end
    is_moving: bool
    shape: tuple[float, ...] | None = None  # latents of the labeler's shape prior, where it has one
    motion: Motion | None = None  # of an object that moves, where the labeler has fitted one
    track_id: int | None = None  # that all fits of one object have; None: the instance's own
    span: tuple[int, int] | None = None  # first and last frame that it is for; None: all
    unseen_frames: tuple[int, ...] = ()  # without a mask, in which the object ought to be visible all the same

    def __post_init__(self) -> None:
        if self.motion is not None and not self.is_moving:
            raise ValueError(f"instance {self.instance_id} has a motion, but is_moving is False")

    def covers(self, frame: int) -> bool:
        """Whether it is for a frame."""
        return self.span is None or self.span[0] <= frame <= self.span[1]

    def at(self, frame: int) -> tuple[UprightBoxes, tuple[float | None, float | None]]:
        """The box in a frame, and the velocity of its centre: 0 where it stands, None where it is not known.

        Raises:
            ValueError: the motion has no such frame.
        """
        if self.motion is None:
            return self.box, (None, None) if self.is_moving else (0.0, 0.0)
        box, (x, y) = self.motion.at(frame)
        return box, (float(x), float(y))

    def confidence_at(self, frame: int) -> float:
        """The confidence of its box in a frame.

        Raises:
            ValueError: the motion has no such frame.
        """
        if self.motion is None or self.motion.confidences is None:
            return self.confidence
        return float(self.motion.confidences[self.motion.place(frame)])
