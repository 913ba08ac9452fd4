"""Folders that are either a whole export or not there.

`export.json` in such a folder has a digest of each of its files as it was written, and of those that were imported
since. So it is content that tells what somebody has edited, whatever a clock or a copy has made of the files' times.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vsrd_ray.errors import OutputError, one_line
from vsrd_ray.runs.folder import RunFolder, digest_of_inputs
from vsrd_ray.runs.manifest import recorded_manifest
from vsrd_ray.storage import Location, bring, is_folder, naming
from vsrd_ray.storage.atomic import atomic_write, make_folders, remove_empty
from vsrd_ray.storage.targets import check_folder

NOTE = "export.json"  # says what wrote the folder, and marks it as whole: it is written last
UNCORRECTED = "uncorrected_frames"  # its entry with the frames whose corrections `--prefer auto` left out, by sequence
CONFIG_HASH, FINGERPRINTS = "config_hash", "fingerprints"  # of the run, and of the inputs of each sequence
_DIGESTS = "digests"  # of the files as they were exported, by their path
_IMPORTED = "imported"  # the same of edited files, as they were when they were imported
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
        made: list[Path] = []
        try:
            _make(folder, destination, made)
            with naming(destination, parts=folder):
                yield folder
                _write_note(folder, note)
                check_free(destination)  # somebody may have edited it meanwhile
                _put_in_place(folder, destination)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            remove_empty(made)
            raise
    else:
        with tempfile.TemporaryDirectory(prefix="vsrd-ray-") as temporary:
            folder = Path(temporary)
            yield folder
            bring(folder, destination)
            _write_note(folder, note)
            bring(folder / NOTE, destination / NOTE)


def note_of(run: RunFolder, format: str) -> dict[str, Any]:
    """What `export.json` says of a run's labels in a format: which run, settings and inputs they are of."""
    return {
        "format": format,
        "run": str(run.output),
        CONFIG_HASH: recorded_manifest(run.output)["config_hash"],
        FINGERPRINTS: {name: digest_of_inputs(run.output, name) for name in run.inputs.sequences},
    }


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
    content = read_note(folder).get(entry)
    return content if isinstance(content, dict) else {}


def read_note(folder: Location) -> dict[str, Any]:
    """What `export.json` in a folder says; nothing where there is none."""
    try:
        note = json.loads((folder / NOTE).read_text())
        return note if note["writer"] == _WRITER else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def written_files(folder: Location) -> dict[str, str]:
    """Digests of the files of an export, as it was written, by their paths in it."""
    return exported(folder, _DIGESTS)


def digests_of(folder: Location) -> dict[str, str]:
    """A digest of each file in a local folder that an export wrote and that is still there, by its path in it."""
    if not isinstance(folder, Path):
        return {}
    there = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    return {name: _digest(there[name]) for name in written_files(folder) if name in there}


def edited_files(folder: Location, digests: Mapping[str, str]) -> set[str]:
    """Files of an export, by their digests, that are not what they were when it was written."""
    written = written_files(folder)
    return {name for name, digest in digests.items() if written.get(name) != digest}


def imported_files(folder: Location) -> dict[str, str]:
    """Digests of the files of an export that were imported, as they were then."""
    return exported(folder, _IMPORTED)


def mark_imported(folder: Location, digests: Mapping[str, str]) -> None:
    """Let an export be replaced although files of it were edited. Where that cannot be noted, it is refused.

    Args:
        folder: an export, or any other folder, in which nothing is noted.
        digests: of all files that were imported, as they were when they were read.
    """
    note = read_note(folder)
    if note and isinstance(folder, Path):
        with suppress(OSError), atomic_write(folder / NOTE) as temporary:
            temporary.write_text(json.dumps(note | {_IMPORTED: dict(digests)}, indent=2) + "\n")


def _check_export(folder: Path) -> None:
    """Refuse a folder that is no export, or in which somebody has put or changed files."""
    note = read_note(folder)
    if not note:
        raise OutputError(
            f"{folder} is not empty and holds no export (no {NOTE} of `{_WRITER}`): give another --output"
        )
    if _DIGESTS not in note:
        raise OutputError(
            f"{folder} is an export of an earlier version, which did not note what it wrote: import what was edited in "
            "it, and give another --output, or remove it"
        )
    written, imported = written_files(folder), imported_files(folder)
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if name == NOTE:
            continue
        if name not in written:
            raise OutputError(
                f"{folder} holds files that no export wrote: move them away, such as {path}, or give another --output"
            )
        if _digest(path) not in (written[name], imported.get(name)):
            raise OutputError(
                f"{path} was changed after it was exported, and the changes would be lost: import {folder} first "
                "(`vsrd-ray import`), or give another --output"
            )


def _digest(path: Path) -> str:
    """Of the content of a file, or of where a link leads to."""
    if path.is_symlink():
        return f"-> {path.readlink()}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _files(folder: Path) -> list[Path]:
    return sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names)


def _make(folder: Path, destination: Path, made: list[Path]) -> None:
    try:
        make_folders(folder, made)
    except OSError as error:
        raise OutputError(f"{destination} cannot be made ({one_line(error)}): give another --output") from error


def _write_note(folder: Path, note: dict[str, Any]) -> None:
    digests = {path.relative_to(folder).as_posix(): _digest(path) for path in _files(folder)}
    content = {"writer": _WRITER} | note | {"files": len(digests), _DIGESTS: digests}
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
