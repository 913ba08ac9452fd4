"""The Arrow schema of the table of groups. A contract with tools outside the project."""

import pyarrow as pa

SCHEMA_VERSION = "1"

GROUP_SCHEMA = pa.schema(
    [
        ("group_id", pa.string()),
        ("sequence", pa.string()),
        ("target_frame", pa.int32()),
        ("frames", pa.list_(pa.int32())),
        ("instance_ids", pa.list_(pa.int32())),
        ("status", pa.string()),  # ok, failed, skipped
        ("error", pa.string()),
        ("attempts", pa.int32()),
        ("seconds", pa.float64()),
    ],
    metadata={"vsrd_ray.schema_version": SCHEMA_VERSION},
)
