"""Outlines of masks by their extent in a number of directions, and whether each extent is the object's own.

A mask ends where the object ends, where the image ends, or where something nearer hides the object; only the first says
where the object is. Shapes: K directions, C contour points, H x W pixels. Directions turn from +u (right) to +v (down).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vsrd_ray.data.masks import mask_box

# Cityscapes ids that lie on the ground or behind everything: unlabeled, out of roi and the like, ground, road,
# sidewalk, parking, rail track, terrain, sky. Whatever else borders a mask may stand in front of it.
NEVER_IN_FRONT = (0, 2, 3, 6, 7, 8, 9, 10, 22, 23)
# The outside of a contour is looked up this far from it; contours are ragged by about a pixel.
_LOOK_OUT_PX = 3
# A contour's normal is that of the chord between the points this many before and after.
_CHORD_POINTS = 4
# Feet are compared to within this. Stuff must be lower by more than that to stand nearer than a mask; of two instances
# whose feet are level either may be the nearer one.
_FOOT_MARGIN_PX = 2
# Clearances are sampled on a grid of this many points a side, which reaches half the mask's size and this much beyond.
CLEARANCE_SAMPLES = 64
_CLEARANCE_PAD_PX = 10
# A hidden stretch of contour leaves a direction open if it faces that way by at least this cosine ...
_FACING = 0.3
# ... or reaches as far in that direction to within this share of the mask's size.
_NEAR_EXTREME = 0.1


@dataclass(frozen=True)
class Outline:
    """How far one instance's mask extends in each direction in one view."""

    supports: np.ndarray  # [K] px: largest u cos + v sin over the mask's pixel centres
    trusted: np.ndarray  # [K] bool: the extent is the object's own, not the image border's or an occluder's


def directions(count: int) -> np.ndarray:
    """Unit vectors (u, v), [K, 2], evenly spaced over the circle from +u; right, down, left, up lie a quarter apart."""
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def foot_rows(instance_map: np.ndarray) -> np.ndarray:
    """For each pixel the row below what it belongs to, [H, W]: a whole instance, or stuff's run in the column."""
    height = len(instance_map)
    feet = np.empty(instance_map.shape, dtype=np.int64)
    instance_feet = np.zeros(np.iinfo(np.uint16).max + 1, dtype=np.int64)
    feet[-1] = height
    for row in range(height - 2, -1, -1):
        feet[row] = np.where(instance_map[row] == instance_map[row + 1], feet[row + 1], row + 1)
    for row in range(height):
        instance_feet[instance_map[row]] = row + 1
    return np.where(instance_map % 1000 > 0, instance_feet[instance_map], feet)


def trace_outline(
    mask: np.ndarray,  # [H, W] bool, the instance's refined mask; not empty
    may_hide: np.ndarray,  # [H, W] bool, from `may_hide_map`
    units: np.ndarray,  # [K, 2] from `directions`
) -> Outline:
    """The outline of one mask.

    A stretch of contour is hidden if it lies at the image's border or beside something that stands nearer: on the
    ground what is nearer has its foot lower in the image. A direction is trusted if no hidden stretch faces it, and
    none reaches nearly as far as the mask does: there the object may go on unseen.
    """
    points, normals = _contour(mask)
    extents = points @ units.T
    supports = extents.max(axis=0)
    hidden = _is_hidden(points, normals, may_hide)
    size = np.ptp(points, axis=0).max()
    open_to = (normals[hidden] @ units.T > _FACING) | (extents[hidden] > supports - _NEAR_EXTREME * size)
    return Outline(supports=supports, trusted=~open_to.any(axis=0))


def _contour(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [C, 2] px of the mask's outer contours and their outward unit normals [C, 2]."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = [contour[:, 0].astype(np.float64) for contour in contours]
    chords = [np.roll(p, -_CHORD_POINTS, axis=0) - np.roll(p, _CHORD_POINTS, axis=0) for p in points]
    # cv2 goes round outer contours with the inside on the left hand as seen in the image (u right, v down).
    du, dv = np.concatenate(chords).T
    normals = np.stack([-dv, du], axis=-1)
    return np.concatenate(points), normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)


def may_hide_map(
    mask: np.ndarray,  # [H, W] bool, not empty
    *,
    instance_id: int,
    instance_map: np.ndarray,  # [H, W] uint16
    feet: np.ndarray,  # [H, W]
) -> np.ndarray:
    """Pixels [H, W] bool of what may stand nearer than an instance, by its foot.

    Args:
        mask: the instance's refined mask.
        instance_id: the instance.
        instance_map: semantic id * 1000 + instance id.
        feet: `foot_rows` of the instance map.
    """
    foot = np.flatnonzero(mask.any(axis=1))[-1] + 1
    margin = np.where(instance_map % 1000 > 0, -_FOOT_MARGIN_PX, _FOOT_MARGIN_PX)
    return (instance_map != instance_id) & ~np.isin(instance_map // 1000, NEVER_IN_FRONT) & (feet > foot + margin)


def _is_hidden(points: np.ndarray, normals: np.ndarray, may_hide: np.ndarray) -> np.ndarray:
    height, width = may_hide.shape
    u, v = np.rint(points + _LOOK_OUT_PX * normals).astype(np.int64).T
    in_image = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    return ~in_image | may_hide[np.where(in_image, v, 0), np.where(in_image, u, 0)]


@dataclass(frozen=True)
class Clearance:
    """How far pixels around an instance are from where it can be in a view: its mask and what may hide it."""

    window_xyxy: np.ndarray  # [4] px, the centres of the first and last samples
    distances: np.ndarray  # [G, G] px, 0 where the instance can be


def measure_clearance(mask: np.ndarray, may_hide: np.ndarray) -> Clearance:
    """The clearance around one mask; beyond the image's border the instance can be anywhere.

    Args:
        mask: [H, W] bool, the instance's mask; not empty.
        may_hide: [H, W] bool from `may_hide_map`.
    """
    left, top, right, bottom = mask_box(mask) or (0, 0, 0, 0)
    pad = max(right - left, bottom - top) // 2 + _CLEARANCE_PAD_PX
    height, width = mask.shape
    canvas = np.zeros((bottom - top + 1 + 2 * pad, right - left + 1 + 2 * pad), dtype=np.uint8)
    x0, y0 = left - pad, top - pad
    rows, columns = slice(max(y0, 0), min(bottom + pad + 1, height)), slice(max(x0, 0), min(right + pad + 1, width))
    free = ~(mask[rows, columns] | may_hide[rows, columns])
    canvas[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0] = free
    # Squared distances are whole numbers; rounded, they are the same wherever in memory the canvas lay.
    squared = np.rint(cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64) ** 2)
    v = np.linspace(0, canvas.shape[0] - 1, CLEARANCE_SAMPLES)
    u = np.linspace(0, canvas.shape[1] - 1, CLEARANCE_SAMPLES)
    return Clearance(
        window_xyxy=np.array([x0, y0, right + pad, bottom + pad], dtype=np.float64),
        distances=np.sqrt(squared[np.ix_(np.rint(v).astype(np.int64), np.rint(u).astype(np.int64))]),
    )
