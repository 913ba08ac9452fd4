"""Files that are either whole or not there."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vsrd_ray.storage import Location, bring, naming


@contextmanager
def atomic_write(path: Location) -> Iterator[Path]:
    """A temporary local file to write to, which takes the place of `path` when the block ends well.

    Locally it lies beside `path` and is renamed onto it; missing parent folders are made. To an object store it is
    uploaded, and the object appears when all of it is there. After an error the temporary file is removed, with the
    folders that were made for it, and `path` is as it was. The temporary name has a suffix of its own, so that no
    reader of a folder takes it for one of its files.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    if isinstance(path, Path):
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        made: list[Path] = []
        try:
            with naming(path, parts=temporary):
                make_folders(path.parent, made)
                yield temporary
                temporary.replace(path)
        except BaseException:
            with suppress(OSError):  # what hinders this has been told
                temporary.unlink(missing_ok=True)
            remove_empty(made)
            raise
    else:
        with tempfile.TemporaryDirectory(prefix="vsrd-ray-") as folder:
            temporary = Path(folder, path.name)
            yield temporary
            bring(temporary, path)


def make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, where they are missing, and add those that were made to a list, in order."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        made.append(place)


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, the last first, in which nobody has put anything."""
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()


def write_parquet(table: pa.Table, path: Location) -> None:
    """Write one Parquet file, whole or not at all; equal tables give equal bytes."""
    with atomic_write(path) as temporary:
        pq.write_table(table.combine_chunks(), temporary, compression="zstd")
