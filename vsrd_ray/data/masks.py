"""Instance masks: refinement, boxes, run-length encoding, and soft masks.

Shapes: H x W pixels, P points. A pixel (u, v) names its centre. A mask's outline is the polyline through the centres of
its boundary pixels, as cv2.findContours and cv2.pointPolygonTest have it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import cv2
import numpy as np
from pycocotools import mask as coco

DistanceMethod = Literal["exact", "transform"]

# Soft masks below this are 0: the crop outside which nothing has to be computed or kept.
MIN_SOFTNESS = 1e-6
# px^2; keeps the published tools' projection onto a segment finite, and puts pixels on the outline < 1e-6 px off it.
EPSILON = 1e-6


@dataclass(frozen=True)
class SoftMask:
    """A soft mask where it is not 0."""

    origin_uv: tuple[int, int]  # the crop's first pixel
    values: np.ndarray  # [h, w] float32, in [0, 1]; 0 everywhere outside the crop

    def at(
        self,
        points_uv: np.ndarray,  # [..., 2] integer pixels
    ) -> np.ndarray:
        """Values [...] float32 at some pixels of the image."""
        columns, rows = np.moveaxis(np.asarray(points_uv) - self.origin_uv, -1, 0)
        height, width = self.values.shape
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        result = np.zeros(inside.shape, dtype=np.float32)
        result[inside] = self.values[rows[inside], columns[inside]]
        return result


def refine_mask(
    mask: np.ndarray,  # [H, W] bool
) -> np.ndarray:
    """The mask's largest outer contour, filled: [H, W] bool (VSRD, masks). An empty mask stays empty."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    refined = np.zeros(mask.shape, dtype=np.uint8)
    if contours:
        largest = max(contours, key=cv2.contourArea)
        cv2.drawContours(refined, [largest], contourIdx=-1, color=1, thickness=cv2.FILLED)
    return refined.astype(bool)


def without_specks(
    mask: np.ndarray,  # [H, W] bool
    min_share: float = 0.05,
) -> np.ndarray:
    """The mask's outer contours, filled, but for those smaller than a share of the largest: [H, W] bool.

    Unlike `refine_mask` it keeps what a pole or a trunk cuts off. An empty mask stays empty.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(contour) for contour in contours]
    least = min_share * max(areas, default=0.0)
    kept = [contour for contour, area in zip(contours, areas, strict=True) if area >= least]
    filled = np.zeros(mask.shape, dtype=np.uint8)
    cv2.drawContours(filled, kept, contourIdx=-1, color=1, thickness=cv2.FILLED)
    return filled.astype(bool)


def mask_box(
    mask: np.ndarray,  # [H, W] bool
) -> tuple[int, int, int, int] | None:
    """Bounding box (left, top, right, bottom) px with the last pixel included; None of an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def encode_rle(
    mask: np.ndarray,  # [H, W] bool
) -> dict[str, Any]:
    """COCO's compressed run-length encoding, as JSON has it: {"size": [H, W], "counts": text}."""
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    counts = cast("bytes", encoded["counts"])
    return {"size": [int(length) for length in encoded["size"]], "counts": counts.decode("ascii")}


def decode_rle(rle: dict[str, Any]) -> np.ndarray:
    """The mask [H, W] bool of `encode_rle`."""
    return coco.decode(cast("Any", rle)).astype(bool)


def signed_distance(
    mask: np.ndarray,  # [H, W] bool
    method: DistanceMethod,
) -> np.ndarray:
    """Distance [H, W] float64 px of every pixel to the mask's outline, positive inside; -inf where the mask is empty.

    Of a refined mask this is the distance to its one outer contour; otherwise all outlines count, those of holes too.

    Args:
        mask: the mask, usually a refined one.
        method: "exact", to the polyline, as cv2.pointPolygonTest has it (to 1e-6 px, see `EPSILON`); or "transform", to
            the nearest pixel of the outline, a third of the work. That is too long by at most 1 - sqrt(1/2) px, where
            the outline runs diagonally between two pixels, and nowhere too short.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return np.full(mask.shape, -np.inf)
    distance = _distance_to_outlines([_walk(contour[:, 0]) for contour in contours], mask.shape, method)
    return np.where(mask, distance, -distance)


def soft_mask(
    mask: np.ndarray,  # [H, W] bool
    softness: float,
    method: DistanceMethod,
) -> np.ndarray:
    """sigmoid(signed distance / softness), [H, W] float64; exactly 0 where that is below 1e-6 (VSRD, masks).

    Args:
        mask: the mask, usually a refined one.
        softness: px over which the logit changes by one.
        method: see `signed_distance`.
    """
    result = np.zeros(mask.shape)
    crop = _crop(mask, softness)
    if crop is not None:
        result[crop] = _soft_values(mask[crop], softness, method)
    return result


def soft_mask_crop(
    mask: np.ndarray,  # [H, W] bool
    softness: float,
    method: DistanceMethod,
) -> SoftMask | None:
    """`soft_mask` without the pixels around it that are 0, in float32; None of an empty mask."""
    crop = _crop(mask, softness)
    if crop is None:
        return None
    rows, columns = crop
    values = _soft_values(mask[crop], softness, method).astype(np.float32)
    return SoftMask(origin_uv=(columns.start, rows.start), values=values)


def largest_soft_mask(
    soft_masks: Iterable[SoftMask | None],
    image_size: tuple[int, int],  # (width, height) px
) -> np.ndarray:
    """The largest of several soft masks at every pixel of the image, [H, W] float32; 0 where there is none."""
    width, height = image_size
    largest = np.zeros((height, width), dtype=np.float32)
    for soft in soft_masks:
        if soft is not None:
            u, v = soft.origin_uv
            part = largest[v : v + soft.values.shape[0], u : u + soft.values.shape[1]]
            np.maximum(part, soft.values, out=part)
    return largest


def _crop(mask: np.ndarray, softness: float) -> tuple[slice, slice] | None:
    """Rows and columns outside which the soft mask is below `MIN_SOFTNESS`; None of an empty mask."""
    box = mask_box(mask)
    if box is None:
        return None
    margin = math.ceil(softness * math.log(1 / MIN_SOFTNESS - 1))
    left, top, right, bottom = box
    height, width = mask.shape
    return (
        slice(max(top - margin, 0), min(bottom + 1 + margin, height)),
        slice(max(left - margin, 0), min(right + 1 + margin, width)),
    )


def _soft_values(mask: np.ndarray, softness: float, method: DistanceMethod) -> np.ndarray:
    values = 1 / (1 + np.exp(-signed_distance(mask, method) / softness))
    values[values < MIN_SOFTNESS] = 0
    return values


def _walk(
    contour: np.ndarray,  # [C, 2] corners of a closed polyline; every segment is horizontal, vertical or diagonal
) -> tuple[np.ndarray, np.ndarray]:
    """All pixels [P, 2] on the polyline, in its order, and how far off it [P] px the published tools take each to be.

    The published tools project a pixel onto a segment of length L at s / (L^2 + 1e-6) of the way, not at s / L^2.
    """
    steps = np.roll(contour, -1, axis=0) - contour
    counts = np.abs(steps).max(axis=1).clip(min=1)
    segment = np.repeat(np.arange(len(contour)), counts)
    k = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    pixels = contour[segment] + k[:, None] * np.sign(steps)[segment]
    squared_lengths = (steps**2).sum(axis=1)[segment]
    offsets = k / counts[segment] * np.sqrt(squared_lengths) * EPSILON / (squared_lengths + EPSILON)
    return pixels, offsets


def _distance_to_outlines(
    walks: list[tuple[np.ndarray, np.ndarray]], shape: tuple[int, ...], method: DistanceMethod
) -> np.ndarray:
    """Distance [H, W] float64 px of every pixel to the nearest of the outlines.

    An outline goes from pixel to neighbouring pixel. The point of such a step that is nearest to a pixel's centre is
    one of its ends or, of a diagonal step, its middle: a grid of half pixels holds them all and gives the distance to
    the polyline itself, a grid of whole pixels leaves the middles out.
    """
    height, width = shape
    scale = 2 if method == "exact" else 1
    grid = np.ones((scale * (height - 1) + 1, scale * (width - 1) + 1), dtype=np.uint8)
    for pixels, _ in walks:
        grid[tuple(scale * pixels.T[::-1])] = 0
        if method == "exact":
            grid[tuple((pixels + np.roll(pixels, 1, axis=0)).T[::-1])] = 0
    distance = cv2.distanceTransform(grid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[::scale, ::scale]
    # Squares are whole numbers on the grid; rounding them takes back what float32 has lost.
    distance = np.sqrt(np.rint(distance.astype(np.float64) ** 2)) / scale
    if method == "exact":
        columns, rows = np.concatenate([pixels for pixels, _ in walks]).T
        distance[rows, columns] = np.inf
        np.minimum.at(distance, (rows, columns), np.concatenate([offsets for _, offsets in walks]))
    return distance
