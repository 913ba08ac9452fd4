"""Outlines in an image: of convex solids as a camera sees them, and of masks.

Shapes: Q vertices of a solid, P of a polygon, h x w pixels of a window of the image. A pixel (u, v) names its centre.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from vsrd_ray.data.drive import View
from vsrd_ray.geometry import rigid

_NEAR = 0.05  # metres before the camera at which solids are cut
_SHIFT = 4  # fractional bits of the coordinates that OpenCV fills at
_SMOOTH = 0.7  # px by which an outline may leave the pixels' edges
Window = tuple[int, int, int, int]  # left, top, right, bottom px, the last pixel included


def silhouette(
    solids_world: Iterable[np.ndarray],  # each [Q, 3] metres, the vertices of a convex solid
    view: View,
    window: Window,
    zoom: int,
) -> np.ndarray:
    """Which parts [h * zoom, w * zoom] bool of a window the solids cover, each pixel cut into zoom x zoom parts."""
    left, top, right, bottom = window
    covered = np.zeros(((bottom - top + 1) * zoom, (right - left + 1) * zoom), dtype=np.uint8)
    T_cam_world = rigid.inverse(view.T_world_cam)
    for vertices in solids_world:
        hull = _projected_hull(rigid.apply(T_cam_world, vertices), view.K)
        if hull is not None:
            # parts are counted from the window's corner, half a pixel before its first pixel's centre
            parts = (hull - [left - 0.5, top - 0.5]) * zoom - 0.5
            cv2.fillConvexPoly(covered, np.round(parts * (1 << _SHIFT)).astype(np.int32), 1, cv2.LINE_8, _SHIFT)
    return covered.astype(bool)


def magnified(
    mask: np.ndarray,  # [H, W] bool
    window: Window,
    zoom: int,
) -> np.ndarray:
    """A window of a mask, [h * zoom, w * zoom] bool, each pixel cut into zoom x zoom parts."""
    left, top, right, bottom = window
    return mask[top : bottom + 1, left : right + 1].repeat(zoom, axis=0).repeat(zoom, axis=1)


def outlines(
    parts: np.ndarray,  # [h * zoom, w * zoom] bool
    window: Window,
    zoom: int = 1,
) -> list[list[float]]:
    """Outer and inner outlines, each as u, v, u, v, … px of the image, to a tenth of a pixel."""
    contours, _ = cv2.findContours(parts.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    corner = np.array([window[0] - 0.5, window[1] - 0.5])
    thinned = (cv2.approxPolyDP(contour, _SMOOTH * zoom, True)[:, 0] for contour in contours)
    polygons = [(polygon + 0.5) / zoom + corner for polygon in thinned if len(polygon) > 2]
    return [np.round(polygon, 1).ravel().tolist() for polygon in polygons]


def whole(image_size: tuple[int, int]) -> Window:
    """The window that holds the whole image."""
    return 0, 0, image_size[0] - 1, image_size[1] - 1


def _projected_hull(points_cam: np.ndarray, K: np.ndarray) -> np.ndarray | None:
    """Outline [P, 2] px of a convex solid [Q, 3], cut before the camera; None where nothing of it is there."""
    ahead = points_cam[:, 2] >= _NEAR
    if not ahead.any():
        return None
    front, rear = points_cam[ahead], points_cam[~ahead]
    if len(rear):
        # What is left of a convex solid is the hull of its front vertices and of the cuts through all lines between
        # front and rear ones: the edges are among them, and no other line leaves the solid.
        shares = (front[:, None, 2] - _NEAR) / (front[:, None, 2] - rear[None, :, 2])
        cuts = front[:, None] + shares[..., None] * (rear[None] - front[:, None])
        front = np.concatenate([front, cuts.reshape(-1, 3)])
    homogeneous = front @ K.T
    pixels = (homogeneous[:, :2] / homogeneous[:, 2:]).astype(np.float32)
    return cv2.convexHull(pixels)[:, 0].astype(np.float64)
