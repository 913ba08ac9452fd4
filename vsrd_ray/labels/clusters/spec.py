"""What the house knows of clusters: their table. Points, of which they are made, have the formats and the report."""

import pyarrow as pa

from vsrd_ray.labels.base import Kind
from vsrd_ray.runs.tables import LabelTable

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
        ("confidence", pa.float64()),  # 0..1
        ("group_id", pa.string()),
        ("labeler", pa.string()),
        ("config_hash", pa.string()),
        ("seed", pa.int64()),
    ]
)

SPEC = Kind(
    name="clusters",
    summary="a row for each cluster of LiDAR points: class, place, extents, confidence",
    table=LabelTable(
        "clusters", folder="clusters", schema=SCHEMA, sort_by=("sensor", "instance"), confidence="confidence"
    ),
)
