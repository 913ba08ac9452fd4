"""What the house knows of clusters: their table. Points, of which they are made, have the formats and the report."""
# ruff: noqa: PLC0415

from typing import TYPE_CHECKING

import pyarrow as pa

from vsrd_ray.labels.base import Kind
from vsrd_ray.runs.columns import FRAME_AND_TIME, PROVENANCE, column
from vsrd_ray.runs.tables import LabelTable

if TYPE_CHECKING:
    from vsrd_ray.geometry.boxes import UprightBoxes

BOX_SIZES = ("box_length", "box_width", "box_height")
SOURCE = "points"  # of boxes, beside those of masks
_BOX = "centre of an upright box around the points and what they hide"

SCHEMA = pa.schema(
    [
        *FRAME_AND_TIME,
        column("sensor", pa.string(), "name of the LiDAR"),
        column("instance", pa.int32(), "as in the points of the frame"),
        column("class_name", pa.string(), "class of the cluster"),
        column("num_points", pa.int32(), "of the cluster"),
        *(
            column(f"center_{axis}", pa.float64(), "middle of the bounds along its axes", unit="m", frame="LiDAR")
            for axis in "xyz"
        ),
        *(column(f"extent_{axis}", pa.float64(), "of the bounds", unit="m", frame="LiDAR") for axis in "xyz"),
        column("radius", pa.float64(), "largest distance of a point from the centre along x and y", unit="m"),
        *(column(f"world_{axis}", pa.float64(), "the centre", unit="m", frame="world") for axis in "xyz"),
        *(column(f"box_{axis}", pa.float64(), _BOX, unit="m", frame="world") for axis in "xyz"),
        *(column(name, pa.float64(), "full extent of that box", unit="m", frame="box") for name in BOX_SIZES),
        column(
            "box_yaw",
            pa.float64(),
            "heading about z, in [-pi / 2, pi / 2): which end is the front is not known",
            unit="rad",
            frame="world",
        ),
        column("confidence", pa.float64(), "of the cluster, 0 to 1"),
        column("source", pa.string(), "points, or human for corrected clusters"),
        *PROVENANCE,
    ]
)


def _boxes(rows: pa.Table) -> "UprightBoxes":
    import numpy as np

    from vsrd_ray.geometry.boxes import UprightBoxes

    columns = {name: rows[name].to_numpy() for name in (*(f"box_{axis}" for axis in "xyz"), *BOX_SIZES)}
    values = np.stack(list(columns.values()), axis=-1).reshape(-1, 6)
    return UprightBoxes(values[:, :3], values[:, 3:], rows["box_yaw"].to_numpy())


SPEC = Kind(
    name="clusters",
    summary="a row for each cluster of LiDAR points: class, place, extents, box, confidence",
    table=LabelTable(
        "clusters", folder="clusters", schema=SCHEMA, sort_by=("sensor", "instance"), confidence="confidence"
    ),
    boxes=_boxes,
)
