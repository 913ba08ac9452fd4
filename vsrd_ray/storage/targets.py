"""Places that are to be written to: whether they can be, before any work is done for them."""

import os
from pathlib import Path

from vsrd_ray.errors import OutputError
from vsrd_ray.storage import Location


def check_folder(folder: Location, *, fix: str) -> None:
    """Refuse a local folder that this process could not write to, there already or not.

    Args:
        folder: to write to.
        fix: what to do about it, such as "give another --output".

    Raises:
        OutputError: it, or where it is not there yet the nearest one above, is no folder or cannot be written.
    """
    if not isinstance(folder, Path):
        return
    nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not nearest.is_dir():
        what = "a file" if nearest.exists() else "a link to nothing"
        cannot = f"{folder} is {what}" if nearest == folder else f"{folder} cannot be made, since {nearest} is {what}"
        raise OutputError(f"{cannot}: {fix}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written, since {nearest} is not writable: {fix}")


def check_file(path: Location, *, kind: str, suffixes: tuple[str, ...], fix: str) -> None:
    """Refuse a file that this process could not write, or not under a name that tells what is in it.

    Args:
        path: to write to.
        kind: of the file, for people, such as "HTML".
        suffixes: that its name may end with.
        fix: what to do where the folder cannot be written.

    Raises:
        OutputError: it is a folder or a device, is named like a file of another kind, or cannot be written.
    """
    if isinstance(path, Path):
        if path.is_dir():
            raise OutputError(f"{path} is a folder: name the {kind} file to write")
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is a device: name the {kind} file to write")
        check_folder(path.parent, fix=fix)
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path}: the {kind} file needs a name that ends with {' or '.join(suffixes)}")
