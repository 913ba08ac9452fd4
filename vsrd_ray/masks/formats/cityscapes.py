"""Cityscapes' `*_instanceIds.png`: 16 bits; from 1000 on class * 1000 + instance, below the class of stuff or a crowd.

Instances are numbered in each image for itself, from 0 on.
"""

from dataclasses import dataclass

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.masks.base import Content, Drive, MaskFormat
from vsrd_ray.masks.classes import BACKGROUND, CITYSCAPES, class_of
from vsrd_ray.masks.maps import MapFolder, numbered, read_png16

_SUFFIXES = ("_gtFine_instanceIds.png", "_gtCoarse_instanceIds.png", "_instanceIds.png")
_PERSON = CITYSCAPES.index("person")  # the first class that has instances; all after it have them too


@dataclass(frozen=True)
class _Meanings:
    classes: ClassTable  # of the dataset

    def __call__(self, value: int) -> tuple[str | None, int | None] | None:
        """See `Meaning`."""
        number, instance = divmod(value, IDS_PER_CLASS) if value >= IDS_PER_CLASS else (value, None)
        if number >= len(CITYSCAPES) or (instance is not None and instance > IDS_PER_CLASS - 2):
            raise ValueError(f"value {value}: expected a class below {len(CITYSCAPES)} and an instance below 999")
        name = class_of(CITYSCAPES[number], self.classes)
        if instance is not None:
            return name, instance + 1
        if number >= _PERSON:
            return None, None  # a crowd
        is_background = number == 0 or (name is None and CITYSCAPES[number] in BACKGROUND)
        return None if is_background else (name, 0)


def _stem(name: str) -> str | None:
    """The name that the image shares; None of other files."""
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), None)


def _recognises(content: Content) -> bool:
    return any(_stem(name) is not None for name in content.names)


def _open(content: Content, drive: Drive) -> MapFolder:
    stems = {stem: name for name in content.names if (stem := _stem(name)) is not None}
    names = numbered((f"{stem}.png" for stem in stems), content.location)
    images: dict[str, int] = {}
    for frame, name in names.items():
        stem = name.removesuffix(".png")
        names[frame] = stems[stem]
        images |= {stem: frame, f"{stem}_leftImg8bit": frame}
    return MapFolder(content.location, names, images, read_png16, _Meanings(drive.classes), has_ids=False)


SPEC = MaskFormat("cityscapes", "Cityscapes' *_instanceIds.png; ids in each image", _recognises, _open)
