"""A command that fails for want of room leaves nothing half written, and what people edited is never written over."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.storage.staging import staging

SEQUENCE, OTHER = "2013_05_28_drive_0000_sync", "2013_05_28_drive_0009_sync"
OF_SEQUENCE = f"--root root --sequence {SEQUENCE}"
WRITERS = {
    "synthesize": "synthesize a/street --frames 2 --cars 1 --image-size 128x64 --jobs 1 --layers depth,lidar",
    "another sequence": f"synthesize root --frames 2 --cars 1 --image-size 704x188 --jobs 1 --sequence {OTHER}",
    "degrade": "degrade root a/bad --preset mild",
    "convert": "convert out --to a/texts",
    "convert --truth": f"convert --truth {OF_SEQUENCE} --to a/texts",
    "annotate": f"annotate {OF_SEQUENCE}",
    "sample": f"sample {OF_SEQUENCE}",
    "pictures": "visualize labels out --root root --to a/pictures",
    "film": "visualize labels out --root root --to a/film.gif",
    "sheet": "visualize labels out --root root --sheet a/sheet.png",
    "report": "report out --root root --output a/report.html",
    "kitti": "export out --root root --format kitti --output a/kitti",
    "kitti-tracking": "export out --root root --format kitti-tracking --output a/tracking",
    "nuscenes": "export out --root root --format nuscenes --output a/nuscenes",
    "train-prior": "train-prior car a/car.npz --samples 100",
}


def tree(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder, but for the index that research commands keep to themselves."""
    paths = (path for path in sorted(folder.rglob("*")) if "annotations/.index" not in str(path))
    found = {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}
    return {name: content for name, content in found.items() if name != "root/annotations"}


@pytest.fixture
def room() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [0, 2000])
@pytest.mark.parametrize("writer", WRITERS)
def test_files_that_may_not_grow_leave_nothing(here, command, refused, room, *, writer, limit):
    before = tree(here)
    room(limit)
    result = command(*WRITERS[writer].split())
    room(resource.RLIM_INFINITY)
    if result.exit_code:
        refused(result, "File too large", "allow larger files")
        assert tree(here) == before
    else:
        assert limit, "nothing was written"


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "train-prior"])
def test_files_that_cannot_be_placed_leave_nothing(monkeypatch, here, command, refused, *, writer, number):
    """Names take room as well."""
    before, count, replace = tree(here), 0, Path.replace

    def full(path: Path, target: Path) -> Path:
        nonlocal count
        count += "annotations/.index" not in str(target)
        if count > number:
            raise OSError(errno.ENOSPC, "No space left on device", str(path), None, str(target))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    result = command(*WRITERS[writer].split())
    monkeypatch.undo()
    if count <= number:
        assert result.exit_code == 0, result.output
    else:
        refused(result, "No space left on device", "make room")
        assert tree(here) == before


def test_a_file_that_fails_takes_its_new_folders_with_it(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="full"), atomic_write(tmp_path / "a" / "b" / "c" / "x") as temporary:
        temporary.touch()
        (tmp_path / "a" / "b" / "other").touch()
        raise OSError("full")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "other"]


def test_what_is_placed_joins_what_is_there(tmp_path):
    for name in ("a/old.txt", "a/same.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    with staging(tmp_path) as staged:
        for name in ("a/same.txt", "a/b/new.txt", "c.txt"):
            (staged.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (staged.folder / name).write_text("new")
        staged.place()
    files = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"a/old.txt": "old", "a/same.txt": "new", "a/b/new.txt": "new", "c.txt": "new"}


def test_an_interrupt_takes_back_what_was_placed(tmp_path):
    with pytest.raises(KeyboardInterrupt), staging(tmp_path / "new") as staged:
        (staged.folder / "x").touch()
        staged.place("x")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


CONVERSIONS = [name for name in WRITERS if name.startswith("convert")]


@pytest.mark.parametrize("writer", CONVERSIONS)
@pytest.mark.parametrize("age", [None, 0, 10**9])
def test_texts_that_were_edited_are_not_written_over(
    here: Path, command: Callable[..., Result], refused: Callable[..., str], *, writer: str, age: int | None
) -> None:
    words = WRITERS[writer].split()
    assert command(*words).exit_code == 0
    assert command(*words).exit_code == 0, "the same texts again are no edits"
    edited = sorted((here / "a").rglob("*.txt"))[3]
    edited.write_text(edited.read_text() + "Car 0 0 0 1 1 2 2 1 1 1 0 1 9 0\n")
    if age is not None:
        os.utime(edited, (age, age))
    sorted((here / "a").rglob("*.txt"))[0].unlink()
    before = tree(here)
    refused(command(*words), edited.name, "would be lost", "another --to")
    assert tree(here) == before
