"""Boxes, masks and text drawn into images.

Shapes: H x W pixels. Images are BGR uint8 and are drawn into in place. Colours are (blue, green, red), 0..255.
"""

import colorsys

import cv2
import numpy as np

from vsrd_ray.geometry import polygons
from vsrd_ray.geometry.boxes import EDGES

Color = tuple[int, int, int]

WHITE: Color = (255, 255, 255)
INK: Color = (40, 36, 32)
PAPER: Color = (248, 248, 246)
GREY: Color = (170, 168, 165)

FONT = cv2.FONT_HERSHEY_SIMPLEX
_FRONT = np.array([0, 1, 5, 4])  # corners of the front face, in order around it
_NEAR = 0.05  # metres before the camera at which edges are cut
_GOLDEN_RATIO = 0.6180339887498949
_SHIFT = 4  # fractional bits of the coordinates that OpenCV draws at


def instance_color(instance_id: int) -> Color:
    """A colour of its own for each instance, the same in every picture: neighbouring ids lie far apart on the wheel."""
    hue = (instance_id * _GOLDEN_RATIO) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(255 * blue), round(255 * green), round(255 * red)


def draw_box(
    image: np.ndarray,  # [H, W, 3]
    corners_cam: np.ndarray,  # [8, 3] metres, in the order of geometry/boxes.py
    K: np.ndarray,  # [3, 3] pixels
    *,
    color: Color,
    thickness: int = 2,
    fill_front: bool = True,
) -> None:
    """Draw a box as a wireframe, with its front face tinted; only what is before the camera and in the image."""
    normals = _view_planes(image, K)
    if fill_front:
        front = corners_cam[None, _FRONT]
        for normal, offset in normals:
            front = polygons.clip(front, front @ normal + offset)
        if front.shape[1] > 2:
            blend_polygon(image, _project(front[0], K), color=color, opacity=0.35)
    starts, ends = _clip_segments(corners_cam[EDGES[:, 0]], corners_cam[EDGES[:, 1]], normals)
    for start, end in zip(_project(starts, K), _project(ends, K), strict=True):
        draw_line(image, start, end, color=color, thickness=thickness)


def draw_masks(
    image: np.ndarray,  # [H, W, 3]
    instance_map: np.ndarray,  # [H, W]
    instance_ids: np.ndarray,  # [N]
    *,
    opacity: float = 0.45,
) -> None:
    """Tint the masks of some instances, each with its colour, and draw their outlines."""
    for instance_id in np.asarray(instance_ids).tolist():
        mask = instance_map == instance_id
        if not mask.any():
            continue
        color = instance_color(instance_id)
        image[mask] = (image[mask] * (1 - opacity) + np.array(color) * opacity).astype(np.uint8)
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, color, 1, cv2.LINE_AA)


def draw_line(
    image: np.ndarray,
    start: np.ndarray,  # [2] pixels
    end: np.ndarray,  # [2] pixels
    *,
    color: Color,
    thickness: int = 1,
) -> None:
    """Draw an anti-aliased line between two points, to a sixteenth of a pixel."""
    cv2.line(image, _fixed_point(start), _fixed_point(end), color, thickness, cv2.LINE_AA, _SHIFT)


def draw_polygon(
    image: np.ndarray,
    points: np.ndarray,  # [M, 2] pixels
    *,
    color: Color,
    thickness: int = 1,
    closed: bool = True,
) -> None:
    """Draw the anti-aliased outline of a polygon, or a path."""
    fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
    cv2.polylines(image, [fixed], closed, color, thickness, cv2.LINE_AA, _SHIFT)


def blend_polygon(
    image: np.ndarray,
    points: np.ndarray,  # [M, 2] pixels
    *,
    color: Color,
    opacity: float,
) -> None:
    """Tint the inside of a convex polygon."""
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(points.min(axis=0)).astype(int), 0, [width, height])
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 0, [width, height])
    window = image[top:bottom, left:right]
    if not window.size:
        return
    tinted = window.copy()
    fixed = np.round((points - [left, top]) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(tinted, fixed, color, cv2.LINE_AA, _SHIFT)
    cv2.addWeighted(tinted, opacity, window, 1 - opacity, 0, dst=window)


def draw_text(
    image: np.ndarray,
    text: str,
    origin: tuple[float, float],  # pixels, left end of the base line
    *,
    color: Color = INK,
    size: float = 0.5,
    halo: Color | None = None,
) -> None:
    """Write a line of text, with a halo where it stands on a picture."""
    place = round(origin[0]), round(origin[1])
    if halo is not None:
        for dx, dy in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            cv2.putText(image, text, (place[0] + dx, place[1] + dy), FONT, size, halo, 1, cv2.LINE_AA)
    cv2.putText(image, text, place, FONT, size, color, 1, cv2.LINE_AA)


def text_width(text: str, size: float = 0.5) -> int:
    """Width of a line of text, pixels."""
    return cv2.getTextSize(text, FONT, size, 1)[0][0]


def _view_planes(image: np.ndarray, K: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Planes (normal, offset) with normal @ p + offset >= 0 for points before the camera and in the image's view.

    The view is a little wider than the image, so that lines that leave it are not seen to end.
    """
    height, width = image.shape[:2]
    margin = 20.0
    sides = np.array(
        [[1, 0, margin], [-1, 0, width + margin], [0, 1, margin], [0, -1, height + margin]], dtype=np.float64
    )
    return [(np.array([0.0, 0.0, 1.0]), -_NEAR), *((side @ K, 0.0) for side in sides)]


def _clip_segments(
    starts: np.ndarray,  # [E, 3]
    ends: np.ndarray,  # [E, 3]
    planes: list[tuple[np.ndarray, float]],
) -> tuple[np.ndarray, np.ndarray]:
    """Parts of the segments on the inner side of all planes; segments wholly outside are left out."""
    for normal, offset in planes:
        at_start, at_end = starts @ normal + offset, ends @ normal + offset
        kept = (at_start >= 0) | (at_end >= 0)
        starts, ends, at_start, at_end = starts[kept], ends[kept], at_start[kept], at_end[kept]
        crosses = (at_start >= 0) != (at_end >= 0)
        shares = at_start / np.where(crosses, at_start - at_end, 1.0)
        cuts = starts + (ends - starts) * shares[:, None]
        starts, ends = (
            np.where((crosses & (at_start < 0))[:, None], cuts, starts),
            np.where((crosses & (at_end < 0))[:, None], cuts, ends),
        )
    return starts, ends


def _project(points_cam: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Pixels [P, 2] of points [P, 3] before the camera."""
    homogeneous = points_cam @ K.T
    return homogeneous[:, :2] / np.maximum(homogeneous[:, 2:], _NEAR)


def _fixed_point(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0]) * (1 << _SHIFT)), round(float(point[1]) * (1 << _SHIFT))
