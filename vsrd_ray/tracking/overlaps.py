"""Boxes in images, in the forms that trackers count with, and how much they overlap.

`xyxy`: left, top, right, bottom in px. `xyah`: centre, width / height, height. Shapes: N, M boxes.
"""

import numpy as np


def xyah_from_xyxy(boxes_xyxy: np.ndarray) -> np.ndarray:  # [N, 4]
    """Centres, aspect ratios and heights [N, 4] of boxes."""
    sizes = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    return np.column_stack([boxes_xyxy[:, :2] + sizes / 2, sizes[:, 0] / sizes[:, 1], sizes[:, 1]])


def xyxy_from_xyah(boxes_xyah: np.ndarray) -> np.ndarray:  # [N, 4]
    """Corners [N, 4] of boxes."""
    half = np.column_stack([boxes_xyah[:, 2] * boxes_xyah[:, 3], boxes_xyah[:, 3]]) / 2
    return np.column_stack([boxes_xyah[:, :2] - half, boxes_xyah[:, :2] + half])


def box_overlaps(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:  # [N, 4], [M, 4]
    """IoU [N, M] of each two boxes; see `paired_overlaps`."""
    return paired_overlaps(a_xyxy[:, None], b_xyxy[None])


def paired_overlaps(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:  # [..., 4], [..., 4]
    """IoU [...] of boxes whose last pixels count (w = x2 - x1 + 1), as in ByteTrack; NaN where a box is unknown."""
    low = np.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    high = np.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    shared = np.prod(np.maximum(high - low + 1, 0), axis=-1)
    a, b = (np.prod(boxes[..., 2:] - boxes[..., :2] + 1, axis=-1) for boxes in (a_xyxy, b_xyxy))
    return shared / (a + b - shared)
