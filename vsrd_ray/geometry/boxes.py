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


def from_corners_world(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres [..., 3], dimensions_lwh [..., 3] and yaws [...] of upright boxes from their corners [..., 8, 3]."""
    corners = np.asarray(corners, dtype=np.float64)
    front = corners[..., [0, 1, 4, 5], :].mean(axis=-2)
    rear = corners[..., [2, 3, 6, 7], :].mean(axis=-2)
    left = corners[..., [0, 3, 4, 7], :].mean(axis=-2)
    right = corners[..., [1, 2, 5, 6], :].mean(axis=-2)
    top, bottom = corners[..., :4, :].mean(axis=-2), corners[..., 4:, :].mean(axis=-2)
    axes = np.stack([front - rear, left - right, top - bottom], axis=-2)
    yaws = np.arctan2(axes[..., 0, 1], axes[..., 0, 0])
    return corners.mean(axis=-2), np.linalg.norm(axes, axis=-1), yaws


def to_kitti_camera(
    centers: np.ndarray,  # [..., 3] metres, world
    dimensions_lwh: np.ndarray,  # [..., 3] metres
    yaws: np.ndarray,  # [...] radians about the world's z
    T_cam_world: np.ndarray,  # [4, 4]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes as KITTI has them: bottom centres [..., 3] (camera frame, y down), rotation_y [...] and alpha [...].

    The bottom centre lies half a height below the centre along the camera's y, and rotation_y is the heading's angle in
    the camera's x-z plane (0 facing +x, in [-pi, pi)), whatever small tilt the camera has (VSRD, label export).
    """
    R, t = T_cam_world[:3, :3], T_cam_world[:3, 3]
    centers_cam = np.asarray(centers, dtype=np.float64) @ R.T + t
    zeros = np.zeros_like(np.asarray(yaws, dtype=np.float64))
    forward = np.stack([np.cos(yaws), np.sin(yaws), zeros], axis=-1) @ R.T
    rotation_y = wrap_angle(np.arctan2(forward[..., 0], forward[..., 2]) - np.pi / 2)
    bottoms = centers_cam.copy()
    bottoms[..., 1] += np.asarray(dimensions_lwh)[..., 2] / 2
    alpha = wrap_angle(rotation_y - np.arctan2(bottoms[..., 0], bottoms[..., 2]))
    return bottoms, rotation_y, alpha
