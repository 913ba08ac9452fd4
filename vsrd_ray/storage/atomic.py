"""Files that are either whole or not there."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vsrd_ray.storage import Location, bring, naming


@contextmanager
def atomic_write(path: Location) -> Iterator[Path]:
    """A temporary local file to write to, which takes the place of `path` when the block ends well.

    Locally it lies beside `path` and is renamed onto it; missing parent folders are made. To an object store it is
    uploaded, and the object appears when all of it is there. After an error the temporary file is removed and `path` is
    as it was. The temporary name has a suffix of its own, so that no reader of a folder takes it for one of its files.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with naming(path, parts=temporary):
                yield temporary
                temporary.replace(path)
        finally:
            with suppress(OSError):  # what hinders this has been told
                temporary.unlink(missing_ok=True)
    else:
        with tempfile.TemporaryDirectory(prefix="vsrd-ray-") as folder:
            temporary = Path(folder, path.name)
            yield temporary
            bring(temporary, path)


def write_parquet(table: pa.Table, path: Location) -> None:
    """Write one Parquet file, whole or not at all; equal tables give equal bytes."""
    with atomic_write(path) as temporary:
        pq.write_table(table.combine_chunks(), temporary, compression="zstd")
