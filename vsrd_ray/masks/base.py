"""What a format of masks is, and what it makes of a file or folder.

Shapes: H x W pixels of the image, h x w of the part of it that holds a mask.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.storage import Location, folders_in, is_folder, names_in, read_bytes

HEAD = 4096  # bytes of a file that detection may look at


@dataclass(frozen=True)
class Mask:
    """One instance, or one stretch of stuff, in one frame."""

    class_name: str | None  # of the dataset's table; None: unknown, such as a crowd, which may be anything
    number: int | None  # of the instance in its class, over all frames, 1..999; 0: stuff; None: nobody knows yet
    left: int  # px, of the first column of `pixels` in the image
    top: int  # px, of its first row
    pixels: np.ndarray  # [h, w] bool
    score: float = 1.0


class MaskFile(Protocol):
    """An opened file or folder of masks of one drive. It may be as large as it needs: it is not sent to workers."""

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames, ascending, of which it tells which instances they show, if any."""
        ...

    @property
    def has_ids(self) -> bool:
        """Whether an instance has the same number in all frames; else it has to be tracked first."""
        ...

    def masks(self, frame: int) -> tuple[tuple[int, int], list[Mask]]:
        """Size (width, height) px of a frame's image, and the masks in it; (0, 0) where it holds none that would tell.

        Raises:
            UnreadableFrameError: this frame's masks are damaged.
            InputError: they cannot be used.
        """
        ...

    def file(self, frame: int) -> Location:
        """Where a frame's masks lie."""
        ...


@dataclass(frozen=True)
class Content:
    """What lies at a place, as far as it takes to tell the format, and to read it once."""

    location: Location

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the files in it, sorted, if it is a folder; empty of a file."""
        return tuple(names_in(self.location)) if self.is_folder else ()

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders in it, sorted, if it is a folder."""
        return tuple(folders_in(self.location)) if self.is_folder else ()

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return is_folder(self.location)

    @cached_property
    def head(self) -> bytes:
        """The first bytes of a file; none of a folder."""
        if self.is_folder:
            return b""
        with self.location.open("rb") as file:
            return file.read(HEAD)

    @cached_property
    def json(self) -> Any:
        """A whole JSON file; None where it is none.

        Raises:
            InputError: it begins as JSON and is not.
        """
        if self.head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
            return None
        try:
            return json.loads(read_bytes(self.location))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.location}: not whole JSON ({one_line(error)}): restore the file") from error


@dataclass(frozen=True)
class Drive:
    """What a format may have to know of the drive whose masks it reads."""

    name: str
    classes: ClassTable  # of the dataset


@dataclass(frozen=True)
class MaskFormat:
    """One format."""

    name: str  # of `--masks-format`
    summary: str  # one line
    recognises: Callable[[Content], bool]  # whether a file or folder is in this format
    open: Callable[[Content, Drive], MaskFile]  # raises InputError


def class_of(text: str, classes: ClassTable) -> str | None:
    """The class that the dataset calls so, or that has this name in another format; None where none or several do."""
    if text in classes:
        return text
    plain = text.casefold().replace("_", " ").strip()
    called = [
        one.name
        for one in classes
        if plain in {name.casefold() for name in (one.name, *one.names.values(), *one.synonyms)}
    ]
    return called[0] if len(called) == 1 else None


def numbering(pairs: Iterable[tuple[str | None, int]], place: Location) -> dict[tuple[str, int], int]:
    """Numbers 1..999 of instances in their class, by class and id of the file.

    Ids that are such numbers stay; the others get what is free, in ascending order.

    Raises:
        InputError: a class has more instances than there are numbers.
    """
    ids: dict[str, set[int]] = {}
    for class_name, number in pairs:
        if class_name is not None:
            ids.setdefault(class_name, set()).add(number)
    numbers: dict[tuple[str, int], int] = {}
    for class_name, found in ids.items():
        if len(found) >= IDS_PER_CLASS:
            most = IDS_PER_CLASS - 1
            raise InputError(
                f"{place}: {len(found)} instances of {class_name}, and a drive may have {most}: split the drive, or "
                "join the tracks of one object"
            )
        kept = {one for one in found if 0 < one < IDS_PER_CLASS}
        free = iter(sorted(set(range(1, IDS_PER_CLASS)) - kept))
        for one in sorted(found):
            numbers[class_name, one] = one if one in kept else next(free)
    return numbers
