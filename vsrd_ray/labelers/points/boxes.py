"""Oriented boxes of clusters: the angle at which points lie along two sides, and sizes of classes for what is hidden.

L-shape fitting by closeness (Zhang et al., Efficient L-Shape Fitting for Vehicle Detection Using Laser Scanners, IV
2017). A LiDAR sees the near sides of an object alone, so the sides towards the sensor stay where they are and the box
grows away from it to its class's usual size. Which end is the front is not known. Shapes: N points of a sweep,
K clusters, n points of one.
"""

import numpy as np

from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labelers.points.ground import Ground
from vsrd_ray.labels.points.classes import NAMES

# Metres: usual length, width and height of each class on roads, and the widest that a side may be to be no length.
_SIZES = {
    "car": (4.6, 1.95, 1.7, 2.3),
    "truck": (6.9, 2.5, 2.8, 3.0),
    "trailer": (12.3, 2.9, 3.9, 3.5),
    "bus": (11.0, 2.9, 3.4, 3.5),
    "construction_vehicle": (6.4, 2.8, 3.2, 3.5),
    "bicycle": (1.7, 0.6, 1.3, 0.9),
    "motorcycle": (2.1, 0.8, 1.5, 1.1),
    "pedestrian": (0.7, 0.7, 1.75, 0.9),
    "traffic_cone": (0.4, 0.4, 1.0, 0.6),
    "barrier": (0.5, 2.5, 1.0, 1.0),  # which faces along its short side
}
_USUAL = np.array([_SIZES[name][:3] for name in NAMES])
_WIDEST = np.array([_SIZES[name][3] for name in NAMES])
_LOW_PART = 0.5  # share of the usual height below which the top was not seen
_ANGLES = np.deg2rad(np.arange(0, 90, 2.0))
_CLOSE = 0.05  # m from a side within which a point cannot lie closer
_MOST = 150  # points that are looked at for the angle
_TRIM = 0.01  # share of the points outside each side of the box: stray returns


def boxes_of(
    xyz: np.ndarray,  # [N, 3] metres, axes of the world, the sensor at the origin
    instances: np.ndarray,  # [N] from 0 without gaps; -1 for none
    classes: np.ndarray,  # [K] places in `NAMES`
    ground: Ground,
) -> UprightBoxes:
    """The boxes [K] of clusters, in the same axes. Yaws are in [-pi / 2, pi / 2)."""
    order = np.argsort(instances, kind="stable")[np.sum(instances < 0) :]
    ends = np.flatnonzero(np.diff(instances[order])) + 1
    parts = np.split(order, ends) if len(order) else []
    found = [_box(xyz[own], class_) for own, class_ in zip(parts, classes.tolist(), strict=True)]
    centers, sizes, yaws, tops = (np.array(values) for values in zip(*found, strict=True)) if found else _none()
    bottoms = ground.height(centers) if len(centers) else tops
    heights = tops - bottoms
    usual = _USUAL[classes, 2]
    heights = np.where(heights < _LOW_PART * usual, usual, heights)
    return UprightBoxes(
        np.column_stack([centers, bottoms + heights / 2]), np.column_stack([sizes, heights]), np.asarray(yaws)
    )


def _none() -> tuple[np.ndarray, ...]:
    return np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0)


def _box(points: np.ndarray, class_: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Centre [2], length and width [2], yaw and top of the points [n, 3] of a cluster."""
    xy = points[:, :2]
    angle = _angle(xy[:: -(-len(xy) // _MOST)])
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    along = xy @ axes.T
    low, high = np.quantile(along, [_TRIM, 1 - _TRIM], axis=0)
    sizes = high - low
    longer = int(sizes[1] > sizes[0])
    if sizes[longer] <= _WIDEST[class_] < _USUAL[class_, :2].max():
        longer = 1 - longer  # an end: the longer side is hidden behind it
    usual = np.empty(2)
    usual[longer], usual[1 - longer] = _USUAL[class_, :2].max(), _USUAL[class_, :2].min()
    # The near side stays: the sensor is at the origin.
    near_is_low = np.abs(low) <= np.abs(high)
    grown = np.maximum(sizes, usual)
    center = np.where(near_is_low, low + grown / 2, high - grown / 2)
    inside = (low < 0) & (high > 0)  # the sensor is between the sides, and sees neither from outside
    center = np.where(inside, (low + high) / 2, center)
    ahead = longer if _USUAL[class_, 0] >= _USUAL[class_, 1] else 1 - longer
    yaw = (angle + ahead * np.pi / 2 + np.pi / 2) % np.pi - np.pi / 2
    return center @ axes, np.array([grown[ahead], grown[1 - ahead]]), float(yaw), float(points[:, 2].max())


def _angle(xy: np.ndarray) -> float:
    """The angle in [0, pi / 2) at which most points [n, 2] lie close to a side of their bounds."""
    cos, sin = np.cos(_ANGLES)[:, None], np.sin(_ANGLES)[:, None]
    x, y = xy.T
    gaps = []
    for along in (x * cos + y * sin, y * cos - x * sin):
        low, high = along.min(axis=1, keepdims=True), along.max(axis=1, keepdims=True)
        gaps.append(np.minimum(along - low, high - along))
    closeness = (1 / np.maximum(np.minimum(*gaps), _CLOSE)).sum(axis=1)
    return float(_ANGLES[closeness.argmax()])
