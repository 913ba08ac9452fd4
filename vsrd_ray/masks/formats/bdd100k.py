"""BDD100K's bitmasks: PNG of 8 bits a channel; red: class, green: flags, blue * 256 + alpha: instance.

Flags: 8 truncated, 4 occluded, 2 crowd, 1 ignore. Instances hold over the frames of a video.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vsrd_ray.masks.base import RGBA, Content, Drive, MaskFormat
from vsrd_ray.masks.classes import classes_of, strange_among
from vsrd_ray.masks.maps import MOST_NUMBERS, MapFolder, number_of_instance, numbered, read_png8
from vsrd_ray.storage import Location

_CLASSES = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")  # from 1 on
_UNKNOWN_FLAGS = 2 | 1
_NAME = re.compile(r".*[0-9]\.png")


@dataclass(frozen=True)
class _Meanings:
    names: Mapping[str, str | None]  # of the dataset, by BDD100K's

    def __call__(self, value: int) -> tuple[str | None, int | None] | None:
        """See `Meaning`."""
        kind, instance = divmod(value, MOST_NUMBERS)
        number, is_unknown = divmod(kind, 2)
        if value == 0:
            return None
        if is_unknown or number == 0 or number > len(_CLASSES):  # other persons and vehicles have numbers beyond
            return None, None
        return self.names[_CLASSES[number - 1]], number_of_instance(instance)


def _read(path: Location) -> np.ndarray:
    red, green, blue, alpha = np.moveaxis(read_png8(path, RGBA), -1, 0).astype(np.int64)
    instances = blue * 256 + alpha
    if instances.max(initial=0) >= MOST_NUMBERS:
        raise ValueError(f"instance {instances.max()}: expected less than {MOST_NUMBERS}")
    return (red * 2 + (green & _UNKNOWN_FLAGS > 0)) * MOST_NUMBERS + instances


def _recognises(content: Content) -> bool:
    return content.png_kind == RGBA and any(_NAME.fullmatch(name) for name in content.names)


def _open(content: Content, drive: Drive) -> MapFolder:
    names = numbered(filter(_NAME.fullmatch, content.names), content.location)
    images = {name.removesuffix(".png"): frame for frame, name in names.items()}
    own = classes_of(_CLASSES, drive.classes)
    meaning, strange = _Meanings(own), strange_among(own)
    return MapFolder(content.location, names, images, _read, meaning, has_ids=True, strange=strange)


SPEC = MaskFormat("bdd100k", "BDD100K bitmasks: video-0000001.png, RGBA", _recognises, _open)
