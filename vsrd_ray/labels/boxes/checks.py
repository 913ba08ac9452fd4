"""What label rows must be, whoever wrote them: labelers, people, other tools.

Shapes: R rows.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.index import is_any_of
from vsrd_ray.labels.boxes.columns import (
    ALPHA,
    BOTTOM_CAM,
    BOX_2D,
    CENTER_WORLD,
    ROTATION_Y,
    SIZE_LWH,
    VELOCITY_WORLD,
    YAW_WORLD,
)

MAX_EXTENT = 200.0  # metres
MAX_ANGLE = math.pi + 0.02  # radians; angles lie in [-pi, pi], and tools that round to two decimals leave it
_FARTHEST = 1e9  # metres; beyond it a coordinate is none
_FASTEST = 1000.0  # metres a second; beyond it a velocity is none
_KEY = ("sequence", "camera", "frame", "instance_id")


class Fault(NamedTuple):
    """What is wrong with the first bad row of a table."""

    row: int
    text: str


class _Range(NamedTuple):
    columns: tuple[str, ...]
    low: float
    high: float
    expected: str
    may_be_null: bool = False  # which says that nobody measured it
    may_be_nan: bool = False  # which says the same


_RANGES = (
    _Range(("frame",), 0, math.inf, "a frame number"),
    _Range(("instance_id",), 1, np.iinfo(np.uint16).max, "the id of an instance, such as 26001"),
    _Range((*CENTER_WORLD, *BOTTOM_CAM, *BOX_2D), -_FARTHEST, _FARTHEST, "a finite number"),
    _Range(SIZE_LWH, np.nextafter(0, 1), MAX_EXTENT, f"metres above 0 and up to {MAX_EXTENT:g}"),
    _Range((YAW_WORLD, ROTATION_Y, ALPHA), -MAX_ANGLE, MAX_ANGLE, "radians from -pi to pi"),
    _Range(("confidence", "truncation"), 0, 1, "a number from 0 to 1"),
    _Range(("mean_iou_2d",), 0, 1, "a number from 0 to 1", may_be_null=True, may_be_nan=True),
    _Range(VELOCITY_WORLD, -_FASTEST, _FASTEST, f"a finite number or null, up to {_FASTEST:g}", may_be_null=True),
    _Range(("occlusion",), 0, 3, "0, 1, 2 or 3"),
)


def first_bad_value(rows: pa.Table, classes: ClassTable | None, frames: Mapping[str, np.ndarray]) -> Fault | None:
    """The first row, by the order of the checks, with a value that no label has; None where there is none.

    Args:
        rows: in `LABEL_SCHEMA` and `sequence`; the columns of the box and the camera have no nulls.
        classes: of the dataset; None where it is not known.
        frames: that a run knows, by sequence; rows of other sequences may be of any frame.
    """
    for bad, text in _checks(rows, classes, frames):
        if bad.any():
            row = int(bad.argmax())
            values = rows.slice(row, 1).to_pylist()[0]
            place = f"instance {values['instance_id']} in frame {values['frame']} of {values['sequence']}"
            return Fault(row, f"{place} has {text.format(**values)}")
    return None


def first_doubled(rows: pa.Table) -> Fault | None:
    """The first row [R] that another one repeats: of the same camera, frame and instance; None where there is none.

    Args:
        rows: those that count, sorted by sequence, camera, frame and instance.
    """
    same = np.ones(max(rows.num_rows - 1, 0), dtype=bool)
    for name in _KEY:
        values = rows[name].to_numpy()
        same &= values[1:] == values[:-1]
    if not same.any():
        return None
    row = int(same.argmax())
    sequence, camera, frame, instance_id = (rows[name][row].as_py() for name in _KEY)
    return Fault(row, f"instance {instance_id} in frame {frame} of {sequence}, {camera}, is there twice")


def _checks(
    rows: pa.Table, classes: ClassTable | None, frames: Mapping[str, np.ndarray]
) -> Iterator[tuple[np.ndarray, str]]:
    """Which rows [R] fail a check, and what they have, with the names of columns in braces."""
    for one in _RANGES:
        for name in one.columns:
            column = pc.cast(rows[name], pa.float64())
            values, is_null = column.to_numpy(), column.is_null().to_numpy()  # a null is NaN among the values
            good = (values >= one.low) & (values <= one.high)
            if one.may_be_null:
                good |= is_null
            if one.may_be_nan:
                good |= np.isnan(values) & ~is_null
            yield ~good, f"{name} {{{name}}}: expected {one.expected}"
    x, y = (rows[name] for name in VELOCITY_WORLD)
    moves = np.hypot(x.fill_null(0.0).to_numpy(), y.fill_null(0.0).to_numpy()) > 0
    stands = is_any_of(rows["is_moving"], [False]).to_numpy()
    yield stands & moves, "a velocity, and is_moving says that it stands: expected one of both"
    if classes is not None:
        yield ~is_any_of(rows["class_name"], classes.by_name).to_numpy(), "the class {class_name!r}, which is unknown"
    sequences, of_rows = rows["sequence"].to_numpy(), rows["frame"].to_numpy()
    for name, known in frames.items():
        yield (sequences == name) & ~np.isin(of_rows, known), "a frame that the run does not know"
