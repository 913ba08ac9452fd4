"""Labels of points as people left them in files of an export.

Shapes: N points of a sweep.
"""

from pathlib import Path

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.errors import InputError
from vsrd_ray.labels.points.classes import CHALLENGE_OF, NO_INSTANCE, NONE
from vsrd_ray.labels.points.formats.export import SEMANTIC_KITTI
from vsrd_ray.labels.points.labelled import LabelledSweep

FORMATS = ("nuscenes-panoptic", "semantickitti")
# SemanticKITTI's classes of what moves, and the same standing.
_STANDING = {252: 10, 254: 30, 257: 13, 258: 18, 259: 20}
_EXPORT_AGAIN = "export again, and correct labels of these points"


def read_corrected(path: Path, sweep: LabelledSweep, *, format: str) -> tuple[np.ndarray, np.ndarray]:
    """Classes [N] and instances [N], from 0 in the order of their first points, of one file.

    Formats have one number for several classes: points that keep their number keep their class.

    Raises:
        InputError: a file of other points or of another kind, a class that points do not have, or an object without
            a number.
    """
    num = len(sweep.classes)
    numbers, ids = _words(path, format)
    if len(numbers) != num:
        raise InputError(f"{path}: labels of {len(numbers)} points, and the sweep has {num}: {_EXPORT_AGAIN}")
    table = SEMANTIC_KITTI if format == "semantickitti" else CHALLENGE_OF
    first = {int(number): place for place, number in reversed(list(enumerate(table.tolist())))}
    strangers = set(np.unique(numbers).tolist()) - first.keys()
    if strangers:
        raise InputError(f"{path}: class {min(strangers)}, which labels of points do not have: give some of {[*first]}")
    classes = np.array([first[number] for number in range(max(first) + 1) if number in first])
    classes = classes[np.searchsorted(sorted(first), numbers)]
    kept = table[sweep.classes] == numbers
    classes[kept] = sweep.classes[kept]
    nameless = (classes != NONE) & (ids == 0)
    if nameless.any():
        raise InputError(f"{path}: point {int(nameless.argmax())} has a class and no object: give it an id from 1")
    own = np.flatnonzero(classes != NONE)
    key = classes[own] * 2**32 + ids[own]
    _, start, place = np.unique(key, return_index=True, return_inverse=True)
    instances = np.full(num, NO_INSTANCE)
    instances[own] = np.argsort(np.argsort(start))[place]
    return classes, instances


def _words(path: Path, format: str) -> tuple[np.ndarray, np.ndarray]:
    """The format's class and id of each point [N]."""
    try:
        if format == "semantickitti":
            words = np.frombuffer(path.read_bytes(), "<u4").astype(np.int64)
            numbers, ids = words & 0xFFFF, words >> 16
            for moving, standing in _STANDING.items():
                numbers = np.where(numbers == moving, standing, numbers)
            return numbers, ids
        with np.load(path, allow_pickle=False) as arrays:
            words = arrays["data"].astype(np.int64).ravel()
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no labels of points ({error}): {_EXPORT_AGAIN}") from error
    return words // IDS_PER_CLASS, words % IDS_PER_CLASS
