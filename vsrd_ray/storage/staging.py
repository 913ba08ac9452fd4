"""Many files that are put together out of sight, and then all have their places, or none of them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vsrd_ray.storage import Location, bring, naming
from vsrd_ray.storage.atomic import make_folders, remove_empty

_PREFIX = ".vsrd-ray-"  # begins the name of a folder in which files are put together


class Staging:
    """A local folder laid out as another one, `target`, is to be."""

    def __init__(self, folder: Path, target: Location) -> None:
        """Place nothing yet.

        Args:
            folder: to write to; of the same file system as a local target.
            target: what the files are for, which is there.
        """
        self.folder, self.target = folder, target
        self.made: list[Path] = []  # folders on the way to places
        self._placed: list[Path] = []  # files and folders, where nothing was

    def place(self, name: str = "") -> None:
        """Give a file or a folder with all that is in it the same place in `target`.

        A folder that is there takes in what comes, and a file that is there is replaced. In an object store each file
        appears whole, one after the other.

        Args:
            name: below the folder, with slashes; by default all that it holds.

        Raises:
            OSError: something of another kind is there, or it cannot be written.
            OutputError: an object store cannot be written.
        """
        source, target = self.folder / name, self.target / name
        if isinstance(target, Path):
            self._move(source, target)
        else:
            for entry in sorted(source.iterdir()) if not name else [source]:
                bring(entry, self.target / entry.relative_to(self.folder).as_posix())

    def undo(self) -> None:
        """Take back what was placed in a local target, but for files that are replaced."""
        for path in reversed(self._placed):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        remove_empty(self.made)

    def _move(self, source: Path, target: Path) -> None:
        if source.is_dir() and target.is_dir():
            for entry in sorted(source.iterdir()):
                self._move(entry, target / entry.name)
            return
        make_folders(target.parent, self.made)
        is_new = not os.path.lexists(target)
        with naming(target, parts=source):
            source.replace(target)
        if is_new:
            self._placed.append(target)


@contextmanager
def staging(target: Location) -> Iterator[Staging]:
    """A folder to put files together in, which take their places below `target` when the block says so.

    Locally it is a hidden folder in `target`, which is made with those above it. After an error all that was placed or
    made there is gone again; objects that were uploaded stay.

    Raises:
        OSError: something cannot be written; the error names `target` or the place in it.
    """
    if not isinstance(target, Path):
        with tempfile.TemporaryDirectory(prefix="vsrd-ray-") as folder:
            yield Staging(Path(folder), target)
        return
    staged = Staging(target, target)
    try:
        with naming(target, parts=target / _PREFIX):
            make_folders(target, staged.made)
            with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=target) as folder:
                staged.folder = Path(folder)
                yield staged
    except BaseException:
        staged.undo()
        raise
