"""The one box codec: what a yawed box is, and how its corners are ordered.

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

import numpy as np

from vsrd_ray.geometry import rigid

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


def corners_world(
    centers: np.ndarray,  # [..., 3] metres, world
    dimensions_lwh: np.ndarray,  # [..., 3] metres, full extents
    yaws: np.ndarray,  # [...] radians about the world's z
) -> np.ndarray:
    """Corners of upright boxes, [..., 8, 3] metres in the world, in the order drawn above."""
    centers = np.asarray(centers, dtype=np.float64)
    half = np.asarray(dimensions_lwh, dtype=np.float64)[..., None, :] / 2
    cos, sin = np.cos(yaws)[..., None], np.sin(yaws)[..., None]
    local = CORNER_SIGNS_FLU * half
    x = cos * local[..., 0] - sin * local[..., 1]
    y = sin * local[..., 0] + cos * local[..., 1]
    return np.stack([x, y, local[..., 2]], axis=-1) + centers[..., None, :]


def to_kitti_camera(
    centers: np.ndarray,  # [..., 3] metres, world
    dimensions_lwh: np.ndarray,  # [..., 3] metres
    yaws: np.ndarray,  # [...] radians about the world's z
    T_cam_world: np.ndarray,  # [4, 4], or [..., 4, 4] where boxes have cameras of their own
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes as KITTI has them: bottom centres [..., 3] (camera frame, y down), rotation_y [...] and alpha [...].

    The bottom centre lies half a height below the centre along the camera's y, and rotation_y is the heading's angle in
    the camera's x-z plane (0 facing +x, in [-pi, pi)), whatever small tilt the camera has (VSRD, label export).
    """
    centers_cam = rigid.apply(T_cam_world, np.asarray(centers, dtype=np.float64)[..., None, :])[..., 0, :]
    zeros = np.zeros_like(np.asarray(yaws, dtype=np.float64))
    ahead = np.stack([np.cos(yaws), np.sin(yaws), zeros], axis=-1)
    forward = (T_cam_world[..., :3, :3] @ ahead[..., None])[..., 0]
    rotation_y = wrap_angle(np.arctan2(forward[..., 0], forward[..., 2]) - np.pi / 2)
    bottoms = centers_cam.copy()
    bottoms[..., 1] += np.asarray(dimensions_lwh)[..., 2] / 2
    alpha = wrap_angle(rotation_y - np.arctan2(bottoms[..., 0], bottoms[..., 2]))
    return bottoms, rotation_y, alpha


def from_kitti_camera(
    bottoms: np.ndarray,  # [..., 3] metres, camera
    dimensions_lwh: np.ndarray,  # [..., 3] metres
    rotation_y: np.ndarray,  # [...] radians
    T_world_cam: np.ndarray,  # [4, 4]
) -> tuple[np.ndarray, np.ndarray]:
    """Centres [..., 3] metres and yaws [...] radians in the world, of boxes as KITTI has them.

    The inverse of `to_kitti_camera`, for any camera that does not look along the vertical.
    """
    R, t = T_world_cam[:3, :3], T_world_cam[:3, 3]
    centers_cam = np.array(bottoms, dtype=np.float64)
    centers_cam[..., 1] -= np.asarray(dimensions_lwh)[..., 2] / 2
    # The camera's x and z of the heading (cos yaw, sin yaw, 0) are in the proportion cos rotation_y : -sin rotation_y.
    heading_cam = np.stack([np.cos(rotation_y), -np.sin(rotation_y)], axis=-1)
    heading = heading_cam @ np.linalg.inv(R[:2, [0, 2]].T).T
    return centers_cam @ R.T + t, wrap_angle(np.arctan2(heading[..., 1], heading[..., 0]))
