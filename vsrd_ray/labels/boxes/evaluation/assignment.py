"""Which detection gets which object: pairs of one frame or window, and the greedy choice among them.

Shapes: D detections, G objects, P pairs of one of each.
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.geometry.boxes import UprightBoxes

_CHUNK = 1 << 16  # detections whose pairs are looked at at a time
NOTHING = -1


@dataclass(frozen=True)
class PlacedBoxes:
    """Boxes, each in one of many frames or windows that have nothing to do with each other."""

    places: np.ndarray  # [N] frame or window
    boxes: UprightBoxes  # [N]

    def where(self, chosen: np.ndarray) -> "PlacedBoxes":
        """The boxes that a mask or positions choose."""
        return PlacedBoxes(self.places[chosen], self.boxes[chosen])


def touching_pairs(a: PlacedBoxes, b: PlacedBoxes) -> tuple[np.ndarray, np.ndarray]:
    """Positions [P] in a [D] and [P] in b [G], sorted by both, of pairs in one place whose outer circles meet."""
    radii_a, radii_b = (np.linalg.norm(some.boxes.dimensions_lwh[:, :2], axis=1) / 2 for some in (a, b))
    parts = []
    for start in range(0, max(len(radii_a), 1), _CHUNK):
        in_a, in_b = pairs_in_one_place(a.places[start : start + _CHUNK], b.places)
        in_a += start
        distances = np.linalg.norm(a.boxes.centers[in_a, :2] - b.boxes.centers[in_b, :2], axis=1)
        meets = distances < radii_a[in_a] + radii_b[in_b]
        parts.append((in_a[meets], in_b[meets]))
    in_a, in_b = (np.concatenate(part) for part in zip(*parts, strict=True))
    return in_a, in_b


def pair_ious(pairs: tuple[np.ndarray, np.ndarray], a: PlacedBoxes, b: PlacedBoxes) -> tuple[np.ndarray, np.ndarray]:
    """Exact IoU of pairs of positions, in 3D [P] and bird's-eye view [P]."""
    return a.boxes[pairs[0]].iou(b.boxes[pairs[1]])


def pairs_in_one_place(places_a: np.ndarray, places_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions [P] in places_a [D] and [P] in places_b [G], sorted by both, of all pairs of equal places."""
    order = np.argsort(places_b, kind="stable")
    starts, ends = (np.searchsorted(places_b[order], places_a, side=side) for side in ("left", "right"))
    counts = ends - starts
    in_a = np.repeat(np.arange(len(places_a)), counts)
    before = np.repeat(counts.cumsum() - counts, counts)
    return in_a, order[np.repeat(starts, counts) + np.arange(len(in_a)) - before]


def assign(
    detections: np.ndarray,  # [P] of each pair that may be
    objects: np.ndarray,  # [P]
    overlaps: np.ndarray,  # [P]
    *,
    order: np.ndarray,  # [D] detections, in the order in which they choose
    is_wanted: np.ndarray,  # [G] bool: an object that ought to be found, rather than one that may
) -> np.ndarray:
    """The object [D] that each detection gets, or `NOTHING`; each object goes to one detection at most.

    A detection chooses the wanted object that it overlaps most of those that are left, or else the other one that it
    overlaps most. Rather than one by one, all choices are made at once that nothing can change any more: those of a
    pair that is both the best one left to its detection, and the first one left to its object.
    """
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    by_choice = np.lexsort((objects, -overlaps, ~is_wanted[objects], ranks[detections]))
    detections, objects = detections[by_choice], objects[by_choice]
    chosen = np.full(len(order), NOTHING)
    is_taken = np.zeros(len(is_wanted), dtype=bool)
    first_of_object = np.empty(len(is_wanted), dtype=np.int64)
    while len(detections):
        places = np.arange(len(detections))
        first_of_object[objects[::-1]] = places[::-1]
        is_best = np.append(True, detections[1:] != detections[:-1])
        settled = is_best & (first_of_object[objects] == places)
        chosen[detections[settled]] = objects[settled]
        is_taken[objects[settled]] = True
        left = (chosen[detections] == NOTHING) & ~is_taken[objects]
        detections, objects = detections[left], objects[left]
    return chosen
