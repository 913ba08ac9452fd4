"""KITTI-360's `instance` folder: a PNG of 16 bits a frame, with class number * 1000 + instance; 0: stuff."""

import re
from dataclasses import dataclass

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.masks.base import Content, Drive, MaskFormat
from vsrd_ray.masks.classes import BACKGROUND, KITTI360, class_of
from vsrd_ray.masks.maps import MapFolder, numbered, read_png16

_NAME = re.compile(r"[0-9]{10}\.png")


@dataclass(frozen=True)
class Meanings:
    """What values of a map mean, by Cityscapes' or KITTI-360's numbers of classes."""

    names: tuple[str, ...]  # by number
    classes: ClassTable  # of the dataset
    first: int  # number of the first instance in values

    def __call__(self, value: int) -> tuple[str | None, int | None] | None:
        """See `Meaning`.

        Raises:
            ValueError: no such class.
        """
        number, instance = divmod(value, IDS_PER_CLASS)
        if number >= len(self.names):
            raise ValueError(f"value {value}: no class {number}: expected 0..{len(self.names) - 1}")
        name = class_of(self.names[number], self.classes)
        if instance < self.first:
            is_background = number == 0 or (name is None and self.names[number] in BACKGROUND)
            return None if is_background else (name, 0)
        return name, instance + 1 - self.first


def _recognises(content: Content) -> bool:
    return any(_NAME.fullmatch(name) for name in content.names)


def _open(content: Content, drive: Drive) -> MapFolder:
    names = numbered(filter(_NAME.fullmatch, content.names), content.location)
    images = {name.removesuffix(".png"): frame for frame, name in names.items()}
    meaning = Meanings(KITTI360, drive.classes, first=1)
    return MapFolder(content.location, names, images, read_png16, meaning, has_ids=True)


SPEC = MaskFormat("kitti360", "KITTI-360's instance folder: 0000000000.png, 16 bit", _recognises, _open)
