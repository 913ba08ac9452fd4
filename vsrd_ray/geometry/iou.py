"""Intersection over union of upright boxes in 3D and seen from above (bird's-eye view, BEV).

Shapes: ... any batch axes. The exact IoU is for measuring. `official_iou` repeats the KITTI-360 evaluation, biases and
all, for comparison with published figures alone.
"""

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from vsrd_ray.geometry import polygons

# Pairs that are clipped at a time: the arrays of one chunk stay within some tens of MB.
_CHUNK = 1 << 15
# Added to the denominator of an intersection of two lines by the KITTI-360 code, presumably against division by zero.
_OFFICIAL_EPSILON = 0.01
_FOOTPRINT = np.array([[0.5, 0.5], [0.5, -0.5], [-0.5, -0.5], [-0.5, 0.5]])


def box_iou_3d(  # noqa: PLR0917 - two boxes of three parts each
    centers_a: np.ndarray,  # [..., 3] metres, z up
    dimensions_a: np.ndarray,  # [..., 3] metres, full extents (length, width, height)
    yaws_a: np.ndarray,  # [...] radians about z
    centers_b: np.ndarray,  # [..., 3]
    dimensions_b: np.ndarray,  # [..., 3]
    yaws_b: np.ndarray,  # [...]
) -> tuple[np.ndarray, np.ndarray]:
    """Exact IoU of box pairs, in 3D [...] and bird's-eye view [...], element by element over broadcast batch axes.

    Each footprint is cut to the other's in that one's own frame, so IoU does not depend on where the pair stands: boxes
    kilometres from the origin lose nothing but the rounding of their own coordinates. Boxes without extent have IoU 0.
    """
    offsets = np.asarray(centers_a, dtype=np.float64) - np.asarray(centers_b, dtype=np.float64)
    batch = np.broadcast_shapes(
        offsets.shape[:-1], np.shape(dimensions_a)[:-1], np.shape(dimensions_b)[:-1], np.shape(yaws_a), np.shape(yaws_b)
    )
    offsets, sizes_a, sizes_b = (
        np.broadcast_to(values, (*batch, 3)).reshape(-1, 3) for values in (offsets, dimensions_a, dimensions_b)
    )
    angles_a, angles_b = (np.broadcast_to(values, batch).reshape(-1) for values in (yaws_a, yaws_b))
    footprints = np.empty(len(offsets))
    for start in range(0, len(offsets), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        footprints[chunk] = _footprint_intersections(
            offsets[chunk, :2], sizes_a[chunk, :2], sizes_b[chunk, :2], yaws_a=angles_a[chunk], yaws_b=angles_b[chunk]
        )
    tops = np.minimum(offsets[:, 2] + sizes_a[:, 2] / 2, sizes_b[:, 2] / 2)
    bottoms = np.maximum(offsets[:, 2] - sizes_a[:, 2] / 2, -sizes_b[:, 2] / 2)
    volumes = footprints * np.clip(tops - bottoms, 0.0, None)
    iou_3d = _over_union(volumes, sizes_a.prod(axis=-1), sizes_b.prod(axis=-1))
    iou_bev = _over_union(footprints, sizes_a[:, :2].prod(axis=-1), sizes_b[:, :2].prod(axis=-1))
    return iou_3d.reshape(batch), iou_bev.reshape(batch)


def official_iou(
    corners_a: np.ndarray,  # [..., 8, 3] metres, camera frame (y down), in the order of geometry/boxes.py
    corners_b: np.ndarray,  # [..., 8, 3]
) -> tuple[np.ndarray, np.ndarray]:
    """IoU of box pairs as the KITTI-360 evaluation computes it, in 3D [...] and bird's-eye view [...].

    The denominator of its polygon clip carries + 0.01, which biases IoU with the distance from the origin (about +0.005
    at 10 m, +0.04 at 60 m). Where two edges are nearly parallel, it can even throw IoU out of [0, 1], as published.
    Use it to compare with printed figures, and `box_iou_3d` for everything else.
    """
    corners_a, corners_b = np.broadcast_arrays(
        np.asarray(corners_a, dtype=np.float64), np.asarray(corners_b, dtype=np.float64)
    )
    batch = corners_a.shape[:-2]
    pairs = zip(corners_a.reshape(-1, 8, 3), corners_b.reshape(-1, 8, 3), strict=True)
    ious = np.array([_official_pair(a, b) for a, b in pairs]).reshape(*batch, 2)
    return ious[..., 0], ious[..., 1]


def _footprint_intersections(
    offsets: np.ndarray,  # [P, 2] centre of a from the centre of b
    sizes_a: np.ndarray,  # [P, 2] length and width
    sizes_b: np.ndarray,  # [P, 2]
    *,
    yaws_a: np.ndarray,  # [P]
    yaws_b: np.ndarray,  # [P]
) -> np.ndarray:
    """Areas [P] in which footprints overlap: each a is brought into the frame of its b and cut at b's four sides."""
    vertices = _rotated(_FOOTPRINT * sizes_a[:, None], yaws_a - yaws_b) + _rotated(offsets[:, None], -yaws_b)
    half = sizes_b[:, None] / 2
    for axis in (0, 1):
        vertices = polygons.clip(vertices, half[..., axis] - vertices[..., axis])
        vertices = polygons.clip(vertices, half[..., axis] + vertices[..., axis])
    return polygons.area(vertices)


def _rotated(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Vectors [P, M, 2], each row turned counter-clockwise by its angle [P]."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y = vectors[..., 0], vectors[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _over_union(intersections: np.ndarray, contents_a: np.ndarray, contents_b: np.ndarray) -> np.ndarray:
    unions = contents_a + contents_b - intersections
    return np.where(unions > 0, intersections / np.where(unions > 0, unions, 1.0), 0.0)


def _official_pair(corners_a: np.ndarray, corners_b: np.ndarray) -> tuple[float, float]:
    a, b = (np.stack([corners[:, 0], corners[:, 2], -corners[:, 1]], axis=-1) for corners in (corners_a, corners_b))
    area_a, area_b = (polygons.area(corners[None, :4, :2])[0] for corners in (a, b))
    overlap = _official_overlap(a[3::-1, :2], b[3::-1, :2])
    height = max(0.0, min(a[0, 2], b[0, 2]) - max(a[4, 2], b[4, 2]))
    volume_a, volume_b = (
        np.prod([np.linalg.norm(corners[0] - corners[other]) for other in (1, 3, 4)]) for corners in (a, b)
    )
    volume = overlap * height
    return float(volume / (volume_a + volume_b - volume)), float(overlap / (area_a + area_b - overlap))


def _official_overlap(subject: np.ndarray, clipper: np.ndarray) -> float:
    """Area of the convex hull of what the biased clip leaves of `subject`; both [4, 2], counter-clockwise."""
    points = list(subject)
    for start, end in zip(np.roll(clipper, 1, axis=0), clipper, strict=True):
        points = _official_clip(points, start, end)
    try:
        return float(ConvexHull(np.array(points)).volume) if len(points) > 2 else 0.0
    except QhullError:  # all points on one line
        return 0.0


def _official_clip(points: list[np.ndarray], start: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
    """What lies to the left of the line from `start` to `end`."""
    along = start - end
    clipped = []
    for previous, point in zip([*points[-1:], *points[:-1]], points, strict=True):
        previous_inside, inside = (_cross(end - start, candidate - start) > 0 for candidate in (previous, point))
        if inside != previous_inside:
            step = previous - point
            numerator = _cross(start, end) * step - _cross(previous, point) * along
            clipped.append(numerator / (_cross(along, step) + _OFFICIAL_EPSILON))
        if inside:
            clipped.append(point)
    return clipped


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    return a[0] * b[1] - a[1] * b[0]
