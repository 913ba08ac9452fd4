"""Projection of boxes into a pinhole camera (x right, y down, z forward), differentiable; geometry/cameras.py is not.

Shapes: ... any batch axes. Pixels (u, v) name pixel centres. Tensors; device and dtype come from the inputs.
"""

import torch
from torch import Tensor

from vsrd_ray.geometry.boxes import EDGES
from vsrd_ray.geometry.cameras import MIN_DEPTH


def project_points(
    points_cam: Tensor,  # [..., 3] metres
    K: Tensor,  # [..., 3, 3] pixels, batch axes that broadcast against those of the points
) -> Tensor:
    """Pixel coordinates [..., 2]; depths below `MIN_DEPTH` count as that depth."""
    homogeneous = (K @ points_cam[..., None])[..., 0]
    return homogeneous[..., :2] / homogeneous[..., 2:].clamp(min=MIN_DEPTH)


def project_boxes(
    corners_cam: Tensor,  # [..., 8, 3] metres, in the order of geometry/boxes.py
    K: Tensor,  # [..., 3, 3] pixels, without the corner axis
) -> Tensor:
    """2D boxes [..., 4] (x1, y1, x2, y2) px that bound the projected edges, not clipped to the image.

    Edges that cross the camera's plane are cut there, so a box that reaches behind the camera projects to what is in
    front of it; a box wholly behind gives zeros. (VSRD, projection loss.)
    """
    edges = torch.as_tensor(EDGES, device=corners_cam.device)
    start, end = corners_cam[..., edges[:, 0], :], corners_cam[..., edges[:, 1], :]  # [..., 12, 3]
    z_start, z_end = start[..., 2:], end[..., 2:]
    crosses = (z_start > 0) != (z_end > 0)
    slope = torch.where(crosses, z_start - z_end, torch.ones_like(z_start))
    cut = torch.lerp(start, end, z_start / slope)
    start_front = torch.where(crosses & (z_start <= 0), cut, start)
    end_front = torch.where(crosses & (z_end <= 0), cut, end)
    points = project_points(torch.cat([start_front, end_front], dim=-2), K[..., None, :, :])  # [..., 24, 2]
    visible = torch.cat([(z_start > 0) | (z_end > 0)] * 2, dim=-2)  # [..., 24, 1]
    infinity = torch.full_like(points, torch.inf)
    low = torch.where(visible, points, infinity).amin(dim=-2)
    high = torch.where(visible, points, -infinity).amax(dim=-2)
    boxes = torch.cat([low, high], dim=-1)
    return torch.where(visible.any(dim=-2), boxes, torch.zeros_like(boxes))


def clip_boxes(
    boxes_xyxy: Tensor,  # [..., 4] px
    image_size: tuple[int, int],  # (width, height) px
) -> Tensor:
    """Boxes [..., 4] cut to [0, W] x [0, H]."""
    width, height = image_size
    limit = boxes_xyxy.new_tensor([width, height, width, height])
    return torch.minimum(boxes_xyxy.clamp(min=0), limit)
