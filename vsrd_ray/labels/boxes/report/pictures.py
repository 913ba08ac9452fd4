"""Pictures of a report: frames with the outlines of their masks, and close-ups of instances with their silhouettes.

Boxes are not in the pictures: the page draws them. Shapes: H x W pixels, R rows (tables.py).
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vsrd_ray.data.drive import MASKS
from vsrd_ray.errors import UnreadableFrameError
from vsrd_ray.labels.boxes.columns import BOX_2D, box_of, numbers
from vsrd_ray.labels.boxes.pictures.annotated import find_image
from vsrd_ray.labels.boxes.report.choice import ViewChoice
from vsrd_ray.labels.boxes.report.silhouettes import Window, magnified, outlines, silhouette
from vsrd_ray.labels.boxes.report.tables import SequenceTables

# From a label row, as a dictionary, to the convex solids that its labeler fitted: each [Q, 3] metres in the world.
Solids = Callable[[dict[str, Any]], list[np.ndarray]]

_MARGIN = 0.25  # of a close-up around mask and box, as a share of their longer side
_MIN_MARGIN = 6  # px
_SHAPE = 1.8  # width / height of a close-up, where the image has room for it
_PARTS = 240  # a close-up's longer side has at least that many parts of pixels, for outlines finer than pixels


@dataclass(frozen=True)
class Quality:
    """How large pictures are, and how well they are kept."""

    frame_width: int  # px at most
    view_side: int  # px at most, of the longer side of a close-up
    webp: int  # quality of the encoder, 0..100


@dataclass(frozen=True)
class FramePixels:
    """What is read of a frame."""

    image: np.ndarray | None  # [H, W, 3] BGR; None where there is none
    instance_map: np.ndarray | None  # [H, W]; None where it cannot be read


def read_pixels(tables: SequenceTables, place: int) -> FramePixels:
    """Image and masks of a frame, by its place.

    Raises:
        InputError: the mask is not there, or of another kind or size than its sequence's.
    """
    frame = int(tables.frames[place])
    try:
        instance_map = tables.sequence.read(MASKS, tables.sequence.camera.name, frame)
    except (UnreadableFrameError, OSError):
        instance_map = None
    return FramePixels(find_image(tables.sequence, frame), instance_map)


def frame_picture(tables: SequenceTables, place: int, pixels: FramePixels, quality: Quality) -> dict[str, Any]:
    """A frame's picture: `image`, a data URI or None, and `masks`, outlines by the instance's place."""
    first, last = np.searchsorted(tables.rows.frames, [place, place + 1])
    masks = {}
    for row in range(first, last):
        instance = int(tables.rows.instances[row])
        if pixels.instance_map is not None and tables.rows.mask_areas[row]:
            masks[instance] = _mask_outlines(tables, row, pixels.instance_map)
    return {"image": _encoded(pixels.image, quality.frame_width, quality.webp), "masks": masks}


def close_up(
    tables: SequenceTables, choice: ViewChoice, pixels: FramePixels, quality: Quality, solids: Solids | None
) -> dict[str, Any]:
    """A close-up of an instance, with its mask's outline and its fitted body's.

    `covered` is the share of the mask that the body's silhouette covers, `overlap` the IoU of the two in pixels, both
    None where there is no mask or no label.
    """
    window = _window(tables, choice.row)
    left, top, right, bottom = window
    zoom = max(1, -(-_PARTS // max(right - left + 1, bottom - top + 1)))
    mask, body = (
        _mask_parts(tables, choice.row, pixels, window, zoom),
        _body_parts(tables, choice.row, window, zoom, solids),
    )
    image = None if pixels.image is None else pixels.image[top : bottom + 1, left : right + 1]
    return {
        "row": choice.row,
        "kind": choice.kind,
        "window": [left, top, right - left + 1, bottom - top + 1],
        "image": _encoded(image, quality.view_side, quality.webp),
        "mask": [] if mask is None else outlines(mask, window, zoom),
        "body": [] if body is None else outlines(body, window, zoom),
        **_agreement(mask, body),
    }


def _agreement(mask: np.ndarray | None, body: np.ndarray | None) -> dict[str, float | None]:
    if mask is None or body is None or not mask.any():
        return {"covered": None, "overlap": None}
    both = float((mask & body).sum())
    return {"covered": round(both / mask.sum(), 4), "overlap": round(both / (mask | body).sum(), 4)}


def _window(tables: SequenceTables, row: int) -> Window:
    """The part of the image around an instance's mask and projected box."""
    label = int(tables.rows.labels[row])
    sides = [tables.rows.mask_boxes_xyxy[row]]
    if label >= 0:
        sides.append(numbers(tables.labels.slice(label, 1), BOX_2D)[0])
    low, high = np.nanmin(sides, axis=0)[:2], np.nanmax(sides, axis=0)[2:]
    width, height = high - low + 1 + 2 * max(_MIN_MARGIN, _MARGIN * float((high - low).max()))
    size = np.minimum(np.ceil([max(width, _SHAPE * height), max(height, width / _SHAPE)]), tables.sequence.image_size)
    start = np.clip(np.round((low + high + 1 - size) / 2), 0, tables.sequence.image_size - size)
    left, top, right, bottom = np.concatenate([start, start + size - 1]).astype(int).tolist()
    return left, top, right, bottom


def _mask_parts(tables: SequenceTables, row: int, pixels: FramePixels, window: Window, zoom: int) -> np.ndarray | None:
    if pixels.instance_map is None:
        return None
    instance_id = tables.instance_ids[tables.rows.instances[row]]
    return magnified(pixels.instance_map == instance_id, window, zoom)


def _body_parts(
    tables: SequenceTables, row: int, window: Window, zoom: int, solids: Solids | None
) -> np.ndarray | None:
    label = int(tables.rows.labels[row])
    if label < 0:
        return None
    (content,) = tables.labels.slice(label, 1).to_pylist()
    bodies = (solids(content) if solids is not None else []) or [box_of(content).corners()]
    view = tables.sequence.view(int(tables.frames[tables.rows.frames[row]]))
    return silhouette(bodies, view, window, zoom)


def _mask_outlines(tables: SequenceTables, row: int, instance_map: np.ndarray) -> Sequence[Sequence[float]]:
    left, top, right, bottom = window = tuple(tables.rows.mask_boxes_xyxy[row].astype(int).tolist())
    instance_id = tables.instance_ids[tables.rows.instances[row]]
    return outlines(instance_map[top : bottom + 1, left : right + 1] == instance_id, window)


def _encoded(image: np.ndarray | None, longest: int, quality: int) -> str | None:
    """A picture as a data URI, scaled down where a side is longer than `longest`."""
    if image is None:
        return None
    scale = longest / max(image.shape[:2])
    if scale < 1:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
