"""What a format of masks is, and what it makes of a file or folder."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.masks.rle import Part
from vsrd_ray.storage import Location, folders_in, is_folder, names_in, read_bytes

HEAD = 4096  # bytes of a file that detection may look at
RGB, RGBA = (8, 2), (8, 6)  # bits of a channel and PNG's type of colours
_PNG, _HEADER = b"\x89PNG\r\n\x1a\n", 26  # how a PNG file begins, and where its type of colours has been told


@dataclass(frozen=True)
class Mask:
    """One instance, or one stretch of stuff, in one frame."""

    class_name: str | None  # of the dataset's table; None: unknown, such as a crowd, which may be anything
    number: int | None  # of the instance in its class, over all frames, 1..999; 0: stuff; None: nobody knows yet
    part: Part  # its pixels
    score: float = 1.0


class MaskFile(Protocol):
    """An opened file or folder of masks of one camera. It may be as large as it needs: it is not sent to workers."""

    @property
    def frames(self) -> tuple[int, ...]:
        """Numbers of frames, ascending, of which it tells which instances they show, if any."""
        ...

    @property
    def images(self) -> Mapping[str, int]:
        """Its numbers of frames by their images' names without folder and suffix; empty where it has no such names."""
        ...

    @property
    def strange(self) -> tuple[str, ...]:
        """Classes of its own of which the dataset has none: their masks are unknown."""
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

    def scored(self, frame: int) -> list[Mask]:
        """The same masks without their pixels, for their scores; none where all scores are 1."""
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
    def png_kind(self) -> tuple[int, int] | None:
        """Bits of a channel and type of colours of a folder's first PNG file; None where there is none that tells."""
        name = next((name for name in self.names if name.endswith(".png")), None)
        if name is None:
            return None
        with (self.location / name).open("rb") as file:
            head = file.read(_HEADER)
        return (head[24], head[25]) if len(head) == _HEADER and head.startswith(_PNG) else None

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
    camera: str
    classes: ClassTable  # of the dataset


@dataclass(frozen=True)
class MaskFormat:
    """One format."""

    name: str  # of `--masks-format`
    summary: str  # one line
    recognises: Callable[[Content], bool]  # whether a file or folder is in this format
    open: Callable[[Content, Drive], MaskFile]  # raises InputError
