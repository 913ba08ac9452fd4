"""What one mask says about the outline of its object: extents, contour points, and where the object cannot be.

A mask ends where the object ends, where the image ends, or where something nearer hides the object; only the first says
where the object is. Shapes: K directions, C contour points, G grid points, H x W pixels.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS, IS_INSTANCE, UNKNOWN, ClassTable
from vsrd_ray.data.masks import mask_box

# The outside of a contour is looked up this far from it; contours are ragged by about a pixel.
_LOOK_OUT_PX = 3
# A contour's normal is that of the chord between the points this many before and after; a smooth one is that of a chord
# over this share of the contour on either side.
_CHORD_POINTS = 4
_SMOOTH_CHORD_SHARE = 0.04
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


@cache
def _leads(never_in_front: tuple[int, ...]) -> np.ndarray:
    """Of every value of a map, by how much its foot must be lower than a mask's to stand nearer, px [65536] int32.

    Args:
        never_in_front: numbers of the classes that cannot; they are put out of reach. What is unknown always may.
    """
    leads = np.where(IS_INSTANCE, -_FOOT_MARGIN_PX, _FOOT_MARGIN_PX).astype(np.int32)
    leads[np.isin(np.arange(len(leads)) // IDS_PER_CLASS, never_in_front)] = np.iinfo(np.int32).max // 2
    leads[UNKNOWN] = np.iinfo(np.int32).min // 2
    return leads


@dataclass(frozen=True)
class DepthOrder:
    """One view's instance map, and for each pixel how near what it shows may stand."""

    instance_map: np.ndarray  # [H, W] uint16, semantic id * 1000 + instance id
    feet: np.ndarray  # [H, W] int32, the row below what a pixel belongs to: an instance, or stuff's run in the column
    leads: np.ndarray  # [65536] int32 px, by how much an id's foot must be lower than a mask's to stand nearer

    @staticmethod
    def of(instance_map: np.ndarray, classes: ClassTable) -> "DepthOrder":
        """The order in an instance map: on the ground, what is nearer has its foot lower in the image."""
        height = len(instance_map)
        is_last = np.ones(instance_map.shape, dtype=bool)
        np.not_equal(instance_map[:-1], instance_map[1:], out=is_last[:-1])
        below = np.arange(1, height + 1, dtype=np.int32)[:, None]
        feet = np.where(is_last, below, np.int32(height))
        for row in range(height - 2, -1, -1):  # several times as fast as np.minimum.accumulate
            np.minimum(feet[row], feet[row + 1], out=feet[row])
        is_instance = IS_INSTANCE[instance_map]
        ends = is_last & is_instance
        instance_feet = np.zeros(len(IS_INSTANCE), dtype=np.int32)
        instance_feet[instance_map[ends]] = np.nonzero(ends)[0] + 1  # of an id's rows, the last one stays
        feet[is_instance] = instance_feet[instance_map[is_instance]]
        return DepthOrder(instance_map, feet, _leads(classes.never_in_front))


@dataclass(frozen=True)
class Outline:
    """One instance in one view."""

    supports: np.ndarray  # [K] px: largest u cos + v sin over the mask's pixel centres
    trusted: np.ndarray  # [K] bool: the extent is the object's own, not the image border's or an occluder's
    points: np.ndarray  # [C, 2] px, on the mask's edge: half a pixel beyond its outermost pixels' centres
    normals: np.ndarray  # [C, 2] outward unit normals of the smoothed contour
    hidden: np.ndarray  # [C] bool: the mask ends here at the image's border or at something that may stand nearer
    clearances: np.ndarray  # [G, G] px, how far from where the object can be: its mask, what may hide it, off the image
    crop_xyxy: np.ndarray  # [4] px, the centres of the first and last clearances


def directions(count: int) -> np.ndarray:
    """Unit vectors (u, v), [K, 2], evenly spaced over the circle from +u (right) to +v (down)."""
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def trace_outline(
    mask: np.ndarray,  # [H, W] bool, the instance's mask without specks and holes; not empty
    *,
    instance_id: int,
    order: DepthOrder,
    units: np.ndarray,  # [K, 2] from `directions`
    num_points: int,
) -> Outline:
    """The outline of one mask, with `num_points` points spread evenly over its contours; fewer where it has fewer.

    A stretch of contour is hidden if it lies at the image's border or beside something that may stand nearer. A
    direction is trusted if no hidden stretch faces it, and none reaches nearly as far as the mask does: there the
    object may go on unseen.
    """
    crop = _Crop.around(mask)
    inside = crop.cut(mask)
    may_hide = _may_hide(inside, instance_id=instance_id, order=order, crop=crop)
    contour = _contour(inside)
    hidden = _is_hidden(contour.points, contour.normals, may_hide)
    extents = contour.points @ units.T
    supports = extents.max(axis=0)
    size = np.ptp(contour.points, axis=0).max()
    open_to = (contour.normals[hidden] @ units.T > _FACING) | (extents[hidden] > supports - _NEAR_EXTREME * size)
    hidden |= _is_hidden(contour.points, contour.smooth_normals, may_hide)
    chosen = np.unique(np.linspace(0, len(extents), num_points, endpoint=False).astype(np.int64))
    origin = np.array([crop.left, crop.top])
    return Outline(
        supports=supports + units @ origin,
        trusted=~open_to.any(axis=0),
        points=contour.points[chosen] + 0.5 * contour.normals[chosen] + origin,
        normals=contour.smooth_normals[chosen],
        hidden=hidden[chosen],
        clearances=_clearances(inside | may_hide, crop),
        crop_xyxy=np.array([crop.left, crop.top, crop.right, crop.bottom], dtype=np.float64),
    )


@dataclass(frozen=True)
class _Crop:
    """The surroundings of a mask, which may reach beyond the image; all sides included, px."""

    left: int
    top: int
    right: int
    bottom: int
    foot: int  # the row below the mask

    @staticmethod
    def around(mask: np.ndarray) -> "_Crop":
        left, top, right, bottom = mask_box(mask) or (0, 0, 0, 0)
        pad = max(right - left, bottom - top) // 2 + _CLEARANCE_PAD_PX
        return _Crop(left - pad, top - pad, right + pad, bottom + pad, foot=bottom + 1)

    def cut(self, image: np.ndarray, fill: int = 0) -> np.ndarray:
        """The part of an image in the crop, with `fill` where the crop leaves the image."""
        height, width = image.shape
        rows = slice(max(self.top, 0), min(self.bottom + 1, height))
        columns = slice(max(self.left, 0), min(self.right + 1, width))
        beyond = (
            (rows.start - self.top, self.bottom + 1 - rows.stop),
            (columns.start - self.left, self.right + 1 - columns.stop),
        )
        return np.pad(image[rows, columns], beyond, constant_values=fill)


def _may_hide(inside: np.ndarray, *, instance_id: int, order: DepthOrder, crop: _Crop) -> np.ndarray:
    """Pixels of the crop [h, w] bool of what may stand nearer than the instance, by its foot, or is off the image."""
    ids, feet = crop.cut(order.instance_map), crop.cut(order.feet, fill=-1)
    is_nearer = feet - order.leads[ids] > crop.foot
    return (is_nearer & (ids != instance_id) & ~inside) | (feet < 0)


@dataclass(frozen=True)
class _Contour:
    """Points on a mask's outer contours, in the crop's pixels."""

    points: np.ndarray  # [P, 2] px
    normals: np.ndarray  # [P, 2] outward
    smooth_normals: np.ndarray  # [P, 2] outward


def _contour(mask: np.ndarray) -> _Contour:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate(contours)[:, 0].astype(np.float64)
    lengths = np.array([len(contour) for contour in contours])
    smooth = np.maximum(_CHORD_POINTS, np.rint(_SMOOTH_CHORD_SHARE * lengths).astype(np.int64))
    return _Contour(
        points,
        _normals(points, lengths, chords=np.full(len(lengths), _CHORD_POINTS)),
        _normals(points, lengths, chords=np.minimum(lengths // 3, smooth)),
    )


def _normals(
    points: np.ndarray,  # [P, 2] of closed loops [L], one after the other
    lengths: np.ndarray,  # [L] points of each loop
    *,
    chords: np.ndarray,  # [L] points
) -> np.ndarray:
    """Outward unit normals [P, 2]; 0 where a loop is too small to have any."""
    loop = np.repeat(np.arange(len(lengths)), lengths)
    first, length, chord = (lengths.cumsum() - lengths)[loop], lengths[loop], chords[loop]
    place = np.arange(len(points)) - first
    # cv2 goes round outer contours with the inside on the left hand as seen in the image (u right, v down).
    du, dv = (points[first + (place + chord) % length] - points[first + (place - chord) % length]).T
    normals = np.stack([-dv, du], axis=-1)
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)


def _is_hidden(points: np.ndarray, normals: np.ndarray, may_hide: np.ndarray) -> np.ndarray:
    """Whether something that may hide the object lies just beyond each point [P] bool."""
    height, width = may_hide.shape
    u, v = np.rint(points + _LOOK_OUT_PX * normals).astype(np.int64).T
    return may_hide[np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)]


def _clearances(possible: np.ndarray, crop: _Crop) -> np.ndarray:
    """Distances [G, G] px of a grid over the crop to the nearest pixel where the object can be."""
    distances = cv2.distanceTransform((~possible).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    v = np.rint(np.linspace(0, crop.bottom - crop.top, CLEARANCE_SAMPLES)).astype(np.int64)
    u = np.rint(np.linspace(0, crop.right - crop.left, CLEARANCE_SAMPLES)).astype(np.int64)
    # Squared distances are whole numbers; rounded, they are the same wherever in memory the crop lay.
    return np.sqrt(np.rint(distances[np.ix_(v, u)].astype(np.float64) ** 2))
