"""PointSAM's files: `semantic_<image>.npz` (classes 0-9, 10: none) and `instance_<image>.npz` (-1: none), key `data`.

Instances are numbered in each image for itself.
"""

import io
import zipfile
from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.errors import InputError, UnreadableFrameError, one_line
from vsrd_ray.masks.base import Content, Drive, MaskFormat
from vsrd_ray.masks.classes import classes_of, strange_among
from vsrd_ray.masks.maps import MapFolder, numbered
from vsrd_ray.storage import Location, read_bytes

_CLASSES = (
    *("car", "truck", "trailer", "bus", "construction_vehicle", "bicycle", "motorcycle", "pedestrian"),
    *("traffic_cone", "barrier"),
)
_SEMANTIC, _INSTANCE, _SUFFIX = "semantic_", "instance_", ".npz"


@dataclass(frozen=True)
class _Meanings:
    names: tuple[str | None, ...]  # the dataset's, by PointSAM's numbers

    def __call__(self, value: int) -> tuple[str | None, int | None] | None:
        """See `Meaning`."""
        return (self.names[value // IDS_PER_CLASS - 1], value % IDS_PER_CLASS) if value else None


def _recognises(content: Content) -> bool:
    return any(name.startswith(_SEMANTIC) and name.endswith(_SUFFIX) for name in content.names)


def _open(content: Content, drive: Drive) -> MapFolder:
    stems = [
        name.removeprefix(_SEMANTIC).removesuffix(_SUFFIX)
        for name in content.names
        if name.startswith(_SEMANTIC) and name.endswith(_SUFFIX)
    ]
    names = numbered((f"{stem}{_SUFFIX}" for stem in stems), content.location)
    images = {name.removesuffix(_SUFFIX): frame for frame, name in names.items()}
    own = classes_of(_CLASSES, drive.classes)
    return MapFolder(
        content.location,
        {frame: f"{_SEMANTIC}{name}" for frame, name in names.items()},
        images,
        _read,
        _Meanings(tuple(own.values())),
        has_ids=False,
        strange=strange_among(own),
    )


def _read(path: Location) -> np.ndarray:
    """(class + 1) * 1000 + number from 1 on, [H, W] int32; 0: none."""
    semantic = _array(path)
    other = path.with_name(_INSTANCE + path.name.removeprefix(_SEMANTIC))
    instance = _array(other)
    if semantic.shape != instance.shape:
        raise InputError(f"{other}: {instance.shape} px, and {path.name} has {semantic.shape}: restore the files")
    if semantic.min() < 0 or semantic.max() > len(_CLASSES):
        raise InputError(f"{path}: class {semantic.min()}..{semantic.max()}: expected 0..{len(_CLASSES)}")
    is_one = (semantic < len(_CLASSES)) & (instance >= 0)
    ids, places = np.unique(instance[is_one], return_inverse=True)
    if len(ids) >= IDS_PER_CLASS:
        raise InputError(f"{other}: {len(ids)} instances in one image: expected at most {IDS_PER_CLASS - 1}")
    values = np.zeros(semantic.shape, dtype=np.int32)
    values[is_one] = (semantic[is_one] + 1) * IDS_PER_CLASS + places + 1
    return values


def _array(path: Location) -> np.ndarray:
    """The array `data` [H, W] of whole numbers in an npz file."""
    try:
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as content:
            data = content["data"]
    except FileNotFoundError:
        raise InputError(f"no mask {path}: restore the file") from None
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UnreadableFrameError(f"{path}: no npz with an array `data` ({one_line(error)}): restore it") from error
    if data.ndim != 2 or data.dtype.kind not in "iu":
        raise InputError(f"{path}: expected whole numbers [H, W], got {data.dtype} {data.shape}: restore the file")
    return data if data.dtype == np.int32 else data.astype(np.int64)  # int32 is what the published code writes


SPEC = MaskFormat("pointsam", "PointSAM's semantic_*.npz and instance_*.npz; ids in each image", _recognises, _open)
