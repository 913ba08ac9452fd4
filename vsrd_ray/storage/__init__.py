"""Where files lie: local folders are `pathlib.Path`, object stores `upath.UPath`, and this module tells them apart.

Credentials and endpoints of object stores come from the environment, as the stores' own tools take them
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, …). A location holds
none of them: it may be pickled, sent to other machines and logged.
"""

import errno
import glob
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from upath import UPath

from vsrd_ray.errors import InputError, OutputError, one_line

Location = Path | UPath
Stamp = int | str  # time in ns of a local file, ETag or time of an object: another one means another content

# scheme -> the package that speaks to the store, and vsrd-ray's extra that installs it
_STORES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gs"), "az": ("adlfs", "az"), "abfs": ("adlfs", "az")}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BUCKET = re.compile(r"[A-Za-z0-9_.@-]+")
# What a local path may not begin with: s3:/bucket, s3:bucket, s3//bucket, file:x; but C:/x is a path elsewhere.
_LIKE_URI = re.compile(r"\s*[\"']?([a-z][a-z0-9+.-]+:/|(s3|gs|az|abfs|file):|(s3|gs|az|abfs)//)", re.IGNORECASE)
# Bytes of a path, of a name in it, and of one that files are named after: systems take 4096 and 255.
_LONGEST_PATH, _LONGEST_NAME, _LONGEST_PLAIN_NAME = 3500, 235, 180
_STAMPS = ("ETag", "etag", "LastModified", "last_modified", "updated", "created")  # as the stores' packages name them


def open_location(text: str | Location) -> Location:
    """The place that a path, a file:// URI or the URI of an object store names; no request is made.

    Of a local path a leading `~` is the home folder.

    Raises:
        InputError: no text, an unknown scheme, a URI without a bucket, with `..` or with credentials in it, a store
            whose package is not installed, or what begins like a URI or cannot be a path.
    """
    if not isinstance(text, str):
        return text
    match = _SCHEME.match(text)
    if match is None:
        return _local_path(text)
    scheme = match[1].lower()
    if scheme == "file":
        return _file_path(text)
    if scheme not in _STORES:
        known = ", ".join(f"{name}://" for name in _STORES)
        raise InputError(f"{text}: unknown scheme {scheme}://: give a local path, or one of {known}")
    return _store_path(scheme, text[match.end() :])


def is_local(location: Location) -> bool:
    """Whether a location is a path of this machine's file systems."""
    return isinstance(location, Path)


def absolute(location: Location) -> Location:
    """The same location, for processes that run in another folder."""
    return location.absolute() if isinstance(location, Path) else location


def relative(path: Location, folder: Location) -> str:
    """The way from a folder to a place below it, as a text with slashes."""
    return cast(Path, path).relative_to(cast(Path, folder)).as_posix()  # both are of one kind, and object stores' too


def plain_name(name: str, *, what: str) -> str:
    """The name itself, which is one part of a path and stays below the folder that it is joined to.

    Args:
        name: from the user, or from data.
        what: what it is the name of, for the error.

    Raises:
        InputError: a name that would lead elsewhere, or that some reader of labels would take for another one or leave
            out; with the reason.
    """
    if reason := _why_not_plain(name):
        raise InputError(f"{what} {name!r} {reason}: expected a plain name; rename it")
    return name


def _why_not_plain(name: str) -> str | None:
    faults = {
        "is empty": not name,
        "begins with '.' or '_', which hide files from readers of labels": name.startswith((".", "_")),
        "holds '/' or '\\'": "/" in name or "\\" in name,
        "holds '%', which readers of labels decode": "%" in name,
        "holds ',', which ends a name in options": "," in name,
        "begins or ends with a space": name.strip() != name,
        "holds a character that cannot be printed": not name.isprintable(),
        f"is longer than {_LONGEST_PLAIN_NAME} bytes": len(os.fsencode(name)) > _LONGEST_PLAIN_NAME,
    }
    return next((reason for reason, is_so in faults.items() if is_so), None)


def listing(folder: Location) -> list[tuple[str, int, Stamp]]:
    """(name, bytes, stamp) of the files and folders directly in a folder, sorted; [] where it is not there.

    Raises:
        InputError: the object store cannot be reached, or refuses.
    """
    if isinstance(folder, Path):
        return sorted((entry.name, *_size_and_time_of_any(entry)) for entry in _scan(folder))
    return sorted((name, info["size"] or 0, _stamp(info)) for name, info in _objects(folder).items())


def names_in(folder: Location) -> list[str]:
    """Names of the files directly in a folder, sorted; [] where it is not there.

    Raises:
        InputError: the object store cannot be reached, or refuses.
    """
    if isinstance(folder, Path):
        return sorted(entry.name for entry in _scan(folder) if _is(entry.is_file))
    return sorted(name for name, info in _objects(folder).items() if info["type"] == "file")


def folders_in(folder: Location) -> list[str]:
    """Names of the folders directly in a folder, sorted; [] where it is not there.

    Raises:
        InputError: the object store cannot be reached, or refuses.
    """
    if isinstance(folder, Path):
        return sorted(entry.name for entry in _scan(folder) if _is(entry.is_dir))
    return sorted(name for name, info in _objects(folder).items() if info["type"] == "directory")


def files_below(folder: Location) -> list[Location]:
    """All files in a folder and in those below it, sorted by folder; [] where it is not there.

    Raises:
        InputError: the object store cannot be reached, or refuses.
    """
    files = [folder / name for name in names_in(folder)]
    return files + [file for name in folders_in(folder) for file in files_below(folder / name)]


def is_folder(location: Location) -> bool:
    """Whether there is such a folder; on object stores, whether it holds anything.

    Raises:
        InputError: the object store cannot be reached, or refuses.
    """
    return location.is_dir() if isinstance(location, Path) else bool(_objects(location))


def size_and_stamp(path: Location) -> tuple[int, Stamp]:
    """Bytes and stamp of one file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if isinstance(path, Path):
        return _size_and_time(path)
    info = path.fs.info(path.path)
    return info["size"], _stamp(info)


def read_bytes(path: Location) -> bytes:
    """A whole file, in one request.

    Raises:
        OSError: there is no such file, or it cannot be read; the error of a local one names it.
    """
    with naming(path):
        return path.read_bytes() if isinstance(path, Path) else cast("bytes", path.fs.cat_file(path.path))


def read_ends(path: Location, *, head: int, tail: int) -> tuple[bytes, bytes, int]:
    """The first and the last bytes of a file, and its size; what lies between is not read.

    Args:
        path: the file.
        head: bytes from the start; fewer come from a shorter file.
        tail: bytes from the end; fewer come from a shorter file.

    Raises:
        OSError: there is no such file, or it cannot be read; the error of a local one names it.
    """
    if isinstance(path, Path):
        with naming(path), path.open("rb") as file:
            first = file.read(head)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - tail))
            return first, file.read(), size
    size = path.fs.info(path.path)["size"]
    if not size:  # stores refuse ranges of nothing
        return b"", b"", 0
    starts, ends = [0, max(0, size - tail)], [min(head, size), size]
    first, last = path.fs.cat_ranges([path.path] * 2, starts, ends, on_error="raise")
    return first, last, size


def remove(paths: Iterable[Location]) -> None:
    """Remove files, those of them that exist; in bulk on object stores.

    Raises:
        OutputError: an object store has kept some.
    """
    objects: list[UPath] = []
    for path in paths:
        if isinstance(path, Path):
            path.unlink(missing_ok=True)
        else:
            objects.append(path)
    if objects:
        _remove_objects(objects)


def take_over(source: Location, target: Path, *, link: bool) -> None:
    """Bring a file to a local place where nothing is yet; its folder is made.

    Args:
        source: a file, which stays.
        target: its other place.
        link: let both be one file with two names, where the file system allows.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(source, Path):
        target.write_bytes(read_bytes(source))
        return
    if link:
        with suppress(OSError):  # another file system, or one without hard links
            target.hardlink_to(source.resolve())
            return
    with naming(source):
        shutil.copy2(source, target)


def rename(source: Location, target: Location) -> None:
    """Give a file another name in the same store, in place of what has that name.

    On object stores it is copied, then removed: the target appears whole, and for a moment both are there.
    """
    if isinstance(source, Path):
        source.replace(_path_in_store(target))
    else:
        source.fs.cp_file(source.path, _path_in_store(target))
        source.fs.rm_file(source.path)


def make_folder(folder: Location) -> None:
    """Make a folder and those above it, where they are missing; object stores need none."""
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)


def bring(source: Location, target: Location) -> None:
    """Give a local file or folder its final place: it is renamed locally, and uploaded to object stores.

    Locally the target appears at once; in an object store each of its files appears whole, one after the other.

    Args:
        source: of this machine, and of the same file system as a local target.
        target: a place where nothing is but, for a file, an older one.

    Raises:
        OutputError: an object store cannot be written.
    """
    if isinstance(target, Path):
        source.replace(target)
        return
    local = Path(str(source))
    local.stat()  # where nothing is to be brought, the store is not to blame
    try:
        _upload(local, target)
    except Exception as error:  # the packages of the stores have no error in common
        raise OutputError(
            f"{target} cannot be written ({one_line(error)}): check the bucket, the credentials and the endpoint"
        ) from error


def _upload(local: Path, target: UPath) -> None:
    if not local.is_dir():
        target.fs.put_file(str(local), target.path)
        return
    files = [path for path in sorted(local.rglob("*")) if path.is_file()]
    objects = [target / path.relative_to(local).as_posix() for path in files]
    target.fs.put([str(path) for path in files], [path.path for path in objects])


@contextmanager
def naming(path: Location, *, parts: Location | None = None) -> Iterator[None]:
    """Lets errors of the operating system name a local place: those of a disk that is full or fails do not.

    Args:
        path: the place.
        parts: what is read or written for it, and means nothing to the user.
    """
    try:
        yield
    except OSError as error:
        is_part = parts is not None and str(error.filename).startswith(str(parts))
        if isinstance(path, Path) and (error.filename is None or is_part):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def read_table(path: Location, schema: pa.Schema | None = None) -> pa.Table:
    """The table in one Parquet file.

    Args:
        path: the file.
        schema: what the table is to be cast to; its own by default.

    Raises:
        OSError: there is no such file, or it cannot be read.
        pa.ArrowException: it is no Parquet, or of another schema.
    """
    if isinstance(path, Path) and path.is_dir():  # whose files would be read in its place
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    source = path if isinstance(path, Path) else pa.BufferReader(read_bytes(path))
    none = cast("str", None)  # the path gives no columns; the stubs forget that this may be asked for
    return pq.read_table(source, schema=schema, partitioning=none)


def open_dataset(
    source: Location | Sequence[Location], *, schema: pa.Schema, partitioning: ds.Partitioning | None = None
) -> ds.Dataset:
    """A dataset of Parquet files that lie in one store; empty where there are no files.

    Args:
        source: a folder, for all files in it and below, or the files.
        schema: columns of the dataset, those of the partitioning included.
        partitioning: how folder names give columns.
    """
    if not source:
        return ds.dataset(schema.empty_table())
    is_folder = isinstance(source, Location)
    store = source if is_folder else source[0]
    return ds.dataset(
        _path_in_store(source) if is_folder else [_path_in_store(path) for path in source],
        schema=schema,
        format="parquet",
        partitioning=partitioning,
        filesystem=None if isinstance(store, Path) else store.fs,
    )


def _local_path(text: str) -> Path:
    if not text or "\0" in text:
        raise InputError(f"expected a folder or a file, got {text!r}: is a variable not set?")
    if _LIKE_URI.match(text):
        known = ", ".join(f"{name}://" for name in _STORES)
        raise InputError(f"{text!r} begins like a URI: give one of {known} or file:///, or ./{text.strip()} for a path")
    try:
        path = Path(text).expanduser() if text.startswith("~") else Path(text)  # ./~ is a folder of that name
        is_short = len(str(path).encode()) <= _LONGEST_PATH
        long = next((name for name in path.parts if len(name.encode()) > _LONGEST_NAME), None)
    except RuntimeError:
        raise InputError(f"{text}: whose home folder is {Path(text).parts[0]}? Give the whole path") from None
    except UnicodeEncodeError:
        raise InputError(f"{text!r}: expected a path in UTF-8: rename the folder") from None
    if long is not None or not is_short:
        most = f"{_LONGEST_NAME} bytes in a name" if is_short else f"{_LONGEST_PATH} bytes"
        raise InputError(f"{(long or text)[:40]}…: expected a path of at most {most}: give a shorter one")
    # Arrow would take these, where they are relative, for home folders and URIs.
    return path.absolute() if str(path).startswith("~") or ":" in str(path) else path


def _file_path(text: str) -> Path:
    host, slash, rest = text[len("file://") :].partition("/")
    if host not in ("", "localhost") or not slash:
        raise InputError(f"{text}: expected file:///folder/…, got a file of another machine: give a local path")
    if "?" in rest or "#" in rest:
        raise InputError(f"{text}: the path of a URI ends at '?' and '#': write %3F and %23, or give a local path")
    return _local_path(slash + unquote(rest, errors="surrogateescape"))


def _store_path(scheme: str, rest: str) -> UPath:
    bucket, *parts = rest.rstrip("/").split("/")
    if ":" in bucket:  # the text is not repeated, since it may hold a secret
        raise InputError(f"{scheme}://…: expected {scheme}://bucket/folder; give credentials in the environment")
    if not _BUCKET.fullmatch(bucket) or any(part in ("", ".", "..") or not part.isprintable() for part in parts):
        known = f"{scheme}://bucket/folder, without empty parts, '.', '..' or what cannot be printed"
        raise InputError(f"{scheme}://{rest}: expected {known}")
    package, extra = _STORES[scheme]
    if find_spec(package) is None:
        raise InputError(f"{scheme}://{rest}: {package} is not installed: pip install 'vsrd-ray[{extra}]'")
    # Other processes write to the same folders: a kept listing would hide what they wrote.
    return UPath("/".join((f"{scheme}:/", bucket, *parts)), use_listings_cache=False)


def _path_in_store(location: Location) -> str:
    return str(location) if isinstance(location, Path) else location.path


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return list(entries)


def _is(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind; a link to nothing, to itself, or to where nobody may look is of none."""
    try:
        return kind()
    except OSError:
        return False


def _size_and_time_of_any(entry: os.DirEntry[str]) -> tuple[int, int]:
    """Size and time of an entry; a link's own where it leads to nothing that can be seen."""
    try:
        return _size_and_time(entry)
    except OSError:
        status = entry.stat(follow_symlinks=False)
        return status.st_size, status.st_mtime_ns


def _size_and_time(entry: os.DirEntry[str] | Path) -> tuple[int, int]:
    status = entry.stat()
    return status.st_size, status.st_mtime_ns


def _objects(folder: UPath) -> dict[str, dict[str, Any]]:
    """What a store says of each object and folder directly in a folder, by name; nothing where it is not there."""
    try:
        entries = folder.fs.ls(folder.path, detail=True)
    except FileNotFoundError:
        return {}
    except Exception as error:  # the packages of the stores have no error in common
        raise InputError(
            f"{folder}: cannot be listed ({one_line(error)}): check the bucket, the credentials and the endpoint"
        ) from error
    # An object named like the folder, and the mark of an empty folder, are listed as well.
    prefix = f"{folder.path.rstrip('/')}/"
    named = ((entry["name"].removeprefix(prefix).rstrip("/"), entry) for entry in entries)
    return {name: entry for name, entry in named if name and "/" not in name}


def _stamp(info: dict[str, Any]) -> str:
    return next((str(info[key]) for key in _STAMPS if info.get(key) is not None), "")


def _remove_objects(paths: list[UPath]) -> None:
    by_folder = defaultdict(set)
    for path in paths:
        by_folder[path.parent].add(path.name)
    for folder, names in by_folder.items():
        if present := names.intersection(names_in(folder)):
            # Names are no patterns. One that another process has removed meanwhile is no error.
            with suppress(FileNotFoundError):
                folder.fs.rm([glob.escape((folder / name).path) for name in sorted(present)])
            # Bulk requests do not say what they had to leave.
            if left := sorted(present.intersection(names_in(folder))):
                raise OutputError(f"{folder / left[0]} cannot be removed: allow this account to delete in {folder}")
