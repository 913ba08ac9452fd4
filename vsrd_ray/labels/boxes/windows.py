"""KITTI-360's windows: stretches of a drive of about 200 m, whose objects are boxes in the world.

Shapes: N boxes of a window. A row of boxes is x, y, z, l, w, h, heading, semantic id, confidence: centre and full
extents in metres, heading in radians about the world's z (0 facing +x), the semantic id numbered as in the masks.
"""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.columns import BOX_WORLD, numbers
from vsrd_ray.storage import names_in

WINDOW_LENGTH = 200.0  # metres driven in a window, about
WINDOW_OVERLAP = 10.0  # metres driven that neighbouring windows share
_ROUNDING = 1e-6  # metres that sums of steps may be off
_PUBLISHED = re.compile(r"([0-9]{6,10})_([0-9]{6,10})\.ply")


@dataclass(frozen=True, order=True)
class Window:
    """A stretch of a drive, by its first and its last frame."""

    first: int
    last: int  # belongs to the window


def windows(sequence: Drive) -> list[Window]:
    """The windows of a sequence, in the order of the drive.

    Where ROOT has KITTI-360's accumulated point clouds, those are its windows, by the names of their files. Otherwise
    the way driven is cut into equal parts of about `WINDOW_LENGTH` that overlap by about `WINDOW_OVERLAP`, as the
    published ones do; each begins and ends with a frame that has a pose.
    """
    folder = sequence.detail("windows")
    names = names_in(folder) if folder is not None else []
    published = [match for name in names if (match := _PUBLISHED.fullmatch(name))]
    if published:
        return sorted(Window(int(match[1]), int(match[2])) for match in published)
    frames = sorted(sequence.T_world_cam)
    positions = np.array([sequence.T_world_cam[frame][:3, 3] for frame in frames])
    driven = np.concatenate([[0.0], np.linalg.norm(np.diff(positions, axis=0), axis=1).cumsum()])
    advance = WINDOW_LENGTH - WINDOW_OVERLAP
    count = max(1, round((float(driven[-1]) - WINDOW_OVERLAP) / advance))
    advance = max(0.0, float(driven[-1]) - WINDOW_OVERLAP) / count
    starts = advance * np.arange(count)
    ends = starts + advance + WINDOW_OVERLAP
    firsts = np.searchsorted(driven, starts - _ROUNDING, side="left")
    lasts = np.searchsorted(driven, ends + _ROUNDING, side="right") - 1
    pairs = zip(firsts.tolist(), lasts.tolist(), strict=True)
    return [Window(frames[first], frames[max(first, last)]) for first, last in pairs]


def window_file_name(sequence: Drive, window: Window) -> str:
    """KITTI-360's name for the boxes of a window, such as 0003_0000000002_0000000282.npy.

    Raises:
        InputError: the sequence is not named like KITTI-360's, and so has no number.
    """
    number = sequence.detail("number")
    if number is None:
        raise InputError(
            f"sequence {sequence.name!r} has no number: expected a name such as 2013_05_28_drive_0003_sync"
        )
    return f"{number:04d}_{window.first:010d}_{window.last:010d}.npy"


def window_boxes(labels: pa.Table, window: Window, classes: ClassTable) -> np.ndarray:
    """The boxes [N, 9] float64 of `window_rows`, as KITTI-360 keeps them."""
    rows = window_rows(labels, window)
    first = next(iter(classes)).number  # of classes that the dataset does not have
    numbers_of = {one.name: one.number for one in classes}
    semantic_ids = [numbers_of.get(name, first) for name in rows["class_name"].to_pylist()]
    others = [np.array(semantic_ids, dtype=np.float64), rows["confidence"].to_numpy()]
    return np.concatenate([numbers(rows, BOX_WORLD), np.stack(others, axis=-1)], axis=1)


def window_rows(labels: pa.Table, window: Window) -> pa.Table:
    """The label rows [N] that stand for the objects of one window, by ascending instance id.

    An object is there once: of an instance's rows in the window's frames, the one with the highest confidence, the
    first of them where several have it. What the labels call moving is left out, since windows hold static objects.

    Args:
        labels: rows of `LABEL_SCHEMA` of one camera of a sequence.
        window: first and last frame.
    """
    in_window = (pc.field("frame") >= window.first) & (pc.field("frame") <= window.last)
    rows = labels.filter(in_window & (pc.field("is_moving").is_null() | ~pc.field("is_moving")))
    ids, frames, confidences = (rows[name].to_numpy() for name in ("instance_id", "frame", "confidence"))
    order = np.lexsort((frames, -confidences, ids))
    _, starts = np.unique(ids[order], return_index=True)
    return rows.take(pa.array(order[starts]))
