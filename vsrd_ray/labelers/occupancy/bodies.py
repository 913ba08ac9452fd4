"""Boxes around what a frame shows: which of it moved, and how far until the target's time.

Frames: `world` the drive's, `grid` the voxels', `box` a box's own (x forward, y left, z up). Shapes: P points.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vsrd_ray.geometry import rigid

_SLACK = 0.3  # m around a box that still belong to it
_GROUND = 0.1  # m above its bottom, below which points may be of the ground


@dataclass(frozen=True)
class TrackedBox:
    """A box of one frame, as numbers."""

    frame: int
    track: int
    is_moving: bool
    center: tuple[float, float, float]  # m, world
    size: tuple[float, float, float]  # m, length, width, height
    yaw: float  # rad about the world's z

    @property
    def T_world_box(self) -> np.ndarray:  # noqa: N802 - a transform's name
        """Where the box is [4, 4]."""
        T_world_box = np.eye(4)
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        T_world_box[:2, :2], T_world_box[:3, 3] = [[cos, -sin], [sin, cos]], self.center
        return T_world_box


@dataclass(frozen=True)
class Body:
    """What a box holds, in the frame that it was seen in."""

    T_box_grid: np.ndarray  # [4, 4], at the time it was seen
    half: np.ndarray  # [3] m
    stands: bool
    T_moved: np.ndarray | None = None  # [4, 4] that carries it on to the target's time, in the grid; None: unknown


def bodies_of(
    boxes: Iterable[TrackedBox], *, frame: int, target: int, T_world_grid: np.ndarray
) -> tuple[tuple[Body, ...], tuple[Body, ...]]:
    """What boxes hold in a frame, and what of all that moves is where in the target frame.

    Args:
        boxes: of at least these two frames.
        frame: that something was seen in.
        target: whose time the grid has.
        T_world_grid: [4, 4].
    """
    boxes = list(boxes)
    moving = {box.track for box in boxes if box.is_moving}
    at_target = {box.track: box for box in boxes if box.frame == target}
    T_grid_world = rigid.inverse(T_world_grid)
    seen = []
    for box in boxes:
        if box.frame != frame:
            continue
        T_box_grid = rigid.inverse(box.T_world_box) @ T_world_grid
        later, T_moved = at_target.get(box.track), None
        if box.track in moving and later is not None:
            T_moved = T_grid_world @ later.T_world_box @ T_box_grid
        seen.append(Body(T_box_grid, np.array(box.size) / 2, box.track not in moving, T_moved))
    there = tuple(
        Body(rigid.inverse(box.T_world_box) @ T_world_grid, np.array(box.size) / 2, stands=False)
        for track, box in at_target.items()
        if track in moving
    )
    return tuple(seen), there


def owners(points: np.ndarray, bodies: Sequence[Body], slack: np.ndarray | float = 0.0) -> np.ndarray:
    """Number [P] of the body that each point [P, 3] of the grid's frame belongs to; -1 for none.

    Args:
        points: what was seen.
        bodies: of the frame that it was seen in.
        slack: [P] m by which points may be off.
    """
    nearest, owner = np.full(len(points), np.inf), np.full(len(points), -1)
    for number, body in enumerate(bodies):
        local = rigid.apply(body.T_box_grid, points)
        outside = (np.abs(local) - body.half).max(axis=1)
        mine = (outside < _SLACK + slack) & (outside < nearest) & (local[:, 2] > _GROUND - body.half[2])
        nearest[mine], owner[mine] = outside[mine], number
    return owner
