"""Reading the tables of an output folder, and naming the file that cannot be read."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from vsrd_ray.errors import InputError, OutputError, fix_of
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage import Location, is_folder, open_dataset

LABEL_AGAIN = "remove it, and label again"  # the fix of a bad file of labels or groups
_NEEDED_OF_GROUPS = ("sequence", "frames", "status")  # columns without which a row means nothing
_SEQUENCE = pa.schema([("sequence", pa.string())])


def read_groups(output: Location) -> pa.Table:
    """All groups of a run, in `GROUP_SCHEMA`, sorted by their ids.

    Raises:
        InputError: the folder holds no groups, or a file in it cannot be read.
    """
    folder = RunPaths(output).groups
    return read_all(folder, output=output, schema=GROUP_SCHEMA, needed=_NEEDED_OF_GROUPS).sort_by("group_id")


def read_rows(
    output: Location,
    folder: str,
    schema: pa.Schema,
    *,
    needed: Collection[str],
    sequence: str | None = None,
    frames: Collection[int] | None = None,
    fix: Callable[[str], str] = lambda file: LABEL_AGAIN,
) -> pa.Table:
    """The rows of one kind of label, in its schema and `sequence`, unsorted.

    Args:
        output: folder of a labelling run.
        folder: of the kind, below it.
        schema: of the kind.
        needed: columns without which a row means nothing.
        sequence: read one drive alone.
        frames: read the rows of these alone.
        fix: what to do about a file that cannot be read.

    Raises:
        InputError: there is no such folder, or a file in it cannot be read.
    """
    wanted = None if sequence is None else pc.field("sequence") == sequence
    if frames is not None:
        of_frames = pc.field("frame").isin(sorted(frames))
        wanted = of_frames if wanted is None else wanted & of_frames
    return read_all(
        RunPaths(output).tables(folder),
        output=output,
        schema=pa.schema([*schema, *_SEQUENCE]),
        needed=needed,
        partitioning=ds.partitioning(_SEQUENCE, flavor="hive"),
        wanted=wanted,
        fix=fix,
    )


def read_all(
    folder: Location,
    *,
    output: Location,
    schema: pa.Schema,
    needed: Collection[str],
    partitioning: ds.Partitioning | None = None,
    wanted: pc.Expression | None = None,
    fix: Callable[[str], str] = lambda file: LABEL_AGAIN,
) -> pa.Table:
    """All rows of a folder of Parquet files; see `read_rows`.

    Raises:
        InputError: there is no such folder, or a file in it cannot be read.
    """
    name = folder.name
    if not is_folder(folder):
        raise InputError(f"no {name} in {output}: expected the output folder of `vsrd-ray label`, with {folder}")
    try:
        dataset = open_dataset(folder, schema=schema, partitioning=partitioning)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{folder}: cannot be listed ({reason_of(error)}): allow this account to read it") from error
    try:
        table = dataset.to_table(filter=wanted)
    except (pa.ArrowException, OSError) as error:
        file, reason = first_bad_file(dataset, needed) or (str(folder), reason_of(error))
        raise InputError(
            f"{file}: cannot be read as Parquet ({reason}); {fix_of(error, otherwise=fix(file))}"
        ) from error
    if nulls := _columns_with_nulls(table, needed):
        file, reason = first_bad_file(dataset, needed) or (str(folder), f"no values of {nulls[0]}")
        raise InputError(f"{file}: no table of {name} ({reason}); {fix(file)}")
    return table


@contextmanager
def dataset_of(files: Sequence[Location], schema: pa.Schema) -> Iterator[ds.Dataset]:
    """Files of labels or groups, to be read in the block.

    Raises:
        OutputError: one cannot be read; it is named with the fix.
    """
    dataset = open_dataset(files, schema=schema)
    try:
        yield dataset
    except (pa.ArrowException, OSError) as error:
        file, reason = first_bad_file(dataset, ()) or (files[0], reason_of(error))
        mend = fix_of(error, otherwise=LABEL_AGAIN)
        raise OutputError(f"{file}: cannot be read as Parquet ({reason}); {mend}") from error


def unreadable(files: Iterable[Location], schema: pa.Schema) -> dict[Location, str]:
    """Those of some files of labels or groups that cannot be read, each with an error that names it and the fix."""
    found: dict[Location, str] = {}
    for file in files:
        try:
            with dataset_of([file], schema) as dataset:
                dataset.to_table()
        except OutputError as error:
            found[file] = str(error)
    return found


def first_bad_file(dataset: ds.Dataset, needed: Collection[str]) -> tuple[str, str] | None:
    """The first file of a dataset that cannot be read or lacks values, and what is wrong with it."""
    for fragment in dataset.get_fragments():
        try:
            nulls = _columns_with_nulls(fragment.to_table(schema=dataset.schema), needed)
        except (pa.ArrowException, OSError) as error:
            return fragment.path, reason_of(error)
        if nulls:
            return fragment.path, f"no values of {nulls[0]}"
    return None


def reason_of(error: Exception) -> str:
    """The first line of an error of Arrow's, whose others tell of its insides."""
    return str(error).splitlines()[0]


def _columns_with_nulls(table: pa.Table, needed: Collection[str]) -> list[str]:
    """Columns that lack values which every row needs; a file without the column gives nulls."""
    return [name for name in table.column_names if name in needed and table[name].null_count]
