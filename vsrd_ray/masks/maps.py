"""Folders with a file a frame that says of each pixel what it belongs to.

Shapes: H x W pixels.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.png import check_gray16, decode_gray16
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.masks.base import RGBA, Mask
from vsrd_ray.masks.rle import Part
from vsrd_ray.storage import Location, read_bytes

MOST_NUMBERS = 4096  # of instances, in values of maps whose instances and classes lie in channels of their own
_NUMBER = re.compile(r"([0-9]+)[^0-9]*")
# Class and number, as `Mask` has them, of a value; None where it is background.
Meaning = Callable[[int], tuple[str | None, int | None] | None]


@dataclass(frozen=True)
class MapFolder:
    """See `MaskFile` for what each of these is."""

    location: Location
    names: Mapping[int, str]  # of files, by frame
    images: Mapping[str, int]
    read: Callable[[Location], np.ndarray]  # what a file says of each pixel, [H, W] of whole numbers from 0 on
    meaning: Meaning
    has_ids: bool
    strange: tuple[str, ...] = ()

    @property
    def frames(self) -> tuple[int, ...]:
        """Those that have a file."""
        return tuple(sorted(self.names))

    def masks(self, frame: int) -> tuple[tuple[int, int], list[Mask]]:
        """See `MaskFile`."""
        try:
            values = self.read(self.file(frame))
            return values.shape[::-1], list(split(values, self.meaning))
        except ValueError as error:
            raise InputError(f"{self.file(frame)}: {error}") from error

    def scored(self, frame: int) -> list[Mask]:
        """See `MaskFile`."""
        return []

    def file(self, frame: int) -> Location:
        """See `MaskFile`."""
        return self.location / self.names[frame]


def split(
    values: np.ndarray,  # [H, W] of whole numbers from 0 on
    meaning: Meaning,
) -> Iterable[Mask]:
    """A mask for each value that is not background."""
    flat = values.ravel()
    found = np.flatnonzero(np.bincount(flat)).tolist()
    meanings = {value: known for value in found if (known := meaning(value)) is not None}
    if not meanings:
        return
    is_shown = np.zeros(found[-1] + 1, dtype=bool)
    is_shown[list(meanings)] = True
    places = np.flatnonzero(is_shown[flat])  # few: most of a picture is background
    order = np.argsort(flat[places], kind="stable")
    rows, columns = np.divmod(places[order], values.shape[1])
    starts = np.flatnonzero(np.diff(flat[places[order]], prepend=-1))
    tops, bottoms = (least_or_most.reduceat(rows, starts).tolist() for least_or_most in (np.minimum, np.maximum))
    lefts, rights = (least_or_most.reduceat(columns, starts).tolist() for least_or_most in (np.minimum, np.maximum))
    for (value, known), top, bottom, left, right in zip(meanings.items(), tops, bottoms, lefts, rights, strict=True):
        yield Mask(*known, Part(left, top, values[top : bottom + 1, left : right + 1] == value))


def numbered(names: Iterable[str], location: Location) -> dict[int, str]:
    """File names by the last number in them.

    Raises:
        InputError: two have the same number, or one has none.
    """
    by_number: dict[int, str] = {}
    for name in names:
        number = number_in(name.rpartition(".")[0])
        if number is None:
            raise InputError(f"{location / name}: no frame number in its name: rename it, or move it away")
        if number in by_number:
            raise InputError(f"{location}: both {by_number[number]} and {name} are of frame {number}: move one away")
        by_number[number] = name
    return by_number


def number_in(stem: str) -> int | None:
    """The last number in a file's name without its suffix; None where there is none."""
    numbers = _NUMBER.findall(stem)
    return int(numbers[-1]) if numbers else None


def read_png8(path: Location, kind: tuple[int, int]) -> np.ndarray:
    """The pixels [H, W, C] uint8 of a PNG file, red first, with alpha where its kind has it.

    Args:
        path: the file.
        kind: `RGB` or `RGBA`.

    Raises:
        UnreadableFrameError: it is truncated or corrupt.
        InputError: it is of another kind, or not there.
    """
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no mask {path}: restore the file") from None
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if pixels is None:
        raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
    channels = 4 if kind == RGBA else 3
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != channels:
        raise InputError(f"{path}: expected {channels} channels of 8 bits, got {pixels.dtype} {pixels.shape}: save ids")
    return pixels[..., [2, 1, 0, 3][:channels]]


def number_of_instance(instance: int) -> int:
    """The number of an instance in its class, 1..999.

    Raises:
        ValueError: it is another one.
    """
    if not 0 < instance < IDS_PER_CLASS:
        raise ValueError(
            f"instance {instance}: expected 1..{IDS_PER_CLASS - 1}: number the instances of a drive from 1"
        )
    return instance


def read_png16(path: Location) -> np.ndarray:
    """The pixels [H, W] uint16 of a PNG file of 16 bits in one channel.

    Raises:
        UnreadableFrameError: it is truncated or corrupt.
        InputError: it is of another kind, or not there.
    """
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no mask {path}: restore the file") from None
    check_gray16(data, path, fix="save whole ids, not colours")
    return decode_gray16(data, path)
