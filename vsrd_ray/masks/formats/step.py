"""KITTI-STEP's panoptic maps: PNG of 8 bits a channel; red: class (Cityscapes' 19), green * 256 + blue: instance.

Cars and people have instances, which hold over frames; what is of these classes and of none is a crowd.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vsrd_ray.masks.base import RGB, Content, Drive, MaskFormat
from vsrd_ray.masks.classes import BACKGROUND, classes_of, strange_among
from vsrd_ray.masks.maps import MOST_NUMBERS, MapFolder, number_of_instance, numbered, read_png8
from vsrd_ray.storage import Location

_CLASSES = (
    *(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
    ),
    *("sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
_COUNTED = ("person", "car")
_VOID = 255
_NAME = re.compile(r"[0-9]{6}\.png")


@dataclass(frozen=True)
class _Meanings:
    names: Mapping[str, str | None]  # of the dataset, by STEP's

    def __call__(self, value: int) -> tuple[str | None, int | None] | None:
        """See `Meaning`."""
        number, instance = divmod(value, MOST_NUMBERS)
        if number == _VOID:
            return None, None
        if number >= len(_CLASSES):
            raise ValueError(f"class {number}: expected 0..{len(_CLASSES) - 1}, or 255 for void")
        name = _CLASSES[number]
        if name in _COUNTED:
            return (self.names[name], number_of_instance(instance)) if instance else (None, None)
        own = self.names[name]
        return None if own is None and name in BACKGROUND else (own, 0)


def _read(path: Location) -> np.ndarray:
    red, green, blue = np.moveaxis(read_png8(path, RGB), -1, 0).astype(np.int64)
    instances = green * 256 + blue
    if instances.max(initial=0) >= MOST_NUMBERS:
        raise ValueError(f"instance {instances.max()}: expected less than {MOST_NUMBERS}")
    return red * MOST_NUMBERS + instances


def _recognises(content: Content) -> bool:
    return content.png_kind == RGB and any(_NAME.fullmatch(name) for name in content.names)


def _open(content: Content, drive: Drive) -> MapFolder:
    names = numbered(filter(_NAME.fullmatch, content.names), content.location)
    images = {name.removesuffix(".png"): frame for frame, name in names.items()}
    own = classes_of(_CLASSES, drive.classes)
    strange = strange_among({name: own[name] for name in _COUNTED})
    return MapFolder(content.location, names, images, _read, _Meanings(own), has_ids=True, strange=strange)


SPEC = MaskFormat("kitti-step", "KITTI-STEP panoptic maps: 000000.png, RGB", _recognises, _open)
