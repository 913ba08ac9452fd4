"""Broken outlines: one mask after another, in a window around it.

Shapes: h x w pixels of a window, which holds the mask and a margin, or ends where the image does. There a mask goes on
beyond the image, so that its cut side is no outline.
"""

import math

import cv2
import numpy as np

from vsrd_ray.data.masks import mask_box
from vsrd_ray.degradation.settings import DegradeSettings

_GRAIN = 3.0  # px more than the amplitude: the standard deviation of the smoothing, along which outlines wander
_MOST = 2.5  # standard deviations, at which shifts are cut


def margin_of(settings: DegradeSettings, height: int) -> int:
    """Pixels by which a mask of some height may grow on any side."""
    shadow = math.ceil(settings.shadow[1] * height)
    return shadow + settings.dilate + math.ceil(_MOST * settings.ragged) + settings.blocks + 1


def break_outline(
    mask: np.ndarray,  # [h, w] bool
    settings: DegradeSettings,
    rng: np.random.Generator,
    *,
    origin_uv: tuple[int, int],
) -> np.ndarray:
    """The mask [h, w] bool as a detector gives it: with its shadow, eroded, dilated, ragged, coarse, in blocks.

    Args:
        mask: in its window.
        settings: how bad.
        rng: of this mask.
        origin_uv: the window's first pixel in the image.
    """
    share = rng.uniform(*settings.shadow)
    noise = rng.standard_normal(mask.shape, dtype=np.float32) if settings.ragged else None
    if settings.shadow[1]:
        mask = with_shadow(mask, share)
    if settings.erode:
        mask = distance_inside(mask) > settings.erode
    if settings.dilate:
        mask = ~(distance_inside(~mask) > settings.dilate)
    if noise is not None:
        mask = ragged(mask, settings.ragged, noise)
    if settings.mask_head:
        mask = through_grid(mask, settings.mask_head)
    if settings.blocks:
        mask = in_blocks(mask, settings.blocks, origin_uv=origin_uv)
    return mask


def with_shadow(
    mask: np.ndarray,  # [h, w] bool
    share: float,
) -> np.ndarray:
    """The mask [h, w] bool with its foot lowered by a share of its height, as far as the window goes."""
    box = mask_box(mask)
    rows = 0 if box is None else round(share * (box[3] - box[1] + 1))
    lowered = mask.copy()
    for shift in range(1, min(rows, len(mask) - 1) + 1):
        lowered[shift:] |= mask[:-shift]
    return lowered


def distance_inside(
    mask: np.ndarray,  # [h, w] bool
) -> np.ndarray:
    """Distance [h, w] float32 px from each pixel of a mask to the next pixel of the window outside it; 0 outside."""
    if mask.all():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def ragged(
    mask: np.ndarray,  # [h, w] bool
    amplitude: float,  # px
    noise: np.ndarray,  # [h, w] float32, white, of standard deviation 1
) -> np.ndarray:
    """The mask [h, w] bool with its outline shifted by smooth noise across it.

    The shift has the amplitude as its root mean square and wanders along the outline (`_GRAIN`). At twice the standard
    deviation of the smoothing, it is hardly alike.
    """
    grain = _GRAIN + amplitude
    kernel = cv2.getGaussianKernel(8 * math.ceil(grain) + 1, grain, cv2.CV_32F)
    smooth = cv2.sepFilter2D(noise, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    shift = np.clip(smooth / float((kernel**2).sum()), -_MOST, _MOST) * amplitude
    signed = np.where(mask, distance_inside(mask) - 0.5, 0.5 - distance_inside(~mask))
    return signed + shift > 0


def through_grid(
    mask: np.ndarray,  # [h, w] bool
    cells: int,
) -> np.ndarray:
    """The mask [h, w] bool after its box was a grid of cells x cells numbers, as mask heads give them.

    A cell holds the share that the mask has of it. Back in the image the numbers are interpolated, and half is enough.
    """
    box = mask_box(mask)
    if box is None:
        return mask
    left, top, right, bottom = box
    inside = (slice(top, bottom + 1), slice(left, right + 1))
    crop = mask[inside].astype(np.float32)
    height, width = crop.shape
    for size in ((cells, height), (cells, cells)):  # each side by itself: one may shrink where the other grows
        shrinks = size[0] < crop.shape[1] or size[1] < crop.shape[0]
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    coarse = np.zeros_like(mask)
    coarse[inside] = cv2.resize(crop, (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
    return coarse


def in_blocks(
    mask: np.ndarray,  # [h, w] bool
    side: int,  # px
    *,
    origin_uv: tuple[int, int],
) -> np.ndarray:
    """The mask [h, w] bool in whole blocks of the image: those of which it has at least half."""
    u, v = origin_uv
    (height, width), (before_u, before_v) = mask.shape, (u % side, v % side)
    after_u, after_v = -(before_u + width) % side, -(before_v + height) % side
    padded = np.pad(mask, ((before_v, after_v), (before_u, after_u)), mode="edge")
    rows, columns = padded.shape[0] // side, padded.shape[1] // side
    shares = padded.reshape(rows, side, columns, side).mean(axis=(1, 3))
    blocks = np.kron(shares >= 0.5, np.ones((side, side), dtype=bool))
    return blocks[before_v : before_v + height, before_u : before_u + width]
