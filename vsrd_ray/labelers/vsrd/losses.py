"""The losses (VSRD section 3.3).

Shapes: V views, N instances, R rays.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, smooth_l1_loss

# Rendered labels are kept this far from 0 and 1 (public code of VSRD).
LABEL_MARGIN = 1e-6


def silhouette_loss(
    labels: Tensor,  # [R, N] rendered, 0..1
    soft_masks: Tensor,  # [R, N] targets, 0..1
) -> Tensor:
    """Binary cross-entropy of each ray and instance, [R, N]; its mean is the loss."""
    return binary_cross_entropy(labels.clamp(LABEL_MARGIN, 1 - LABEL_MARGIN), soft_masks, reduction="none")


def eikonal_loss(
    gradients: Tensor,  # [..., 3] of the distance field
) -> Tensor:
    """Mean squared departure of the gradient's length from 1; 0 where there are no gradients, as no ray met a box."""
    squares = (gradients.norm(dim=-1) - 1).square()
    return squares.sum() / max(squares.numel(), 1)


def projection_loss(
    boxes: Tensor,  # [V, N, 4] px, projected and clipped to the image
    mask_boxes: Tensor,  # [V, N, 4] px
    visible: Tensor,  # [V, N] bool, boxes that count
) -> Tensor:
    """Smooth L1 (px) of the sides of boxes that count, averaged over them; 0 where none does."""
    losses = smooth_l1_loss(boxes, torch.where(visible[..., None], mask_boxes, boxes.detach()), reduction="none")
    return losses.sum() / (4 * visible.sum()).clamp(min=1)


def distance_iou(
    boxes_a: Tensor,  # [..., 4] px
    boxes_b: Tensor,  # [..., 4] px, broadcast against boxes_a
) -> Tensor:
    """DIoU [...]: IoU less the squared distance of the centres over the squared diagonal around both (1911.08287)."""
    low, high = torch.maximum(boxes_a[..., :2], boxes_b[..., :2]), torch.minimum(boxes_a[..., 2:], boxes_b[..., 2:])
    intersection = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(dim=-1) for boxes in (boxes_a, boxes_b)]
    iou = intersection / (areas[0] + areas[1] - intersection).clamp(min=1e-6)
    around = torch.maximum(boxes_a[..., 2:], boxes_b[..., 2:]) - torch.minimum(boxes_a[..., :2], boxes_b[..., :2])
    centers = [(boxes[..., :2] + boxes[..., 2:]) / 2 for boxes in (boxes_a, boxes_b)]
    distance = (centers[0] - centers[1]).square().sum(dim=-1)
    return iou - distance / around.square().sum(dim=-1).clamp(min=1e-6)


def distance_iou_loss(
    boxes: Tensor,  # [V, N, 4] px, projected and clipped to the image
    mask_boxes: Tensor,  # [V, N, 4] px
    visible: Tensor,  # [V, N] bool, boxes that count
) -> Tensor:
    """Mean of 1 - DIoU over the boxes that count; 0 where none does."""
    return ((1 - distance_iou(boxes, mask_boxes)) * visible).sum() / visible.sum().clamp(min=1)
