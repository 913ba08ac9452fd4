"""What was worked out of large tables, kept in the user's cache folder: an Arrow file with a batch for each scene.

A file is of the tables' present sizes and times, which its schema holds; of others it is made again, in its place.
Where the folder cannot be written, the process keeps the batches in memory.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa

from vsrd_ray.datasets.nuscenes.tables import table_file
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.storage import Location, absolute, size_and_stamp
from vsrd_ray.storage.atomic import atomic_write

logger = logging.getLogger(__name__)

_LAYOUT = "1"  # of the cached files; another one for other columns
_KEY, _SCENES = b"vsrd_ray.key", b"vsrd_ray.scenes"
_READING = pa.ipc.IpcReadOptions(use_threads=False)  # a batch is small


@dataclass(frozen=True, eq=False)
class SceneBatches:
    """A batch of rows for each scene of a version."""

    reader: pa.ipc.RecordBatchFileReader
    scenes: dict[str, int]  # name -> its batch

    def of(self, scene: str) -> pa.RecordBatch:
        """The rows of a scene that is there."""
        return self.reader.get_batch(self.scenes[scene])


@dataclass(frozen=True)
class Recipe:
    """What a cached file is made of, and how."""

    name: str  # of the file
    tables: tuple[str, ...]  # that it is made of
    schema: pa.Schema
    # root, version -> names of the scenes, and what gives the batch of each place in them
    make: Callable[[Location, str], tuple[list[str], Callable[[int], pa.RecordBatch]]]


def cached(root: Location, version: str, recipe: Recipe) -> SceneBatches:
    """The batches of a version's tables, as the tables are now.

    Raises:
        InputError: a table is missing or broken.
    """
    stamps = [(name, *_stamp(table_file(root, version, name))) for name in recipe.tables]
    return _opened(absolute(root), version, recipe, json.dumps([_LAYOUT, stamps]))


def cache_file(root: Location, version: str, recipe: Recipe) -> Path:
    """Where they are kept: below XDG_CACHE_HOME, or ~/.cache where that is not set."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = hashlib.sha256(str(absolute(root)).encode()).hexdigest()[:16]
    return Path(base, "vsrd-ray", "nuscenes", place, f"{version}-{recipe.name}.arrow")


@lru_cache(maxsize=4)
def _opened(root: Location, version: str, recipe: Recipe, key: str) -> SceneBatches:
    try:
        path = cache_file(root, version, recipe)
    except RuntimeError:  # this account has no home folder
        path = None
    if path is not None and (found := _kept(path, key)) is not None:
        return found
    logger.info("Tables of %s are read; that takes some seconds for each million rows.", root / version)
    scenes, batch = recipe.make(root, version)
    metadata = {_KEY: key.encode(), _SCENES: json.dumps(scenes).encode()}
    schema, batches = recipe.schema.with_metadata(metadata), [partial(batch, place) for place in range(len(scenes))]
    if path is not None and (found := _keep(path, schema, batches, key)) is not None:
        return found
    sink = pa.BufferOutputStream()
    _write(sink, schema, batches)
    return _batches(pa.ipc.open_file(sink.getvalue(), options=_READING))


def _keep(path: Path, schema: pa.Schema, batches: list[Callable[[], pa.RecordBatch]], key: str) -> SceneBatches | None:
    """The batches, from the file that they were written to; None, and a warning, where that cannot be."""
    try:
        with atomic_write(path) as temporary:
            _write(str(temporary), schema, batches)
    except OSError as error:
        logger.warning(
            "%s cannot be kept (%s), so that every process reads the tables anew: let this account write there, or set "
            "XDG_CACHE_HOME.",
            path,
            one_line(error),
        )
        return None
    return _kept(path, key)


def _write(sink: str | pa.NativeFile, schema: pa.Schema, batches: list[Callable[[], pa.RecordBatch]]) -> None:
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(sink, schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch())


def _kept(path: Path, key: str) -> SceneBatches | None:
    """The batches in a file; None where there is none, or one of other tables, or a torn one."""
    try:
        found = pa.ipc.open_file(pa.memory_map(str(path)), options=_READING)
    except (OSError, pa.ArrowException):
        return None
    metadata = found.schema.metadata or {}
    return _batches(found) if metadata.get(_KEY) == key.encode() else None


def _batches(reader: pa.ipc.RecordBatchFileReader) -> SceneBatches:
    names = json.loads(reader.schema.metadata[_SCENES])
    return SceneBatches(reader, {name: place for place, name in enumerate(names)})


def _stamp(path: Location) -> tuple[int, int | str]:
    try:
        return size_and_stamp(path)
    except FileNotFoundError:
        raise InputError(f"no table {path}: unpack the metadata of this version") from None
