"""Folders that are either a whole export or not there."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vsrd_ray.errors import OutputError, one_line
from vsrd_ray.storage import Location, bring, is_folder, naming
from vsrd_ray.storage.targets import check_folder

NOTE = "export.json"  # says what wrote the folder, and marks it as whole: it is written last
UNCORRECTED = "uncorrected_frames"  # its entry with the frames whose corrections `--prefer auto` left out, by sequence
_WRITER = "vsrd-ray export"


@contextmanager
def export_folder(destination: Location, note: dict[str, Any]) -> Iterator[Path]:
    """A temporary local folder to write to, which takes the place of `destination` when the block ends well.

    Locally it is a hidden folder beside `destination`, so that relative links to other places stay right, and it
    replaces an earlier export there. To an object store it is uploaded, the note last. After an error `destination` is
    as it was.

    Args:
        destination: where nothing is yet, or, locally, an earlier export with nothing else in it; or a link to such.
        note: what `export.json` says; the block may add to it.

    Raises:
        OutputError: something else is there, or a local folder cannot be made.
    """
    check_free(destination)
    if isinstance(destination, Path):
        if destination.is_symlink():
            destination = destination.resolve()  # the link stays, and the folder that it leads to is replaced
        folder = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
        shutil.rmtree(folder, ignore_errors=True)
        _make(folder, destination)
        try:
            with naming(destination, parts=folder):
                yield folder
                _write_note(folder, note)
                _put_in_place(folder, destination)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    else:
        with tempfile.TemporaryDirectory(prefix="vsrd-ray-") as temporary:
            folder = Path(temporary)
            yield folder
            bring(folder, destination)
            _write_note(folder, note)
            bring(folder / NOTE, destination / NOTE)


def check_free(destination: Location) -> None:
    """Refuse a destination that holds anything but an earlier export as it was written.

    Raises:
        OutputError: it is a file, a folder with other things in it, an export that was edited since it was written or
            imported, or a path that ends with no name, such as `.`.
    """
    if not isinstance(destination, Path):
        if is_folder(destination):
            raise OutputError(f"{destination} is not empty: remove it, or give another --output")
    elif destination.name in ("", ".."):
        raise OutputError(
            f"{destination} is replaced as a whole: give --output a folder's own name, such as exports/kitti"
        )
    elif destination.exists() and not destination.is_dir():
        raise OutputError(f"{destination} is a file: give another --output")
    else:
        check_folder(destination.absolute().parent, fix="give another --output")  # where it is put together
        if destination.is_dir() and any(destination.iterdir()):
            _check_export(destination)


def exported(folder: Location, entry: str) -> dict[str, Any]:
    """What an entry of `export.json` in a folder says; nothing where there is no such note, or no such entry."""
    try:
        content = json.loads((folder / NOTE).read_text())[entry]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}


def mark_imported(folder: Location, *, at_ns: int) -> None:
    """Let an export that was imported be replaced again, with the edits in it. Where that cannot be, it is refused.

    Args:
        folder: what was imported, an export or not.
        at_ns: when its files were read, or a moment before.
    """
    if isinstance(folder, Path):
        with suppress(OSError):
            time_ns = max(at_ns, (folder / NOTE).stat().st_mtime_ns)
            os.utime(folder / NOTE, ns=(time_ns, time_ns))


def _check_export(folder: Path) -> None:
    """Refuse a folder that is no export, or one that has taken in other files, such as points or trained weights."""
    try:
        note = json.loads((folder / NOTE).read_text())
        is_export, num_files = note["writer"] == _WRITER, int(note["files"])
    except (OSError, ValueError, KeyError, TypeError):
        is_export, num_files = False, 0
    if not is_export:
        raise OutputError(
            f"{folder} is not empty and holds no export (no {NOTE} of `{_WRITER}`): give another --output"
        )
    files = _files(folder)
    if len(files) > num_files + 1:  # with the note
        raise OutputError(f"{folder} holds files that no export wrote: move them away, or give another --output")
    written = (folder / NOTE).stat().st_mtime_ns  # it came last
    if edited := min((path for path in files if path.lstat().st_mtime_ns > written), default=None):
        raise OutputError(
            f"{edited} was changed after it was exported, and the changes would be lost: import {folder} first "
            "(`vsrd-ray import`), or give another --output"
        )


def _files(folder: Path) -> list[Path]:
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names]


def _make(folder: Path, destination: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{destination} cannot be made ({one_line(error)}): give another --output") from error


def _write_note(folder: Path, note: dict[str, Any]) -> None:
    content = {"writer": _WRITER} | note | {"files": len(_files(folder))}
    (folder / NOTE).write_text(json.dumps(content, indent=2) + "\n")


def _put_in_place(folder: Path, destination: Path) -> None:
    """Let a whole folder take the place of an older one, which comes back if that fails."""
    older = destination.with_name(f".{destination.name}.{os.getpid()}.older")
    had_older = destination.exists()
    if had_older:
        destination.rename(older)
    try:
        folder.rename(destination)
    except OSError:
        if had_older:
            older.rename(destination)
        raise
    shutil.rmtree(older, ignore_errors=True)
