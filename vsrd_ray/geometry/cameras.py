"""Projection of boxes into a pinhole camera (x right, y down, z forward), and 2D boxes.

Shapes: ... any batch axes. Pixels (u, v) name pixel centres.
"""

import numpy as np

from vsrd_ray.geometry.boxes import EDGES
from vsrd_ray.geometry.iou import over_union

# A point in the camera's own plane is given this depth, so that its projection is finite (public code of VSRD).
MIN_DEPTH = 1e-6


def project_boxes(
    corners_cam: np.ndarray,  # [..., 8, 3] metres, in the order of geometry/boxes.py
    K: np.ndarray,  # [..., 3, 3] pixels, without the corner axis
) -> np.ndarray:
    """2D boxes [..., 4] (x1, y1, x2, y2) px that bound the projected edges, not clipped to the image.

    Edges that cross the camera's plane are cut there, so a box that reaches behind the camera projects to what is in
    front of it; a box wholly behind gives zeros. (VSRD, projection loss; rendering/projection.py differentiates it.)
    """
    ends = corners_cam[..., EDGES, :]  # [..., 12, 2, 3]
    depths = ends[..., 2:]
    start, end = ends[..., :1, :], ends[..., 1:, :]
    drop = depths[..., :1, :] - depths[..., 1:, :]
    in_front = depths > 0
    crosses = in_front.any(axis=-2, keepdims=True) & ~in_front.all(axis=-2, keepdims=True)
    cuts = start + depths[..., :1, :] / np.where(crosses, drop, 1.0) * (end - start)
    shown = np.where(in_front, ends, cuts)
    homogeneous = shown @ np.swapaxes(K, -1, -2)[..., None, :, :]
    points = homogeneous[..., :2] / np.maximum(homogeneous[..., 2:], MIN_DEPTH)  # [..., 12, 2, 2]
    visible = in_front.any(axis=-2, keepdims=True)  # [..., 12, 1, 1]
    low = np.where(visible, points, np.inf).min(axis=-2).min(axis=-2)
    high = np.where(visible, points, -np.inf).max(axis=-2).max(axis=-2)
    some_front = (corners_cam[..., 2] > 0).any(axis=-1, keepdims=True)
    return np.where(some_front, np.concatenate([low, high], axis=-1), 0.0)


def clip_boxes(
    boxes_xyxy: np.ndarray,  # [..., 4] px
    image_size: tuple[int, int],  # (width, height) px
) -> np.ndarray:
    """Boxes [..., 4] cut to [0, W] x [0, H]."""
    return np.clip(boxes_xyxy, 0, [*image_size, *image_size])


def box_iou(
    boxes_a: np.ndarray,  # [..., 4] x1, y1, x2, y2 px
    boxes_b: np.ndarray,  # [..., 4] px, broadcast against boxes_a
) -> np.ndarray:
    """Intersection over union [...] of 2D boxes, 0 where both are empty, NaN where one is NaN.

    Boxes reach from x1 to x2 and from y1 to y2. Those of masks end at their last pixel and count as they are, a pixel
    less than they show: so do VSRD's and KITTI's programs.
    """
    return over_union(shared_areas(boxes_a, boxes_b), box_areas(boxes_a), box_areas(boxes_b))


def shared_areas(
    boxes_a: np.ndarray,  # [..., 4] x1, y1, x2, y2 px
    boxes_b: np.ndarray,  # [..., 4] px, broadcast against boxes_a
) -> np.ndarray:
    """Areas [...], square pixels, that lie in both of two 2D boxes."""
    low, high = np.maximum(boxes_a[..., :2], boxes_b[..., :2]), np.minimum(boxes_a[..., 2:], boxes_b[..., 2:])
    return np.maximum(high - low, 0).prod(axis=-1)


def box_areas(
    boxes_xyxy: np.ndarray,  # [..., 4] px
) -> np.ndarray:
    """Areas [...], square pixels, of 2D boxes."""
    return np.maximum(boxes_xyxy[..., 2:] - boxes_xyxy[..., :2], 0).prod(axis=-1)
