"""Rows of the kind `points` and what is packed into them: a row for each sweep.

Shapes: N points of a sweep.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.errors import InputError
from vsrd_ray.labels.points.classes import NO_INSTANCE, NONE
from vsrd_ray.runs.columns import FRAME_AND_TIME, PROVENANCE, column
from vsrd_ray.runs.tables import LabelTable

# Binary columns hold little-endian numbers in the order of the points; Parquet compresses them (zstd).
SCHEMA = pa.schema(
    [
        *FRAME_AND_TIME,
        column("sensor", pa.string(), "name of the LiDAR"),
        column("num_points", pa.int32(), "N, of the sweep"),
        column("classes", pa.large_binary(), "uint8 [N], places in the table of classes; 10 without a label"),
        column(
            "instances",
            pa.large_binary(),
            "uint16 [N], little-endian, numbered in the frame; 65535 without a label",
        ),
        column(
            "in_view", pa.large_binary(), "bits [N] of any camera, the first point's is the highest of the first byte"
        ),
        *PROVENANCE,
    ]
)
TABLE = LabelTable("points", folder="points", schema=SCHEMA, sort_by=("sensor",), groups_a_file=64)

_WITHOUT = np.iinfo(np.uint16).max


def packed(
    classes: np.ndarray,  # [N] places in `NAMES`, or `NONE`
    instances: np.ndarray,  # [N] from 0, or `NO_INSTANCE`
    in_view: np.ndarray,  # [N] bool
) -> dict[str, Any]:
    """The columns of `SCHEMA` that hold what points are.

    Raises:
        ValueError: there are more instances than 16 bits number.
    """
    if instances.max(initial=NO_INSTANCE) >= _WITHOUT:
        raise ValueError(f"{instances.max() + 1} instances in one sweep: expected at most {_WITHOUT}")
    return {
        "num_points": len(classes),
        "classes": classes.astype(np.uint8).tobytes(),
        "instances": np.where(instances == NO_INSTANCE, _WITHOUT, instances).astype("<u2").tobytes(),
        "in_view": np.packbits(in_view).tobytes(),
    }


def unpacked(row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes [N] int64, instances [N] int64 and whether points are in view [N] bool, of a row as a dictionary.

    Raises:
        InputError: the columns are of other lengths than they say.
    """
    num = row["num_points"]
    classes, instances = np.frombuffer(row["classes"], np.uint8), np.frombuffer(row["instances"], "<u2")
    if not len(classes) == len(instances) == num or classes.max(initial=0) > NONE:
        raise InputError(f"points of frame {row['frame']}: no labels of {num} points: remove the file, and label again")
    in_view = np.unpackbits(np.frombuffer(row["in_view"], np.uint8), count=num).astype(bool)
    instances = instances.astype(np.int64)
    return classes.astype(np.int64), np.where(instances == _WITHOUT, NO_INSTANCE, instances), in_view
