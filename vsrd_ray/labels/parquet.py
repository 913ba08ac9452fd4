"""The labels dataset and the table of groups, as Parquet."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from vsrd_ray.data.atomic import atomic_write
from vsrd_ray.data.storage import Location, is_folder, open_dataset
from vsrd_ray.errors import InputError
from vsrd_ray.labels.schema import GROUP_SCHEMA, LABEL_SCHEMA

# Columns of labels and groups without which a row means nothing.
_NEEDED = {
    *("sequence", "camera", "frame", "instance_id", "class_name", "confidence", "frames", "status"),
    *("x_world", "y_world", "z_world", "length", "width", "height", "yaw_world"),
    *("x_cam", "y_cam", "z_cam", "rotation_y", "bbox_left", "bbox_top", "bbox_right", "bbox_bottom"),
    *("truncation", "occlusion"),
}
LABEL_AGAIN = "remove it, and label again"  # the mend of a bad file of labels or groups
_SEQUENCE = pa.schema([("sequence", pa.string())])


def write_piece(table: pa.Table, path: Location) -> None:
    """Write one Parquet file, whole or not at all; equal tables give equal bytes."""
    with atomic_write(path) as temporary:
        pq.write_table(table.combine_chunks(), temporary, compression="zstd")


def read_labels(output: Location, *, sequence: str | None = None) -> pa.Table:
    """The labels of a run: `LABEL_SCHEMA` and `sequence`, sorted by sequence, camera, frame and instance.

    Args:
        output: folder of a labelling run.
        sequence: read the labels of one sequence alone.

    Raises:
        InputError: the folder holds no labels dataset, or a file in it cannot be read.
    """
    schema = pa.schema([*LABEL_SCHEMA, *_SEQUENCE])
    wanted = None if sequence is None else pc.field("sequence") == sequence
    table = _read(output, "labels", schema, ds.partitioning(_SEQUENCE, flavor="hive"), wanted)
    return table.sort_by([(key, "ascending") for key in ("sequence", "camera", "frame", "instance_id")])


def read_groups(output: Location) -> pa.Table:
    """All groups of a run, in `GROUP_SCHEMA`, sorted by their ids.

    Raises:
        InputError: the folder holds no groups, or a file in it cannot be read.
    """
    return _read(output, "groups", GROUP_SCHEMA, None).sort_by("group_id")


def _read(
    output: Location,
    name: str,
    schema: pa.Schema,
    partitioning: ds.Partitioning | None,
    wanted: pc.Expression | None = None,
) -> pa.Table:
    folder = output / name
    if not is_folder(folder):
        raise InputError(f"no {name} in {output}: expected the output folder of `vsrd-ray label`, with {folder}")
    try:
        dataset = open_dataset(folder, schema=schema, partitioning=partitioning)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{folder}: cannot be listed ({_reason(error)}): allow this account to read it") from error
    try:
        table = dataset.to_table(filter=wanted)
    except (pa.ArrowException, OSError) as error:
        file, reason = first_bad_file(dataset) or (str(folder), _reason(error))
        raise InputError(f"{file}: cannot be read as Parquet ({reason}); {LABEL_AGAIN}") from error
    if nulls := _columns_with_nulls(table):
        file, reason = first_bad_file(dataset) or (str(folder), f"no values of {nulls[0]}")
        raise InputError(f"{file}: no table of {name} ({reason}); {LABEL_AGAIN}")
    return table


def first_bad_file(dataset: ds.Dataset) -> tuple[str, str] | None:
    """The first file of a dataset that cannot be read or lacks values, and what is wrong with it."""
    for fragment in dataset.get_fragments():
        try:
            nulls = _columns_with_nulls(fragment.to_table(schema=dataset.schema))
        except (pa.ArrowException, OSError) as error:
            return fragment.path, _reason(error)
        if nulls:
            return fragment.path, f"no values of {nulls[0]}"
    return None


def _columns_with_nulls(table: pa.Table) -> list[str]:
    """Columns that lack values which every row needs; a file without the column gives nulls."""
    return [name for name in table.column_names if name in _NEEDED and table[name].null_count]


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0]
