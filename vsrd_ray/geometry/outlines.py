"""How much of the image a box covers, with nothing in its way.

Shapes: ... any batch axes. A pixel (u, v) names its centre, so an image of W x H pixels spans [-.5, W - .5] x
[-.5, H - .5].
"""

import numpy as np

from vsrd_ray.geometry import polygons

# Corners of each face, in order around it.
_FACES = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])


def outline_areas(
    corners_cam: np.ndarray,  # [..., 8, 3] metres, in the order of geometry/boxes.py
    K: np.ndarray,  # [3, 3] pixels
    image_size: tuple[int, int],  # (width, height) pixels
) -> np.ndarray:
    """Area [...], square pixels, of each box's outline (the hull of its projected corners) inside the image.

    The faces that look at the camera tile the outline of a box, and each is cut to the view frustum in 3D before it is
    projected, so boxes that reach behind the camera are treated exactly. The whole image where the camera is inside.
    """
    batch = corners_cam.shape[:-2]
    corners = np.asarray(corners_cam, dtype=np.float64).reshape(-1, 8, 3)
    width, height = image_size
    faces = corners[:, _FACES]  # [B, 6, 4, 3]
    face_centers = faces.mean(axis=2)
    outward = face_centers - corners.mean(axis=1)[:, None]
    looks_here = (face_centers * outward).sum(axis=-1) < 0  # [B, 6]
    rows, _ = np.nonzero(looks_here)
    pieces = faces[looks_here] @ K.T  # [P, 4, 3] homogeneous pixels
    for normal in _frustum(width, height):
        pieces = polygons.clip(pieces, pieces @ normal)
    depths = pieces[..., 2:]
    pixels = pieces[..., :2] / np.where(depths > 0, depths, 1.0)
    areas = np.bincount(rows, weights=polygons.area(pixels), minlength=len(corners))
    areas[~looks_here.any(axis=1)] = width * height
    return areas.reshape(batch)


def _frustum(width: int, height: int) -> np.ndarray:
    """Normals [4, 3] of the planes in homogeneous pixels that bound the image, pointing inwards."""
    return np.array([[1, 0, 0.5], [-1, 0, width - 0.5], [0, 1, 0.5], [0, -1, height - 0.5]])
