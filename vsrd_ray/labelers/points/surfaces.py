"""The points of each object that a camera's mask shows: what is left of a mask without ground and background.

LiDARs sit above cameras and see past what a camera sees, and masks are not exact. So a mask also takes points behind
its object. Shapes: N points, M points in view of a camera, C components.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vsrd_ray.labelers.points.clustering import Points, components
from vsrd_ray.labelers.points.keyframe import Seen
from vsrd_ray.labelers.points.refinement import margins
from vsrd_ray.labels.points.classes import NAMES, NO_INSTANCE

# Metres, of the tallest and the longest of each class that may drive or stand on a road.
_SIZES = {
    "car": (2.6, 6.5),
    "truck": (4.6, 14.0),
    "trailer": (4.6, 15.0),
    "bus": (4.6, 15.0),
    "construction_vehicle": (6.0, 11.0),
    "bicycle": (2.2, 2.5),
    "motorcycle": (2.2, 3.0),
    "pedestrian": (2.3, 1.5),
    "traffic_cone": (1.4, 1.0),
    "barrier": (1.8, 4.0),
}
_TALLEST, LONGEST = np.array([_SIZES[name] for name in NAMES]).T
_NEAR = 0.1  # share of a component's points that lie before its near depth


@dataclass(frozen=True)
class Surface:
    """An object as one camera shows it."""

    camera: int  # place among the views
    class_: int  # place in `NAMES`
    index: np.ndarray  # places in the sweep


@dataclass(frozen=True)
class _Parts:
    """The components of a camera's points, each of one mask."""

    points: np.ndarray  # [M] places in the sweep, sorted by component
    start: np.ndarray  # [C] first place of each
    count: np.ndarray  # [C]
    near: np.ndarray  # [C] depth, m, behind which nearly all points lie
    low: np.ndarray  # [C, 2] m, bounds along x and y
    high: np.ndarray  # [C, 2]
    instance: np.ndarray  # [C] of the mask
    class_: np.ndarray  # [C]
    tallness: np.ndarray  # [C] of the mask


def surfaces_of(
    xyz: np.ndarray,  # [N, 3] float64 metres, in the sensor's frame
    is_ground: np.ndarray,  # [N] bool
    view: Seen,
    *,
    camera: int,
    front_share: float,
) -> list[Surface]:
    """The objects of a camera, at most one for each mask.

    A mask's points are taken apart where they are not linked. Parts so deep that the mask would be taller there than
    any of its class are background. Of the others the largest is the object, or a nearer one that has `front_share` of
    its points; and so are parts that fit into the length of the class with it, as of a car behind a pole.
    """
    parts = _parts(xyz, is_ground, view)
    surfaces = []
    for places in _by_instance(parts):
        class_ = int(parts.class_[places[0]])
        kept = _of_object(parts, places, class_, front_share)
        if len(kept):
            spans = [parts.points[parts.start[part] :][: parts.count[part]] for part in kept]
            surfaces.append(Surface(camera, class_, np.sort(np.concatenate(spans))))
    return surfaces


def _parts(xyz: np.ndarray, is_ground: np.ndarray, view: Seen) -> _Parts:
    used = np.flatnonzero((view.labels.instances != NO_INSTANCE) & ~is_ground[view.index])
    points, labels, depth = view.index[used], view.labels.at(used), view.depth[used]
    same = np.zeros(len(used), dtype=np.int64)
    part = components(
        Points(xyz=xyz[points], margin=margins(labels.classes), block=same, scope=same, part=labels.instances)
    )
    order = np.lexsort([depth, part])
    start = np.flatnonzero(np.diff(part[order], prepend=-1))
    count = np.diff(np.append(start, len(order)))
    xy = xyz[points[order], :2]
    first = order[start]
    return _Parts(
        points=points[order],
        start=start,
        count=count,
        near=depth[order[start + (_NEAR * (count - 1)).astype(np.int64)]],
        low=np.minimum.reduceat(xy, start) if len(start) else xy,
        high=np.maximum.reduceat(xy, start) if len(start) else xy,
        instance=labels.instances[first],
        class_=labels.classes[first],
        tallness=view.tallness[used[first]],
    )


def _by_instance(parts: _Parts) -> Iterator[np.ndarray]:
    """Places of the components of each mask."""
    order = np.argsort(parts.instance, kind="stable")
    ends = np.flatnonzero(np.diff(parts.instance[order])) + 1
    return iter(np.split(order, ends) if len(order) else [])


def _of_object(parts: _Parts, places: np.ndarray, class_: int, front_share: float) -> list[int]:
    possible = places[parts.tallness[places] * parts.near[places] <= _TALLEST[class_]]
    if not len(possible):
        return []
    count = parts.count[possible]
    large = possible[count >= front_share * count.max()]
    main = int(large[np.argmin(parts.near[large])])
    kept, low, high = [main], parts.low[main], parts.high[main]
    for part in possible[np.argsort(-count, kind="stable")].tolist():
        wider = np.minimum(low, parts.low[part]), np.maximum(high, parts.high[part])
        if part != main and np.hypot(*(wider[1] - wider[0])) <= LONGEST[class_]:
            kept.append(part)
            low, high = wider
    return kept
