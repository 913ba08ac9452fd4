"""KITTI-MOTS's PNG files, `instances/%04d/%06d.png`: 16 bits with class * 1000 + number; 0: background.

Numbers begin with 0 as in its text: value 1000 (car 0) becomes the first car.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.masks.base import RGB, Content, Drive, MaskFormat
from vsrd_ray.masks.classes import classes_of, strange_among
from vsrd_ray.masks.maps import MapFolder, numbered, read_png16

_CLASSES = {1: "car", 2: "pedestrian"}
_IGNORE = 10
_NAME = re.compile(r"[0-9]{6}\.png")


@dataclass(frozen=True)
class _Meanings:
    names: Mapping[str, str | None]  # of the dataset, by MOTS's

    def __call__(self, value: int) -> tuple[str | None, int | None] | None:
        """See `Meaning`."""
        number, instance = divmod(value, IDS_PER_CLASS)
        if value == 0:
            return None
        if number == _IGNORE:
            return None, None
        if number not in _CLASSES or instance > IDS_PER_CLASS - 2:
            raise ValueError(f"value {value}: expected 0, 1000..1998 (car), 2000..2998 (pedestrian) or 10000 (ignore)")
        return self.names[_CLASSES[number]], instance + 1


def _recognises(content: Content) -> bool:
    return content.png_kind != RGB and any(_NAME.fullmatch(name) for name in content.names)


def _open(content: Content, drive: Drive) -> MapFolder:
    names = numbered(filter(_NAME.fullmatch, content.names), content.location)
    images = {name.removesuffix(".png"): frame for frame, name in names.items()}
    own = classes_of(_CLASSES.values(), drive.classes)
    return MapFolder(
        content.location, names, images, read_png16, _Meanings(own), has_ids=True, strange=strange_among(own)
    )


SPEC = MaskFormat("kitti-mots-png", "KITTI-MOTS PNG: 000000.png, 16 bit", _recognises, _open)
