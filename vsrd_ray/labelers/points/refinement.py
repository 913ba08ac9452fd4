"""Class and instance of points by the published rules: separability-aware refinement (SAR) and merging over cameras.

MixSup (ICLR 2024), the stage after the masks. Shapes: N points.
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.labelers.points.clustering import Points, components
from vsrd_ray.labels.points.classes import NAMES, NO_INSTANCE, NONE

_LARGE = 5  # the first classes
_LARGE_MARGIN, _SMALL_MARGIN = 1.0, 0.65  # m
_MERGE_SHARE = 0.5  # of the smaller instance, that two have to share to be one

# Blocks of classes that may be linked: vehicles that are easily taken for each other are one.
_BLOCK = np.arange(len(NAMES))
_BLOCK[[NAMES.index(name) for name in ("car", "truck", "bus", "construction_vehicle")]] = 0
_IS_CUT = np.isin(NAMES, ("barrier", "pedestrian"))  # classes that stand close: 2D instances are never linked


@dataclass(frozen=True)
class Labels:
    """What points are."""

    classes: np.ndarray  # [N] int64, places in `NAMES`; `NONE` without a label
    instances: np.ndarray  # [N] int64; `NO_INSTANCE` without a label

    @staticmethod
    def none(num: int) -> "Labels":
        """Points without labels."""
        return Labels(np.full(num, NONE), np.full(num, NO_INSTANCE))

    def at(self, index: np.ndarray) -> "Labels":
        """The labels of some points."""
        return Labels(self.classes[index], self.instances[index])

    def spread(self, index: np.ndarray, num: int) -> "Labels":
        """Labels of `num` points, of which those at `index` have these."""
        all_of = Labels.none(num)
        all_of.classes[index], all_of.instances[index] = self.classes, self.instances
        return all_of


def margins(classes: np.ndarray) -> np.ndarray:
    """The distance m [N], metres, within which points of a class are linked wherever they are."""
    return np.where(classes < _LARGE, _LARGE_MARGIN, _SMALL_MARGIN)


def blocks(classes: np.ndarray) -> np.ndarray:
    """Which classes [N] may be linked: those with one number."""
    return _BLOCK[classes]


def refine(xyz: np.ndarray, labels: Labels) -> Labels:
    """SAR: points [N, 3] of one instance in space, rather than in an image, become one instance.

    Points of class `NONE` or without an instance lose their labels.
    """
    index = np.flatnonzero((labels.classes != NONE) & (labels.instances != NO_INSTANCE))
    some = labels.at(index)
    found = components(
        Points(
            xyz=np.asarray(xyz[index], dtype=np.float64),
            margin=margins(some.classes),
            block=blocks(some.classes),
            scope=some.classes,
            part=np.where(_IS_CUT[some.classes], some.instances, 0),
        )
    )
    return merge_ids(some, found).spread(index, len(xyz))


def merge_ids(labels: Labels, component: np.ndarray) -> Labels:
    """Each component's most frequent 2D instance, of those that lie nowhere else more often.

    Args:
        labels: of N points with an instance.
        component: [N] of each point, from 0.

    Returns:
        Instances are new, in the order of the components. Components whose points belong to others have no label.
    """
    if not len(component):
        return labels
    ids, own = np.unique(labels.instances, return_inverse=True)
    counts = _table(own, component, len(ids), int(component.max()) + 1)
    home = counts.argmax(axis=1)  # of each id; ties: the lowest component
    kept = np.where(home[own] == component, own, -1)
    votes = _table(kept + 1, component, len(ids) + 1, counts.shape[1])  # row 0 counts points that are elsewhere at home
    winner = votes.argmax(axis=0) - 1  # ties: the lowest, so that -1 wins
    is_kept = winner >= 0
    new = np.where(is_kept, np.cumsum(is_kept) - 1, NO_INSTANCE)
    class_of = labels.classes[np.unique(labels.instances, return_index=True)[1]]
    classes = np.where(is_kept, class_of[winner], NONE)
    return Labels(classes[component], new[component])


def _table(rows: np.ndarray, columns: np.ndarray, num_rows: int, num_columns: int) -> np.ndarray:
    """How often each pair occurs [num_rows, num_columns]."""
    return np.bincount(rows * num_columns + columns, minlength=num_rows * num_columns).reshape(num_rows, num_columns)


def merge_views(running: Labels, edition: Labels) -> Labels:
    """Labels of cameras so far with those of one more laid over them.

    Instances that share half of the smaller one are one, and keep the running id and class.
    """
    has_new, has_old = edition.instances != NO_INSTANCE, running.instances != NO_INSTANCE
    shift = int(running.instances.max(initial=NO_INSTANCE)) + 1
    classes, instances = running.classes.copy(), running.instances.copy()
    new_classes, new = edition.classes.copy(), np.where(has_new, edition.instances + shift, NO_INSTANCE)
    both = np.flatnonzero(has_new & has_old)
    _, first = np.unique(edition.instances[both], return_index=True)
    for place in both[np.sort(first)].tolist():
        is_own = has_new & (edition.instances == edition.instances[place])
        met = running.instances[is_own & has_old]
        ids, firsts, shared = np.unique(met, return_index=True, return_counts=True)
        best = min(range(len(ids)), key=lambda i: (-shared[i], firsts[i]))
        is_running = instances == ids[best]
        if shared[best] / min(is_own.sum(), is_running.sum()) >= _MERGE_SHARE:
            new[is_own] = ids[best]
            new_classes[is_own] = classes[is_running][0]
    classes[has_new], instances[has_new] = new_classes[has_new], new[has_new]
    return Labels(classes, instances)
