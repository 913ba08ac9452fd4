"""What a cluster is: its place, its extents, and how far its masks agree with it.

Shapes: N points of a sweep, K clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsrd_ray.labelers.points.keyframe import Seen
from vsrd_ray.labelers.points.refinement import Labels
from vsrd_ray.labels.points.classes import NO_INSTANCE

_FEW = 5.0  # points of which a cluster is as doubtful as not


@dataclass(frozen=True)
class Clusters:
    """The clusters of a sweep, by instance."""

    classes: np.ndarray  # [K] int64
    counts: np.ndarray  # [K] int64 points
    centers: np.ndarray  # [K, 3] m, middle of the bounds along the sensor's axes
    extents: np.ndarray  # [K, 3] m
    radii: np.ndarray  # [K] m, largest distance from the centre along x and y


def clusters_of(xyz: np.ndarray, labels: Labels) -> Clusters:
    """The clusters of points [N, 3]; instances are numbered from 0, without gaps."""
    own = np.flatnonzero(labels.instances != NO_INSTANCE)
    own = own[np.argsort(labels.instances[own], kind="stable")]
    ids = labels.instances[own]
    start = np.flatnonzero(np.diff(ids, prepend=-1))
    if not len(start):
        none = np.zeros((0, 3))
        return Clusters(np.zeros(0, np.int64), np.zeros(0, np.int64), none, none, np.zeros(0))
    points = xyz[own]
    low, high = np.minimum.reduceat(points, start), np.maximum.reduceat(points, start)
    centers = (low + high) / 2
    apart = np.linalg.norm((points - centers[ids])[:, :2], axis=1)
    return Clusters(
        classes=labels.classes[own[start]],
        counts=np.diff(np.append(start, len(own))),
        centers=centers,
        extents=high - low,
        radii=np.maximum.reduceat(apart, start),
    )


def confidences(labels: Labels, views: Sequence[Seen], counts: np.ndarray) -> np.ndarray:
    """Confidence [K] in [0, 1]: IoU of cluster and mask among the points in view, less where points are few.

    It is times the mask's score, where masks have one. Of several cameras, the mean by the points that each shows. A
    cluster may miss points of its mask on the ground, so that 1 is never reached; what counts is the order.
    """
    num = len(counts)
    agreed, weight = np.zeros(num), np.zeros(num)
    for view in views:
        own, masks = labels.instances[view.index], view.labels.instances
        shown = np.bincount(own[own != NO_INSTANCE], minlength=num)
        ids, place = np.unique(masks, return_inverse=True)
        sizes = np.bincount(place)
        both = (own != NO_INSTANCE) & (masks != NO_INSTANCE)
        pairs, shared = np.unique(own[both] * len(ids) + place[both], return_counts=True)
        cluster, mask = np.divmod(pairs, len(ids))
        best = np.zeros(num)
        scores = np.array([view.scores.get(one, 1.0) for one in ids.tolist()])
        np.maximum.at(best, cluster, scores[mask] * shared / (shown[cluster] + sizes[mask] - shared))
        agreed += shown * best
        weight += shown
    return agreed / np.maximum(weight, 1) * counts / (counts + _FEW)
