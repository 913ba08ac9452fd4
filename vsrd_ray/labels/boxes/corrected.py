"""Frames as a human left them, before their boxes are label rows.

Shapes: N boxes of one frame.
"""

import math
from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.checks import MAX_ANGLE, MAX_EXTENT
from vsrd_ray.labels.boxes.kitti import kitti_type
from vsrd_ray.storage import Location

_MAX_DISTANCE = 1000.0  # metres


@dataclass(frozen=True)
class CorrectedFrame:
    """All boxes of one frame, which has a pose: what is not among them is not there."""

    sequence: str
    frame: int
    class_names: tuple[str, ...]  # [N]
    boxes: UprightBoxes  # [N], in the world
    given_ids: tuple[int | None, ...]  # [N] instance ids that the file gives with its boxes
    exported_ids: tuple[int, ...] | None  # instance ids of the lines as they were exported, where that is known
    rounding: float  # metres and radians by which the file may differ from what was exported
    file: Location  # that it was read from
    place: str  # the same, for errors
    places: tuple[str, ...]  # [N] lines or entries of the boxes, for messages
    moving: tuple[bool | None, ...] | None = None  # [N] whether they move, where the file says so


def class_of(text: str, classes: ClassTable, place: str) -> str:
    """The class that a file names, as KITTI-360 has it (`trash bin`) or as KITTI text does (`TrashBin`).

    Raises:
        InputError: an unknown one; `place` is named.
    """
    by_type = {kitti_type(one.name): one.name for one in classes}
    name = text if text in classes else by_type.get(text)
    if name is None:
        raise InputError(f"{place}: unknown type {text!r}: give one of KITTI-360's, such as Car, Truck, Bus, Person")
    return name


def check_place(position: np.ndarray, place: str) -> None:
    """Refuse a position [3], metres from the camera, where no labelled box can be.

    Raises:
        InputError: it is farther away than `_MAX_DISTANCE`; `place` is named.
    """
    distance = math.hypot(*position.tolist())
    if not distance <= _MAX_DISTANCE:
        raise InputError(
            f"{place}: a box {distance:g} m from the camera, which must be at most {_MAX_DISTANCE:g}: correct its place"
        )


def check_sizes(dimensions_lwh: np.ndarray, place: str) -> None:
    """Refuse a size [3] that is no box's.

    Raises:
        InputError: an extent that is not above 0, or above `MAX_EXTENT`; `place` is named.
    """
    if not ((dimensions_lwh > 0) & (dimensions_lwh <= MAX_EXTENT)).all():
        length, width, height = dimensions_lwh.tolist()
        raise InputError(
            f"{place}: length {length:g}, width {width:g} and height {height:g} m must be above 0 and at most "
            f"{MAX_EXTENT:g}: correct the size"
        )


def check_angle(radians: float, name: str, place: str) -> None:
    """Refuse an angle that is none in radians, such as one in degrees.

    Raises:
        InputError: it is beyond [-pi, pi] by more than a rounding; `place` is named.
    """
    if not abs(radians) <= MAX_ANGLE:
        raise InputError(f"{place}: {name} {radians:g} is no angle in radians from -pi to pi: correct it")
