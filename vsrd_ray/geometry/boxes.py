"""Upright boxes: what a box is, how its corners are ordered, and how much two of them overlap.

A box stands upright in the world (z up). Its object frame has x forward (length), y left (width) and z up (height);
`yaw` turns it about the world's z, 0 facing +x, counter-clockwise seen from above.

Corner order, seen from above with the front upwards; 0-3 are the top, 4-7 the bottom below them:

        front
      0 ----- 1
      |       |
      |       |      left is 0-3, right is 1-2
      3 ----- 2
        rear

In VSRD's gravity-aligned camera axes (x right, y down, z forward) the same order reads
(-,-,+) (+,-,+) (+,-,-) (-,-,-) (-,+,+) (+,+,+) (+,+,-) (-,+,-).

Shapes: ... any batch axes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.iou import footprint_intersections, over_union

# Signs of the corners in the object frame (x forward, y left, z up).
CORNER_SIGNS_FLU = np.array(
    [[1, 1, 1], [1, -1, 1], [-1, -1, 1], [-1, 1, 1], [1, 1, -1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1]],
    dtype=np.float64,
)
# The same corners with x right, y down, z forward.
CORNER_SIGNS_RDF = np.stack([-CORNER_SIGNS_FLU[:, 1], -CORNER_SIGNS_FLU[:, 2], CORNER_SIGNS_FLU[:, 0]], axis=-1)
# Pairs of corners that are joined by an edge.
EDGES = np.array(
    [[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7]], dtype=np.int64
)


def wrap_angle(angle: np.ndarray | float) -> np.ndarray:
    """The same angle in [-pi, pi), radians."""
    return (np.asarray(angle, dtype=np.float64) + np.pi) % (2 * np.pi) - np.pi


@dataclass(frozen=True)
class UprightBoxes:
    """Boxes of any batch axes, or one box without any, in the world or in another frame whose z points up.

    Boxes are indexed as an array with these axes is: `boxes[3]`, `boxes[mask]`, `boxes[:, None]`.

    Raises:
        ValueError: the arrays have other shapes than those below.
    """

    centers: np.ndarray  # [..., 3] float64, metres
    dimensions_lwh: np.ndarray  # [..., 3] float64, metres, full extents: length, width, height
    yaws: np.ndarray  # [...] float64, radians about z, 0 facing +x

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, np.asarray(getattr(self, field.name), dtype=np.float64))
        shapes = (self.centers.shape, self.dimensions_lwh.shape, self.yaws.shape)
        if shapes != ((*self.shape, 3), (*self.shape, 3), self.shape):
            raise ValueError(f"expected centres [..., 3], dimensions [..., 3] and yaws [...], got shapes {shapes}")

    @staticmethod
    def stack(boxes: Sequence["UprightBoxes"]) -> "UprightBoxes":
        """Single boxes as a list [N]; none give an empty one."""
        return UprightBoxes(
            np.array([box.centers for box in boxes]).reshape(-1, 3),
            np.array([box.dimensions_lwh for box in boxes]).reshape(-1, 3),
            np.array([box.yaws for box in boxes]).reshape(-1),
        )

    @staticmethod
    def concatenate(parts: Sequence["UprightBoxes"]) -> "UprightBoxes":
        """The boxes of several lists, one after the other along the first axis; at least one part."""
        return UprightBoxes(
            np.concatenate([part.centers for part in parts]),
            np.concatenate([part.dimensions_lwh for part in parts]),
            np.concatenate([part.yaws for part in parts]),
        )

    @staticmethod
    def from_kitti_camera(
        bottoms: np.ndarray,  # [..., 3] metres, camera
        dimensions_lwh: np.ndarray,  # [..., 3] metres
        rotation_y: np.ndarray,  # [...] radians
        T_world_cam: np.ndarray,  # [4, 4]
    ) -> "UprightBoxes":
        """Boxes in the world, of boxes as KITTI has them.

        The inverse of `to_kitti_camera`, for any camera that does not look along the vertical.
        """
        R, t = T_world_cam[:3, :3], T_world_cam[:3, 3]
        centers_cam = np.array(bottoms, dtype=np.float64)
        centers_cam[..., 1] -= np.asarray(dimensions_lwh)[..., 2] / 2
        # The camera's x and z of the heading (cos yaw, sin yaw, 0) are as cos rotation_y to -sin rotation_y.
        heading_cam = np.stack([np.cos(rotation_y), -np.sin(rotation_y)], axis=-1)
        heading = heading_cam @ np.linalg.inv(R[:2, [0, 2]].T).T
        yaws = wrap_angle(np.arctan2(heading[..., 1], heading[..., 0]))
        return UprightBoxes(centers_cam @ R.T + t, dimensions_lwh, yaws)

    @property
    def shape(self) -> tuple[int, ...]:
        """The batch axes."""
        return self.yaws.shape

    def __len__(self) -> int:
        return len(self.yaws)

    def __iter__(self) -> Iterator["UprightBoxes"]:
        return (self[n] for n in range(len(self)))

    def __getitem__(self, chosen: Any) -> "UprightBoxes":
        return UprightBoxes(self.centers[chosen], self.dimensions_lwh[chosen], self.yaws[chosen])

    def corners(self) -> np.ndarray:
        """Corners [..., 8, 3] metres in the boxes' own frame, in the order drawn above."""
        half = self.dimensions_lwh[..., None, :] / 2
        cos, sin = np.cos(self.yaws)[..., None], np.sin(self.yaws)[..., None]
        local = CORNER_SIGNS_FLU * half
        x = cos * local[..., 0] - sin * local[..., 1]
        y = sin * local[..., 0] + cos * local[..., 1]
        return np.stack([x, y, local[..., 2]], axis=-1) + self.centers[..., None, :]

    def quaternions(self) -> np.ndarray:
        """Headings as unit quaternions [..., 4], x y z w."""
        half, zeros = self.yaws / 2, np.zeros_like(self.yaws)
        return np.stack([zeros, zeros, np.sin(half), np.cos(half)], axis=-1)

    def to_kitti_camera(
        self,
        T_cam_world: np.ndarray,  # [4, 4], or [..., 4, 4] where boxes have cameras of their own
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes as KITTI has them: bottom centres [..., 3] (camera, y down), rotation_y [...] and alpha [...].

        The bottom centre lies half a height below the centre along the camera's y. rotation_y is the heading's angle in
        the camera's x-z plane (0 facing +x, in [-pi, pi)), whatever small tilt the camera has (VSRD, label export).
        """
        centers_cam = rigid.apply(T_cam_world, self.centers[..., None, :])[..., 0, :]
        ahead = np.stack([np.cos(self.yaws), np.sin(self.yaws), np.zeros_like(self.yaws)], axis=-1)
        forward = (T_cam_world[..., :3, :3] @ ahead[..., None])[..., 0]
        rotation_y = wrap_angle(np.arctan2(forward[..., 0], forward[..., 2]) - np.pi / 2)
        bottoms = centers_cam.copy()
        bottoms[..., 1] += self.dimensions_lwh[..., 2] / 2
        alpha = wrap_angle(rotation_y - np.arctan2(bottoms[..., 0], bottoms[..., 2]))
        return bottoms, rotation_y, alpha

    def iou(
        self,
        other: "UprightBoxes",  # batch axes that broadcast against these
    ) -> tuple[np.ndarray, np.ndarray]:
        """Exact IoU of each box with the other's, in 3D [...] and bird's-eye view [...], of one frame.

        Each footprint is cut to the other's in that one's own frame, so IoU does not depend on where the pair stands:
        boxes kilometres from the origin lose nothing but the rounding of their own coordinates. Boxes without extent
        have IoU 0.
        """
        offsets = self.centers - other.centers
        batch = offsets.shape[:-1]
        offsets, sizes_a, sizes_b = (
            np.broadcast_to(values, (*batch, 3)).reshape(-1, 3)
            for values in (offsets, self.dimensions_lwh, other.dimensions_lwh)
        )
        yaws_a, yaws_b = (np.broadcast_to(values, batch).reshape(-1) for values in (self.yaws, other.yaws))
        footprints = footprint_intersections(
            offsets[:, :2], sizes_a[:, :2], sizes_b[:, :2], yaws_a=yaws_a, yaws_b=yaws_b
        )
        tops = np.minimum(offsets[:, 2] + sizes_a[:, 2] / 2, sizes_b[:, 2] / 2)
        bottoms = np.maximum(offsets[:, 2] - sizes_a[:, 2] / 2, -sizes_b[:, 2] / 2)
        volumes = footprints * np.clip(tops - bottoms, 0.0, None)
        iou_3d = over_union(volumes, sizes_a.prod(axis=-1), sizes_b.prod(axis=-1))
        iou_bev = over_union(footprints, sizes_a[:, :2].prod(axis=-1), sizes_b[:, :2].prod(axis=-1))
        return iou_3d.reshape(batch), iou_bev.reshape(batch)
