"""The tables of nuScenes v1.0: JSON lists of rows, read as streams of Arrow tables with the columns that are wanted."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from vsrd_ray.errors import InputError, explained, one_line
from vsrd_ray.storage import Location, folders_in, is_folder

compute: Any = pc  # whose functions are made when it is imported

_PREFIX = "v1.0-"
_BLOCK = 1 << 23  # bytes that are parsed at a time
_BETWEEN_ROWS = re.compile(rb"\}[ \t]*,[ \t]*\{")
_SPACE = b" \t\r\n"

_TEXT, _VECTOR = pa.string(), pa.list_(pa.float64())
_PLACEMENT = [("translation", _VECTOR), ("rotation", _VECTOR)]
SCHEMAS = {
    name: pa.schema(columns)
    for name, columns in {
        "scene": [("token", _TEXT), ("name", _TEXT)],
        "sample": [("token", _TEXT), ("timestamp", pa.int64()), ("scene_token", _TEXT)],
        "sensor": [("token", _TEXT), ("channel", _TEXT), ("modality", _TEXT)],
        "calibrated_sensor": [
            ("token", _TEXT),
            ("sensor_token", _TEXT),
            *_PLACEMENT,
            ("camera_intrinsic", pa.list_(_VECTOR)),
        ],
        "sample_data": [
            ("token", _TEXT),
            ("sample_token", _TEXT),
            ("ego_pose_token", _TEXT),
            ("calibrated_sensor_token", _TEXT),
            ("timestamp", pa.int64()),
            ("is_key_frame", pa.bool_()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("filename", _TEXT),
        ],
        "ego_pose": [("token", _TEXT), *_PLACEMENT],
        "sample_annotation": [
            ("token", _TEXT),
            ("sample_token", _TEXT),
            ("instance_token", _TEXT),
            *_PLACEMENT,
            ("size", _VECTOR),
            ("num_lidar_pts", pa.int32()),
        ],
        "instance": [("token", _TEXT), ("category_token", _TEXT)],
        "category": [("token", _TEXT), ("name", _TEXT), ("index", pa.int32())],
    }.items()
}
# Columns that a row may lack: sizes of what is no image, indices of releases without lidarseg.
_OPTIONAL = ("width", "height", "index")


def versions(root: Location) -> list[str]:
    """Names of the folders of tables in a root, those of miniatures last: their scenes are in the others too."""
    names = [name for name in folders_in(root) if name.startswith(_PREFIX)]
    return sorted(names, key=lambda name: (name == "v1.0-mini", name))


def check_root(root: Location) -> None:
    """Refuse a root without tables.

    Raises:
        InputError: it is no folder, or has no folder of tables.
    """
    if not is_folder(root):
        raise InputError(f"no dataset folder {root}: give --root")
    if not versions(root):
        raise InputError(f"no tables in {root}: unpack the metadata there, such as {root / 'v1.0-trainval'}")


def table_file(root: Location, version: str, name: str) -> Location:
    """Where a table lies."""
    return root / version / f"{name}.json"


def read(root: Location, version: str, name: str) -> pa.Table:
    """A whole table with the columns of `SCHEMAS`, whose tokens are all different.

    Raises:
        InputError: it is missing, broken, lacks a column, or has a token twice.
    """
    table = pa.concat_tables([SCHEMAS[name].empty_table(), *stream(root, version, name)]).combine_chunks()
    check_tokens(table["token"], table_file(root, version, name))
    return table


def stream(root: Location, version: str, name: str) -> Iterator[pa.Table]:
    """A table with the columns of `SCHEMAS` in parts, in its order; some megabytes at a time.

    Rows hold numbers, texts without "},{" and lists, as all of nuScenes' do, and no rows of their own.

    Raises:
        InputError: it is missing, broken, or lacks a column.
    """
    path, schema = table_file(root, version, name), SCHEMAS[name]
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    for rows in _lines(path):
        try:
            table = pj.read_json(pa.BufferReader(rows), parse_options=options)
        except pa.ArrowException as error:
            raise _broken(path, one_line(error)) from error
        for column in schema.names:
            if column not in _OPTIONAL and table[column].null_count:
                raise InputError(f"{path}: rows without {column!r}: download the metadata of nuScenes v1.0 again")
        yield table


def check_tokens(tokens: pa.ChunkedArray | pa.Array, path: Location) -> None:
    """Refuse a table that has a token twice.

    Raises:
        InputError: it has.
    """
    if compute.count_distinct(tokens).as_py() != len(tokens):
        counts = compute.value_counts(tokens)
        twice = counts.filter(compute.greater(counts.field("counts"), 1)).field("values")[0]
        raise InputError(f"{path}: the token {twice} names two rows: download the metadata again")


def places(tokens: pa.ChunkedArray, known: pa.ChunkedArray, *, path: Location, what: str) -> np.ndarray:
    """Row [R] int64 of another table that each token [R] names.

    Args:
        tokens: of rows in the file.
        known: column `token` of the other table.
        path: the file, for messages.
        what: name of the other table.

    Raises:
        InputError: one names none.
    """
    found = compute.index_in(tokens, value_set=known)
    if found.null_count:
        token = tokens.filter(compute.is_null(found))[0]
        raise InputError(f"{path}: {what} {token} is in no row of {what}.json: take all tables from one release")
    return found.to_numpy().astype(np.int64)


def numbers(column: pa.ChunkedArray, size: int, *, path: Location) -> np.ndarray:
    """Lists of `size` numbers each as an array [R, size] float64.

    Raises:
        InputError: one is longer or shorter, or has a gap.
    """
    lengths = compute.unique(compute.list_value_length(column)).to_pylist()
    flat = compute.list_flatten(column)
    if lengths not in ([], [size]) or flat.null_count:
        raise InputError(f"{path}: expected lists of {size} numbers: download the metadata again")
    return flat.to_numpy().reshape(-1, size)


def placements(rows: pa.Table, *, path: Location) -> np.ndarray:
    """Translation and quaternion w x y z of rows, [R, 7] float64.

    Raises:
        InputError: one has more or fewer numbers.
    """
    parts = (numbers(rows[name], size, path=path) for name, size in (("translation", 3), ("rotation", 4)))
    return np.concatenate(list(parts), axis=1)


def _lines(path: Location) -> Iterator[bytes | memoryview]:
    """The rows of a JSON list, a line each, many at a time."""
    rest, is_begun = b"", False
    for block in _blocks(path):
        # No text in JSON holds a line break that is not escaped.
        rest += block.translate(None, b"\r\n")
        if not is_begun:
            rest = rest.lstrip(_SPACE)
            if rest[:1] != b"[":
                raise _broken(path, f"it begins with {rest[:20]!r} in place of a list")
            rest, is_begun = rest[1:], True
        rest = _BETWEEN_ROWS.sub(b"}\n{", rest)
        if end := rest.rfind(b"\n") + 1:
            yield memoryview(rest)[:end]
            rest = rest[end:]
    if not is_begun:
        raise _broken(path, "it is empty")
    rest = rest.rstrip(_SPACE)
    if not rest.endswith(b"]"):
        raise _broken(path, "it ends in the middle")
    if rest := rest[:-1].strip(_SPACE):
        yield rest


def _blocks(path: Location) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    except FileNotFoundError:
        raise InputError(f"no table {path}: unpack the metadata of this version") from None
    except OSError as error:
        raise InputError(explained(error)) from error


def _broken(path: Location, reason: str) -> InputError:
    return InputError(f"{path}: no table of nuScenes ({reason}): download the metadata again")
