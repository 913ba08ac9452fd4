"""One table of all boxes, as CSV."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.selection import LabelledSequence

_COLUMNS = ["sequence", *LABEL_SCHEMA.names]


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write labels.csv: a line for each box with every column of the labels, and frames.csv: the labelled frames.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.
    """
    tables, frames = [], []
    for labelled in sequences:
        tables.append(_flat(labelled.rows))
        drive = labelled.sequence
        for frame in labelled.frames:
            frames.append({"sequence": drive.name, "camera": drive.camera.name, "frame": frame})
            done()
    schema = pa.schema([("sequence", pa.string()), ("camera", pa.string()), ("frame", pa.int32())])
    _write(pa.concat_tables(tables), folder / "labels.csv")
    _write(pa.Table.from_pylist(frames, schema=schema), folder / "frames.csv")


def _flat(rows: pa.Table) -> pa.Table:
    """The rows with the latents of a shape, which CSV has no columns for, as one text with spaces."""
    latents = (None if shape is None else " ".join(map(repr, shape)) for shape in rows["shape"].to_pylist())
    texts = pa.array(latents, pa.string())
    return rows.set_column(rows.column_names.index("shape"), "shape", texts).select(_COLUMNS)


def _write(table: pa.Table, path: Path) -> None:
    pyarrow.csv.write_csv(table, path)
