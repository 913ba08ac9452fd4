"""What the house knows of clusters: their table. Points, of which they are made, have the formats and the report."""
# ruff: noqa: PLC0415

from typing import TYPE_CHECKING

import pyarrow as pa

from vsrd_ray.labels.base import Kind
from vsrd_ray.runs.tables import LabelTable

if TYPE_CHECKING:
    from vsrd_ray.geometry.boxes import UprightBoxes

BOX_SIZES = ("box_length", "box_width", "box_height")
SOURCE = "points"  # of boxes, beside those of masks

SCHEMA = pa.schema(
    [
        ("frame", pa.int32()),
        ("sensor", pa.string()),
        ("instance", pa.int32()),  # as in the points of the frame
        ("class_name", pa.string()),
        ("num_points", pa.int32()),
        # middle of the bounds along the axes of the sensor, metres, in its frame
        *((f"center_{axis}", pa.float64()) for axis in "xyz"),
        *((f"extent_{axis}", pa.float64()) for axis in "xyz"),  # of the bounds, metres
        ("radius", pa.float64()),  # largest distance of a point from the centre along x and y, metres
        *((f"world_{axis}", pa.float64()) for axis in "xyz"),  # the centre in the world, metres
        # upright box around the points and what they hide, in the world: centre and full extents, metres
        *((f"box_{axis}", pa.float64()) for axis in "xyz"),
        *((name, pa.float64()) for name in BOX_SIZES),
        ("box_yaw", pa.float64()),  # radians about z, in [-pi / 2, pi / 2): which end is the front is not known
        ("confidence", pa.float64()),  # 0..1
        ("source", pa.string()),  # points
        ("group_id", pa.string()),
        ("labeler", pa.string()),
        ("config_hash", pa.string()),
        ("seed", pa.int64()),
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
