"""Slow and obvious twins of vsrd_ray/labelers/vsrd/bodyfit.py and outlines.py: polygons by cv2, pixels one by one."""

import cv2
import numpy as np


def solid_distance(point, vertices):
    """Signed distance px, positive outside, of a point from the convex hull of a solid's pixels [P, 2]."""
    hull = cv2.convexHull(np.asarray(vertices, dtype=np.float32))
    return -cv2.pointPolygonTest(hull, tuple(map(float, point)), True)


def silhouette_distance(point, solids):
    """That from the union of several: the smallest."""
    return min(solid_distance(point, vertices) for vertices in solids)


def feet(instance_map):
    """The row below what each pixel belongs to: an instance's lowest pixel, or stuff's run in the column."""
    height, width = instance_map.shape
    rows = np.zeros((height, width), dtype=int)
    for v, u in np.ndindex(height, width):
        own, row = instance_map[v, u], v
        while row < height and instance_map[row, u] == own:
            row += 1
        rows[v, u] = np.nonzero(instance_map == own)[0].max() + 1 if own % 1000 else row
    return rows


def where_it_can_be(instance_map, instance_id, *, never_in_front, margin):
    """Pixels [H, W] bool of an instance, and of what may stand nearer than it and so hide more of it."""
    below = feet(instance_map)
    own_foot = np.nonzero(instance_map == instance_id)[0].max() + 1
    possible = np.zeros(instance_map.shape, dtype=bool)
    for at, other in np.ndenumerate(instance_map):
        is_instance = other % 1000 > 0
        is_nearer = below[at] > own_foot + (-margin if is_instance else margin)
        possible[at] = other == instance_id or (other // 1000 not in never_in_front and is_nearer)
    return possible


def in_crop(possible, crop_xyxy):
    """The part [h, w] bool in a crop, all sides included; off the image, where nobody looks, an object can be."""
    left, top, right, bottom = map(int, crop_xyxy)
    height, width = possible.shape
    return np.array(
        [
            [not (0 <= u < width and 0 <= v < height) or possible[v, u] for u in range(left, right + 1)]
            for v in range(top, bottom + 1)
        ]
    )


def clearance(pixel, possible):
    """Distance px of a pixel (u, v) from the nearest one where an object can be."""
    rows, columns = np.nonzero(possible)
    return np.hypot(columns - pixel[0], rows - pixel[1]).min()
