"""Slow and obvious twin of `UprightBoxes.iou` of vsrd_ray.geometry.boxes: one pair, one vertex at a time."""

import math


def footprint(center, dimensions, yaw):
    length, width = dimensions[0] / 2, dimensions[1] / 2
    cos, sin = math.cos(yaw), math.sin(yaw)
    corners = [(length, width), (-length, width), (-length, -width), (length, -width)]  # counter-clockwise
    return [(center[0] + cos * x - sin * y, center[1] + sin * x + cos * y) for x, y in corners]


def clip(subject, clipper):
    """Sutherland and Hodgman: keep what lies to the left of every side of the clipper."""
    for k in range(len(clipper)):
        (ax, ay), (bx, by) = clipper[k - 1], clipper[k]

        def side(p, ax=ax, ay=ay, bx=bx, by=by):
            return (bx - ax) * (p[1] - ay) - (by - ay) * (p[0] - ax)

        kept = []
        for i in range(len(subject)):
            p, q = subject[i - 1], subject[i]
            if (side(p) >= 0) != (side(q) >= 0):
                t = side(p) / (side(p) - side(q))
                kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
            if side(q) >= 0:
                kept.append(q)
        subject = kept
    return subject


def area(polygon):
    return sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True)) / 2


def box_iou(box_a, box_b):
    """IoU in 3D and bird's-eye view of two boxes (center, dimensions, yaw)."""
    (center_a, size_a, _), (center_b, size_b, _) = box_a, box_b
    overlap = area(clip(footprint(*box_a), footprint(*box_b)))
    top = min(center_a[2] + size_a[2] / 2, center_b[2] + size_b[2] / 2)
    bottom = max(center_a[2] - size_a[2] / 2, center_b[2] - size_b[2] / 2)
    volume = overlap * max(0.0, top - bottom)
    area_a, area_b = size_a[0] * size_a[1], size_b[0] * size_b[1]
    iou_3d = volume / (area_a * size_a[2] + area_b * size_b[2] - volume)
    return iou_3d, overlap / (area_a + area_b - overlap)
