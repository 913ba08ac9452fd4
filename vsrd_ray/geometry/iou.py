"""Intersection over union (IoU): parts of the exact one of upright boxes, and the KITTI-360 evaluation's own.

Shapes: ... any batch axes, P box pairs. The exact IoU (`UprightBoxes.iou`) is for measuring. `official_iou` repeats the
KITTI-360 evaluation, biases and all, for comparison with published figures alone.
"""

import numpy as np

from vsrd_ray.geometry import polygons

# Pairs that are clipped at a time: the arrays of one chunk stay within some tens of MB.
_CHUNK = 1 << 15
# Added to the denominator of an intersection of two lines by the KITTI-360 code, presumably against division by zero.
_OFFICIAL_EPSILON = 0.01
_FOOTPRINT = np.array([[0.5, 0.5], [0.5, -0.5], [-0.5, -0.5], [-0.5, 0.5]])


def footprint_intersections(
    offsets: np.ndarray,  # [P, 2] metres, centre of a from the centre of b
    sizes_a: np.ndarray,  # [P, 2] metres, length and width
    sizes_b: np.ndarray,  # [P, 2] metres
    *,
    yaws_a: np.ndarray,  # [P] radians
    yaws_b: np.ndarray,  # [P] radians
) -> np.ndarray:
    """Areas [P], square metres, in which the footprints of box pairs overlap.

    Each a is brought into the frame of its b and cut at b's four sides.
    """
    areas = np.empty(len(offsets))
    for start in range(0, len(offsets), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        turns, angles_b = yaws_a[chunk] - yaws_b[chunk], yaws_b[chunk]
        vertices = _rotated(_FOOTPRINT * sizes_a[chunk, None], turns) + _rotated(offsets[chunk, None], -angles_b)
        half = sizes_b[chunk, None] / 2
        for axis in (0, 1):
            vertices = polygons.clip(vertices, half[..., axis] - vertices[..., axis])
            vertices = polygons.clip(vertices, half[..., axis] + vertices[..., axis])
        areas[chunk] = polygons.area(vertices)
    return areas


def over_union(
    intersections: np.ndarray,  # [...] area or volume that a and b share
    contents_a: np.ndarray,  # [...] area or volume of a
    contents_b: np.ndarray,  # [...]
) -> np.ndarray:
    """Intersection over union [...], 0 where both are empty, NaN where a value is NaN."""
    unions = contents_a + contents_b - intersections
    return intersections / np.where((unions > 0) | np.isnan(unions), unions, 1.0)


def official_iou(
    corners_a: np.ndarray,  # [..., 8, 3] metres, camera frame (y down), in the order of geometry/boxes.py
    corners_b: np.ndarray,  # [..., 8, 3]
) -> tuple[np.ndarray, np.ndarray]:
    """IoU of box pairs as the KITTI-360 evaluation computes it, in 3D [...] and bird's-eye view [...].

    The denominator of its polygon clip carries + 0.01, which biases IoU with the distance from the origin (about +0.005
    at 10 m, +0.04 at 60 m). Where two edges are nearly parallel, it can even throw IoU out of [0, 1], as published.
    Use it to compare with printed figures, and `UprightBoxes.iou` for everything else.
    """
    corners_a, corners_b = np.broadcast_arrays(
        np.asarray(corners_a, dtype=np.float64), np.asarray(corners_b, dtype=np.float64)
    )
    batch = corners_a.shape[:-2]
    pairs = zip(corners_a.reshape(-1, 8, 3), corners_b.reshape(-1, 8, 3), strict=True)
    ious = np.array([_official_pair(a, b) for a, b in pairs]).reshape(*batch, 2)
    return ious[..., 0], ious[..., 1]


def _rotated(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Vectors [P, M, 2], each row turned counter-clockwise by its angle [P]."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y = vectors[..., 0], vectors[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


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
    # Here, since it loads for long, and boxes are read without it.
    from scipy.spatial import ConvexHull, QhullError  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

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
    clipped: list[np.ndarray] = []
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
