"""Columns of tables that say what they hold: description, unit and frame, in the metadata of Arrow and Parquet."""

import pyarrow as pa

DESCRIPTION, UNIT, FRAME = b"description", b"unit", b"frame"  # keys of the metadata of a field


def column(name: str, kind: pa.DataType, description: str, *, unit: str = "", frame: str = "") -> pa.Field:
    """A column of a table of labels.

    Args:
        name: of the column.
        kind: of its values.
        description: what it holds, without a full stop; values, where they are few.
        unit: of its numbers, such as m, rad, px or s; "" of what has none.
        frame: the coordinate frame of its numbers, such as world; "" of what is in none.
    """
    known = {DESCRIPTION: description, UNIT: unit, FRAME: frame}
    return pa.field(name, kind, metadata={key: text.encode() for key, text in known.items() if text})


def about(field: pa.Field, key: bytes) -> str:
    """What the metadata of a column say of it under `DESCRIPTION`, `UNIT` or `FRAME`; "" where they do not."""
    return (field.metadata or {}).get(key, b"").decode()


# When a row is of.
FRAME_AND_TIME = (
    column("frame", pa.int32(), "number of the frame in its drive"),
    column("time_s", pa.float64(), "time of the frame, as the dataset counts; null where it has no times", unit="s"),
)
# Which group a row is of, and what made it.
PROVENANCE = (
    column("group_id", pa.string(), "frame group that the row is of; human where a correction added it"),
    column("labeler", pa.string(), "name of the labeler, or the import of a correction"),
    column("config_hash", pa.string(), "hash of the configuration; empty in corrected rows"),
    column("seed", pa.int64(), "of the run"),
)
