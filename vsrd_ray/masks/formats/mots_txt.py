"""KITTI-MOTS's text: a line `frame id class height width rle` for each object of a frame; id = class * 1000 + number.

MOTS counts numbers from 0, instance maps from 1: object 1000 (car 0) becomes the first car.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.errors import InputError
from vsrd_ray.masks import rle
from vsrd_ray.masks.base import Content, Drive, Mask, MaskFormat
from vsrd_ray.masks.classes import classes_of, strange_among
from vsrd_ray.storage import Location, read_bytes

CLASSES = {1: "car", 2: "pedestrian"}
IGNORE = 10
_LINE = re.compile(rb"[ \t]*(\d+)[ \t]+(\d+)[ \t]+(\d+)[ \t]+(\d+)[ \t]+(\d+)[ \t]+(\S+)[ \t]*")


@dataclass(frozen=True)
class _File:
    """The lines of a file by frame; an encoding is decoded when its frame is read."""

    location: Location
    data: bytes
    lines: Mapping[int, list[tuple[int, int, int]]]  # frame -> first and last byte, and number of the line
    class_names: Mapping[int, str | None]
    strange: tuple[str, ...]
    has_ids: bool = True
    images: Mapping[str, int] = field(default_factory=dict)

    @property
    def frames(self) -> tuple[int, ...]:
        """All from the first to the last one with a line: frames between that have none show nothing."""
        return tuple(range(min(self.lines), max(self.lines) + 1)) if self.lines else ()

    def masks(self, frame: int) -> tuple[tuple[int, int], list[Mask]]:
        """See `MaskFile`."""
        size, masks = (0, 0), []
        for first, last, line in self.lines.get(frame, []):
            _, number, class_number, height, width, counts = self.data[first:last].split()
            if size not in ((0, 0), (int(width), int(height))):
                raise InputError(f"{self.location}, line {line}: masks of two sizes in frame {frame}: mend the file")
            size = int(width), int(height)
            try:
                part = rle.decode(counts, (int(height), int(width)))
            except ValueError as error:
                raise InputError(f"{self.location}, line {line}: a broken mask ({error}): restore the file") from error
            masks.append(Mask(self.class_names[int(class_number)], int(number) % IDS_PER_CLASS + 1, part))
        return size, masks

    def scored(self, frame: int) -> list[Mask]:
        """See `MaskFile`."""
        return []

    def file(self, frame: int) -> Location:
        """See `MaskFile`."""
        return self.location


def _recognises(content: Content) -> bool:
    return _LINE.match(content.head.lstrip(b"\r\n")) is not None and content.head[:1] not in b"{[<"


def _open(content: Content, drive: Drive) -> _File:
    data = read_bytes(content.location)
    lines: dict[int, list[tuple[int, int, int]]] = {}
    seen: set[tuple[int, int]] = set()
    position = 0
    for count, text in enumerate(data.split(b"\n"), start=1):
        first, position = position, position + len(text) + 1
        if not (text := text.rstrip()):
            continue
        frame, number = _checked(text, f"{content.location}, line {count}")
        if number // IDS_PER_CLASS != IGNORE:
            if (frame, number) in seen:
                raise InputError(
                    f"{content.location}, line {count}: object {number} twice in frame {frame}: remove one"
                )
            seen.add((frame, number))
        lines.setdefault(frame, []).append((first, first + len(text), count))
    own = classes_of(CLASSES.values(), drive.classes)
    names = {number: own[name] for number, name in CLASSES.items()} | {IGNORE: None}
    return _File(content.location, data, lines, names, strange_among(own))


def _checked(text: bytes, place: str) -> tuple[int, int]:
    """Frame and object id of a line."""
    if (match := _LINE.fullmatch(text)) is None:
        raise InputError(f"{place}: expected `frame id class height width rle`, got {text[:40]!r}: restore the file")
    frame, number, class_number = int(match[1]), int(match[2]), int(match[3])
    if class_number not in CLASSES and class_number != IGNORE:
        raise InputError(f"{place}: class {class_number}: expected 1 (car), 2 (pedestrian) or 10 (ignore)")
    is_of_class = number // IDS_PER_CLASS == class_number and number % IDS_PER_CLASS < IDS_PER_CLASS - 1
    if not is_of_class and class_number != IGNORE:
        first = class_number * IDS_PER_CLASS
        raise InputError(f"{place}: object {number}: expected {first}..{first + IDS_PER_CLASS - 2} of this class")
    return frame, number


SPEC = MaskFormat("kitti-mots-txt", "KITTI-MOTS text: frame id class height width rle", _recognises, _open)
