"""Files whose masks are rows, each with its class, id and segmentation: decoded when their frame is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools import mask as coco

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.errors import InputError
from vsrd_ray.masks import rle
from vsrd_ray.masks.base import Mask
from vsrd_ray.masks.classes import classes_of, numbering, strange_among
from vsrd_ray.storage import Location

_LARGEST = 2**15  # px, of an image's side


@dataclass(frozen=True)
class Row:
    """One mask of one frame, as it stands in the file."""

    class_name: str | None  # see `Mask`
    number: int | None  # see `Mask`
    segmentation: Any  # COCO's polygons, or runs with their size; or `BoxRuns`
    score: float
    place: str  # in the file, for errors


@dataclass(frozen=True)
class RowFile:
    """See `MaskFile` for what each of these is."""

    location: Location
    rows: Mapping[int, Sequence[Row]]  # by frame; empty where a frame shows nothing
    sizes: Mapping[int, tuple[int, int]]  # (width, height) px of the images, by frame
    has_ids: bool
    strange: tuple[str, ...]
    images: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[int, Location] = field(default_factory=dict)  # by frame, where there is more than one

    @property
    def frames(self) -> tuple[int, ...]:
        """Those that the file lists."""
        return tuple(sorted(self.rows))

    def masks(self, frame: int) -> tuple[tuple[int, int], list[Mask]]:
        """See `MaskFile`."""
        size, masks = self.sizes[frame], []
        for row in self.rows[frame]:
            try:
                part = decoded(row.segmentation, size)
            except ValueError as error:
                raise InputError(
                    f"{self.location}, {row.place}: a mask that cannot be used ({error}): mend it, or leave it out"
                ) from error
            masks.append(Mask(row.class_name, row.number, part, row.score))
        return size, masks

    def scored(self, frame: int) -> list[Mask]:
        """See `MaskFile`."""
        return [Mask(row.class_name, row.number, rle.NOWHERE, row.score) for row in self.rows[frame]]

    def file(self, frame: int) -> Location:
        """See `MaskFile`."""
        return self.files.get(frame, self.location)


def decoded(
    segmentation: Any,
    size: tuple[int, int],  # (width, height) px
) -> rle.Part:
    """The mask of COCO's polygons or runs, or of CVAT's.

    Raises:
        ValueError: it is none of them, is broken, or is of another size.
    """
    width, height = size
    if isinstance(segmentation, rle.BoxRuns):
        return segmentation.decoded()
    if not isinstance(segmentation, list):
        counts, found = rle.rle_of(segmentation)
        if found != (height, width):
            raise ValueError(f"of {found[1]} x {found[0]} px in an image of {width} x {height}")
        return rle.decode(counts, found)
    if not segmentation or not all(map(_is_polygon, segmentation)):
        raise ValueError("neither polygons of three corners or more, nor runs")
    if max(abs(value) for polygon in segmentation for value in polygon) > _LARGEST:
        raise ValueError("a polygon far off the image")
    encoded: Any = coco.merge(coco.frPyObjects(segmentation, height, width))
    return rle.decode(encoded["counts"], (height, width))


def size_of(values: Mapping[str, Any], place: str) -> tuple[int, int]:
    """(width, height) px under these names.

    Raises:
        InputError: they are missing, or no size.
    """
    size = values.get("width"), values.get("height")
    if not all(isinstance(side, int) and 0 < side <= _LARGEST for side in size):
        raise InputError(f"{place}: expected a width and a height in px, got {size[0]!r} x {size[1]!r}: mend the file")
    return size  # pyright: ignore[reportReturnType]  # checked


def _is_polygon(value: Any) -> bool:
    """Whether a value is x, y, x, y, ... of three corners at least."""
    is_list = isinstance(value, list) and len(value) >= 6 and len(value) % 2 == 0
    return is_list and all(isinstance(one, (int, float)) and np.isfinite(one) for one in value)


@dataclass(frozen=True)
class Annotation:
    """A mask with what its file says of it."""

    frame: int
    class_name: str | None  # in the file's own words; None: a crowd, or to be ignored
    track: int | None  # id in the file; None: it has none
    segmentation: Any  # see `Row`
    score: float
    place: str


def row_file(
    location: Location,
    annotations: Sequence[Annotation],
    sizes: Mapping[int, tuple[int, int]],  # of all frames that the file tells of
    classes: ClassTable,
    images: Mapping[str, int] | None = None,
) -> RowFile:
    """The rows of a file, in the dataset's classes, and with numbers in them.

    Where any instance has no track, none counts as tracked, and they are numbered in each frame for itself.

    Raises:
        InputError: a class has more instances than there are numbers.
    """
    own = classes_of({one.class_name for one in annotations if one.class_name is not None}, classes)
    known = [(one, None if one.class_name is None else own[one.class_name]) for one in annotations]
    has_ids = all(one.track is not None for one, name in known if name is not None)
    rows: dict[int, list[Row]] = {frame: [] for frame in sizes}
    numbers = numbering(((name, one.track) for one, name in known if one.track is not None), location)
    for one, name in known:
        number = numbers[name, one.track] if has_ids and one.track is not None else len(rows[one.frame]) + 1
        rows[one.frame].append(Row(name, number, one.segmentation, one.score, one.place))
    return RowFile(location, rows, sizes, has_ids, strange_among(own), images or {})
