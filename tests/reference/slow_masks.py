"""Slow and obvious twins of vsrd_ray/data/masks.py."""

import math

import cv2
import numpy as np


def polygon_distance(refined):
    """cv2's own signed distance of every pixel to the one outer contour of a refined mask."""
    contours, _ = cv2.findContours(refined.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    (contour,) = contours
    height, width = refined.shape
    pixels = [[cv2.pointPolygonTest(contour, (float(u), float(v)), True) for u in range(width)] for v in range(height)]
    return np.array(pixels)


def refine(mask):
    """Largest outer contour by the shoelace formula, filled by asking for every pixel whether it is inside."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [_shoelace(contour[:, 0].astype(float)) for contour in contours]
    contour = contours[areas.index(max(areas))]
    height, width = mask.shape
    inside = [
        [cv2.pointPolygonTest(contour, (float(u), float(v)), False) >= 0 for u in range(width)] for v in range(height)
    ]
    return np.array(inside)


def soft(distance, softness):
    return np.array([[1 / (1 + math.exp(-value / softness)) for value in row] for row in distance])


def _shoelace(corners):
    area = 0.0
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        area += x1 * y2 - x2 * y1
    return abs(area) / 2
