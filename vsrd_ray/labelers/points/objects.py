"""Objects of one sweep from what each camera shows of them.

Two masks of one camera are never one object. Of two cameras they are where both see the same points, or where an object
is cut by the borders of both images. Shapes: N points, S surfaces, V cameras.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial import KDTree

from vsrd_ray.labelers.points.clustering import RANGE_SHARE
from vsrd_ray.labelers.points.keyframe import Seen
from vsrd_ray.labelers.points.refinement import Labels, blocks, margins
from vsrd_ray.labelers.points.surfaces import LONGEST, Surface, surfaces_of
from vsrd_ray.labels.points.classes import NO_INSTANCE

_SAME_SHARE = 0.5  # of the points that two cameras both see, which both give to one object
_BORDER = 0.06  # share of an image's width beside its left and right borders


def label_objects(
    xyz: np.ndarray,  # [N, 3] float64 metres, in the sensor's frame
    is_ground: np.ndarray,  # [N] bool
    views: Sequence[Seen],
    *,
    front_share: float,
    reach: float,
) -> Labels:
    """Labels of a sweep's points.

    Args:
        xyz: the points.
        is_ground: which of them belong to the ground.
        views: what the cameras show of them.
        front_share: see `surfaces_of`.
        reach: metres around an object within which points that no mask shows, or whose mask is of another one, are its.
    """
    surfaces = [
        surface
        for camera, view in enumerate(views)
        for surface in surfaces_of(xyz, is_ground, view, camera=camera, front_share=front_share)
    ]
    objects = _joined(xyz, surfaces, views)
    labels = _extended(xyz, _labels(surfaces, objects, len(xyz)), ~is_ground, reach)
    is_hidden = ~is_ground
    for view in views:
        is_hidden[view.index] = False
    cut = {int(objects[i]) for i, one in enumerate(surfaces) if len(_beside_border(one, views[one.camera]))}
    return _numbered(_completed(xyz, labels, is_hidden, cut, reach))


def _joined(xyz: np.ndarray, surfaces: Sequence[Surface], views: Sequence[Seen]) -> np.ndarray:
    """Object [S] of each surface, from 0; the surfaces of an object are of different cameras."""
    objects = np.arange(len(surfaces))
    cameras = {place: {surface.camera} for place, surface in enumerate(surfaces)}
    for a, b in (*_shared(surfaces, views, len(xyz)), *_cut_by_borders(xyz, surfaces, views)):
        one, other = sorted((int(objects[a]), int(objects[b])))
        if one != other and not cameras[one] & cameras[other]:
            objects[objects == other] = one
            cameras[one] |= cameras.pop(other)
    return objects


def _in_view(surfaces: Sequence[Surface], views: Sequence[Seen], num: int) -> np.ndarray:
    """How many points of each surface each camera shows [S, V], whatever it takes them for."""
    counts = np.zeros((len(surfaces), len(views)), dtype=np.int64)
    for camera, view in enumerate(views):
        is_seen = np.zeros(num, dtype=bool)
        is_seen[view.index] = True
        counts[:, camera] = [is_seen[surface.index].sum() for surface in surfaces]
    return counts


def _shared(surfaces: Sequence[Surface], views: Sequence[Seen], num: int) -> Iterator[tuple[int, int]]:
    """Pairs of surfaces that have half of the points that both of their cameras see in common; most first."""
    owner = np.full((len(views), num), -1)
    for place, surface in enumerate(surfaces):
        owner[surface.camera, surface.index] = place
    in_view = _in_view(surfaces, views, num)
    found = []
    for one in range(len(views)):
        for other in range(one + 1, len(views)):
            both = owner[[one, other]][:, (owner[one] >= 0) & (owner[other] >= 0)]
            pairs, shared = np.unique(both, axis=1, return_counts=True)
            for (a, b), count in zip(pairs.T.tolist(), shared.tolist(), strict=True):
                share = count / min(in_view[a, other], in_view[b, one])
                if share >= _SAME_SHARE:
                    found.append((-share, a, b))
    return ((a, b) for _, a, b in sorted(found))


def _cut_by_borders(xyz: np.ndarray, surfaces: Sequence[Surface], views: Sequence[Seen]) -> Iterator[tuple[int, int]]:
    """Pairs of surfaces that are linked beside the borders of two images which do not both show them; nearest first."""
    in_view = _in_view(surfaces, views, len(xyz))
    edges = [_beside_border(surface, views[surface.camera]) for surface in surfaces]
    trees = [KDTree(xyz[edge]) if len(edge) else None for edge in edges]
    found = []
    for b, edge in enumerate(edges):
        for a in range(b):
            one, other, tree = surfaces[a], surfaces[b], trees[a]
            seen_by_both = in_view[a, other.camera] > 0 and in_view[b, one.camera] > 0
            if tree is None or not len(edge) or one.camera == other.camera or seen_by_both:
                continue
            kinds = np.array([one.class_, other.class_])
            if len(np.unique(blocks(kinds))) > 1:
                continue
            gap = tree.query(xyz[edge])[0].min()
            if gap < max(RANGE_SHARE * np.linalg.norm(xyz[edge], axis=1).min(), margins(kinds).min()):
                found.append((gap, a, b))
    return ((a, b) for _, a, b in sorted(found))


def _beside_border(surface: Surface, view: Seen) -> np.ndarray:
    """Places of the points of a surface that lie beside the left or right border of the image."""
    across = view.across[np.searchsorted(view.index, surface.index)]
    return surface.index[(across < _BORDER) | (across > 1 - _BORDER)]


def _labels(surfaces: Sequence[Surface], objects: np.ndarray, num: int) -> Labels:
    """Labels of points: where surfaces overlap, of the larger one; the class is that of an object's largest surface."""
    labels = Labels.none(num)
    classes = np.zeros(len(surfaces), dtype=np.int64)
    for place in sorted(range(len(surfaces)), key=lambda place: len(surfaces[place].index)):
        labels.instances[surfaces[place].index] = objects[place]
        classes[objects[place]] = surfaces[place].class_
    has_any = labels.instances != NO_INSTANCE
    labels.classes[has_any] = classes[labels.instances[has_any]]
    return labels


def _extended(xyz: np.ndarray, labels: Labels, is_free: np.ndarray, reach: float) -> Labels:
    """The same with free points [N] near labelled ones labelled as these."""
    free = np.flatnonzero(is_free & (labels.instances == NO_INSTANCE))
    own = np.flatnonzero(labels.instances != NO_INSTANCE)
    taken, source = _near(xyz, free, own, reach)
    classes, instances = labels.classes.copy(), labels.instances.copy()
    classes[taken], instances[taken] = labels.classes[source], labels.instances[source]
    return Labels(classes, instances)


def _completed(xyz: np.ndarray, labels: Labels, is_hidden: np.ndarray, cut: set[int], reach: float) -> Labels:
    """The same with the rest of objects that a border cuts: hidden points [N], step by step, up to its length."""
    classes, instances = labels.classes.copy(), labels.instances.copy()
    edge = np.flatnonzero(np.isin(instances, list(cut)))
    low, high = np.full((len(xyz), 2), np.inf), np.full((len(xyz), 2), -np.inf)  # bounds by instance
    while len(edge):
        np.minimum.at(low, instances[edge], xyz[edge, :2])
        np.maximum.at(high, instances[edge], xyz[edge, :2])
        hidden = np.flatnonzero(is_hidden & (instances == NO_INSTANCE))
        taken, source = _near(xyz, hidden, edge, reach)
        own = instances[source]
        wide = np.maximum(high[own], xyz[taken, :2]) - np.minimum(low[own], xyz[taken, :2])
        fits = np.hypot(*wide.T) <= LONGEST[classes[source]]
        edge, source = taken[fits], source[fits]
        classes[edge], instances[edge] = classes[source], instances[source]
    return Labels(classes, instances)


def _near(xyz: np.ndarray, some: np.ndarray, others: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Those of some points that are within reach of others, and the nearest other of each."""
    if not len(others) or reach <= 0:
        return some[:0], others[:0]
    gap, nearest = (np.asarray(one) for one in KDTree(xyz[others]).query(xyz[some], distance_upper_bound=reach))
    taken = np.isfinite(gap)
    return some[taken], others[nearest[taken]]


def _numbered(labels: Labels) -> Labels:
    """The same with instances numbered by their first points."""
    instances, has_any = labels.instances.copy(), labels.instances != NO_INSTANCE
    _, first, place = np.unique(instances[has_any], return_index=True, return_inverse=True)
    instances[has_any] = np.argsort(np.argsort(first))[place]
    return Labels(labels.classes, instances)
