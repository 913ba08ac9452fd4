"""One class and one instance for each pixel of an image, from detections and the masks of a segmenter.

`paint_published` is MixSup's rule, held to its code's arrays. It looks at classes of detections alone; `paint_objects`
looks at which detection a mask belongs to. Shapes: D detections, M masks, H x W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vsrd_ray.labels.points.classes import NAMES, NO_INSTANCE, NONE

_MOSTLY_PAINTED = 0.3  # share of a mask beyond which another one was there before it
_BARRIER = NAMES.index("barrier")
_COVERED = 0.5  # share of a detection that masks have to cover to stand for it


@dataclass(frozen=True)
class Coarse:
    """Detections in one image, in the order in which they are painted: by class, then as given."""

    masks: np.ndarray  # [D, H, W] bool
    classes: np.ndarray  # [D] int64, places in `NAMES`
    scores: np.ndarray  # [D] float, 0..1

    @staticmethod
    def of(masks: np.ndarray, classes: np.ndarray, scores: np.ndarray) -> "Coarse":
        """The detections in their order."""
        order = np.argsort(classes, kind="stable")
        return Coarse(masks[order], classes[order], scores[order])

    @property
    def places(self) -> np.ndarray:
        """The last detection painted [H, W] int64 at each pixel; -1 where there is none."""
        found = np.full(self.masks.shape[1:], -1)
        for place, mask in enumerate(self.masks):
            found[mask] = place
        return found

    @property
    def semantic(self) -> np.ndarray:
        """Class [H, W] int64 of each pixel; `NONE` where nothing was found."""
        return np.append(self.classes, NONE)[self.places]


@dataclass(frozen=True)
class Painted:
    """What one image shows, pixel by pixel."""

    semantic: np.ndarray  # [H, W] int64, places in `NAMES`; `NONE`
    instance: np.ndarray  # [H, W] int64 from 0; `NO_INSTANCE`
    scores: np.ndarray  # by instance, 0..1


# Masks [M, H, W] bool of a segmenter, their scores [M], and what was detected.
Painter = Callable[[np.ndarray, np.ndarray, Coarse], Painted]


def largest_first(masks: np.ndarray) -> np.ndarray:
    """Places [M] of masks by falling area; ties as given."""
    return np.argsort(-masks.sum(axis=(1, 2)), kind="stable")


def paint_published(masks: np.ndarray, scores: np.ndarray, coarse: Coarse) -> Painted:
    """Masks over each other, the largest first; each has the class that detections have most often inside it.

    A mask of which much is painted already, mostly with its own class, is left out; barriers never are.
    """
    order, seen = largest_first(masks), coarse.semantic
    semantic, instance = np.full(seen.shape, NONE), np.full(seen.shape, NO_INSTANCE)
    for number, mask in enumerate(masks[order]):
        class_ = int(np.bincount(seen[mask], minlength=NONE + 1).argmax())
        if class_ == NONE:
            continue
        before = np.bincount(semantic[mask], minlength=NONE + 1)
        mostly_painted = before[:NONE].sum() / before.sum() > _MOSTLY_PAINTED
        if class_ != _BARRIER and mostly_painted and int(before.argmax()) == class_:
            continue
        semantic[mask], instance[mask] = class_, number
    return Painted(semantic, instance, scores[order])


def paint_objects(masks: np.ndarray, scores: np.ndarray, coarse: Coarse) -> Painted:
    """Masks cut and put together by detections: fragments inside one are one object, a mask over two is cut.

    A pixel of a mask is of the detection there; one outside of all, of the detection that has most of the mask, if
    it has half of it. Detections that masks hardly cover stay as they are. Instances are detections.
    """
    detection = coarse.places
    found = np.full(detection.shape, NO_INSTANCE)
    sure = np.zeros(len(coarse.classes))
    for place in largest_first(masks):
        mask = masks[place]
        inside = detection[mask]
        counts = np.bincount(inside + 1, minlength=len(coarse.classes) + 1)[1:]
        if not counts.any():
            continue
        most = int(counts.argmax())
        rest = most if counts[most] >= _COVERED * len(inside) else NO_INSTANCE
        found[mask] = np.where(inside >= 0, inside, found[mask] if rest == NO_INSTANCE else rest)
        sure[counts > 0] = np.maximum(sure[counts > 0], scores[place])
    for place in range(len(coarse.classes)):
        own = detection == place
        if own.any() and (found[own] == place).mean() < _COVERED:
            found[own] = place
            sure[place] = 1.0  # nothing but the detector's own score is known
    return Painted(np.append(coarse.classes, NONE)[found], found, coarse.scores * sure)
