"""The labels dataset and the table of groups, as Parquet."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from vsrd_ray.data.atomic import atomic_write
from vsrd_ray.errors import InputError
from vsrd_ray.labels.schema import GROUP_SCHEMA, LABEL_SCHEMA

_SEQUENCE = pa.schema([("sequence", pa.string())])


def write_piece(table: pa.Table, path: Path) -> None:
    """Write one Parquet file, whole or not at all; equal tables give equal bytes."""
    with atomic_write(path) as temporary:
        pq.write_table(table.combine_chunks(), temporary, compression="zstd")


def read_labels(output: Path) -> pa.Table:
    """All labels of a run: `LABEL_SCHEMA` and `sequence`, sorted by sequence, camera, frame and instance.

    Raises:
        InputError: the folder holds no labels dataset, or a file in it cannot be read.
    """
    schema = pa.schema([*LABEL_SCHEMA, *_SEQUENCE])
    table = _read(output, "labels", schema, ds.partitioning(_SEQUENCE, flavor="hive"))
    return table.sort_by([(key, "ascending") for key in ("sequence", "camera", "frame", "instance_id")])


def read_groups(output: Path) -> pa.Table:
    """All groups of a run, in `GROUP_SCHEMA`, sorted by their ids.

    Raises:
        InputError: the folder holds no groups, or a file in it cannot be read.
    """
    return _read(output, "groups", GROUP_SCHEMA, None).sort_by("group_id")


def _read(output: Path, name: str, schema: pa.Schema, partitioning: ds.Partitioning | None) -> pa.Table:
    folder = output / name
    if not folder.is_dir():
        raise InputError(f"no {name} in {output}: expected the output folder of `vsrd-ray label`, with {folder}")
    try:
        return ds.dataset(folder, schema=schema, format="parquet", partitioning=partitioning).to_table()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder}: cannot be read as Parquet ({reason}); remove that file and label again") from error
