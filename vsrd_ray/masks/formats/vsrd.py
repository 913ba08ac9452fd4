"""VSRD's annotations: a JSON file a frame with `masks`: class -> instance id -> runs; id = class * 1000 + number."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.errors import InputError, UnreadableFrameError, one_line
from vsrd_ray.masks.base import Content, Drive, Mask, MaskFormat
from vsrd_ray.masks.classes import BACKGROUND, class_of
from vsrd_ray.masks.jsons import entry
from vsrd_ray.masks.maps import numbered
from vsrd_ray.masks.rows import decoded
from vsrd_ray.storage import Location, read_bytes

_NAME = re.compile(r"[0-9]+\.json")


@dataclass(frozen=True)
class _Folder:
    location: Location
    names: Mapping[int, str]  # by frame
    classes: ClassTable
    has_ids: bool = True
    strange: tuple[str, ...] = ()  # what a file holds is only known once it is read
    images: Mapping[str, int] = field(default_factory=dict)

    @property
    def frames(self) -> tuple[int, ...]:
        """Those that have a file."""
        return tuple(sorted(self.names))

    def masks(self, frame: int) -> tuple[tuple[int, int], list[Mask]]:
        """See `MaskFile`."""
        path = self.file(frame)
        try:
            found = json.loads(read_bytes(path))
        except FileNotFoundError:
            raise InputError(f"no masks {path}: restore the file") from None
        except (ValueError, RecursionError) as error:
            raise UnreadableFrameError(f"{path}: not whole JSON ({one_line(error)}): restore the file") from error
        size, masks = (0, 0), []
        for called, instances in entry(found, "masks", dict, f"{path}").items():
            name = class_of(called, self.classes)
            for number, runs in instances.items() if isinstance(instances, dict) else ():
                place = f"{path}, {called} {number}"
                height, width = entry(runs, "size", list, place)[:2] or (0, 0)
                if size not in ((0, 0), (width, height)):
                    raise InputError(f"{place}: masks of two sizes in one file: restore it")
                size = width, height
                instance = int(number) % IDS_PER_CLASS if f"{number}".isdecimal() else -1
                if instance < 0:
                    raise InputError(f"{place}: expected a whole number as id: restore the file")
                if instance == 0 and ((name is None and called in BACKGROUND) or called == "unlabeled"):
                    continue
                try:
                    masks.append(Mask(name, instance, decoded(runs, size)))
                except ValueError as error:
                    raise InputError(f"{place}: a mask that cannot be used ({error}): restore the file") from error
        return size, masks

    def scored(self, frame: int) -> list[Mask]:
        """See `MaskFile`."""
        return []

    def file(self, frame: int) -> Location:
        """See `MaskFile`."""
        return self.location / self.names[frame]


def _recognises(content: Content) -> bool:
    first = next(filter(_NAME.fullmatch, content.names), None)
    if first is None:
        return False
    found = Content(content.location / first).json
    return isinstance(found, dict) and isinstance(found.get("masks"), dict)


def _open(content: Content, drive: Drive) -> _Folder:
    return _Folder(content.location, numbered(filter(_NAME.fullmatch, content.names), content.location), drive.classes)


SPEC = MaskFormat("vsrd", "VSRD annotations: a JSON file a frame", _recognises, _open)
