"""Masks that a user gives to a drive: where they lie, in which format, and how they become its instance maps.

Shapes: H x W pixels.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

from vsrd_ray import plugins
from vsrd_ray.data.classes import UNKNOWN, ClassTable
from vsrd_ray.data.drive import LAST_FRAME, Drive
from vsrd_ray.errors import InputError, nearest_name
from vsrd_ray.masks import base
from vsrd_ray.masks.base import Content, Mask, MaskFile, MaskFormat
from vsrd_ray.storage import Location, absolute, files_below, folders_in, is_folder, names_in, relative, size_and_stamp

_NEED_TRACKING = "its masks have no ids over frames: they need tracking first; give masks with track ids"


@cache
def formats() -> dict[str, MaskFormat]:
    """All formats by name."""
    package = import_module("vsrd_ray.masks.formats")
    modules = [import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__)]
    specs = [module.SPEC for module in modules if hasattr(module, "SPEC")]
    return {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.name)}


@dataclass(frozen=True)
class GivenMasks:
    """The source of a drive's masks; see `vsrd_ray.data.drive.LayerSource`. Each process opens the file once."""

    location: Location  # of this drive's masks
    format: str
    stamp: str  # of the files when the drive was opened

    def read(self, drive: Drive, sensor: str, frame: int) -> np.ndarray:
        """Instance map [H, W] uint16; `UNKNOWN` where nobody knows what is there.

        Raises:
            UnreadableFrameError: this frame's masks are damaged.
            InputError: they cannot be used, or are of another size than the camera's images.
        """
        width, height = drive.cameras[sensor].image_size
        size, masks = self.opened(drive).masks(frame)
        if size not in ((0, 0), (width, height)):
            raise InputError(
                f"{self.file(drive, sensor, frame)}: frame {frame}: masks of {size[0]} x {size[1]} px, and images of "
                f"{sensor} have {width} x {height}: give masks of these images"
            )
        return paint(masks, (width, height), drive.classes)

    def file(self, drive: Drive, sensor: str, frame: int) -> Location:
        """The file that holds the masks of a frame."""
        return self.opened(drive).file(frame)

    def opened(self, drive: Drive) -> MaskFile:
        """What lies there.

        Raises:
            InputError: it cannot be used, or has changed.
        """
        return _opened(self.location, self.format, self.stamp, drive.dataset, drive.name)


def given_masks(masks: Location, format: str | None, drive: Drive) -> tuple[GivenMasks, tuple[int, ...]]:
    """Where a drive's masks are read from, and the frames, ascending, that have any.

    Args:
        masks: what the user gave.
        format: a name of `formats`; None: by the content.
        drive: whose masks they are.

    Raises:
        InputError: there is nothing, no format is like it, or nothing of it belongs to the drive.
    """
    location = _place_of(masks, drive.name, drive.camera.name)
    content = Content(location)
    name = _format_of(content) if format is None else _format_named(format).name
    source = GivenMasks(absolute(location), name, _stamp(location))
    opened = source.opened(drive)
    frames = opened.frames
    if not frames:
        raise InputError(f"{location}: holds no masks: give another file with --masks")
    if not opened.has_ids:
        raise InputError(f"{location}: {_NEED_TRACKING}")
    if frames[0] < 0 or frames[-1] > LAST_FRAME:
        raise InputError(f"{location}: frame {frames[0] if frames[0] < 0 else frames[-1]}: expected 0..{LAST_FRAME}")
    posed = drive.T_world_cam
    if posed and not any(frame in posed for frame in frames):
        raise InputError(
            f"{location}: holds masks of frames {frames[0]}-{frames[-1]}, and {drive.name} has poses of frames "
            f"{min(posed)}-{max(posed)}: give the masks of this drive"
        )
    return source, frames


def has_masks_of(masks: Location, name: str, names: Sequence[str]) -> bool:
    """Whether what the user gave is of a drive: by its name, or because none of the drives is named in it."""
    return _named(masks, name) is not None or not any(_named(masks, other) for other in names)


def check_masks_of(masks: Location, names: Sequence[str]) -> None:
    """Refuse one file for several drives.

    Raises:
        InputError: there is none for each of them.
    """
    if len(names) > 1 and (lacking := [name for name in names if _named(masks, name) is None]):
        raise InputError(
            f"--masks {masks}: {len(names)} sequences, and nothing there is named {lacking[0]}: give a folder that "
            "holds a file or folder of each sequence's name, or label one at a time"
        )


def stamp_of_masks(masks: Location, name: str) -> str:
    """What tells whether a drive's masks have changed, as far as a listing does.

    Raises:
        FileNotFoundError: there are none.
    """
    return _stamp(_named(masks, name) or masks)


def paint(
    masks: Sequence[Mask],
    size: tuple[int, int],  # (width, height) px
    classes: ClassTable,
) -> np.ndarray:
    """The instance map [H, W] uint16 of a frame's masks.

    A pixel of several masks goes to the one with the highest score, and of equal ones to the nearer: on the ground,
    whose foot is lower in the image. Stuff and what is unknown give way to instances.
    """
    instance_map = np.zeros(size[::-1], dtype=np.uint16)
    for mask in sorted(masks, key=_priority):
        height, width = mask.pixels.shape
        part = instance_map[mask.top : mask.top + height, mask.left : mask.left + width]
        part[mask.pixels] = (
            UNKNOWN if mask.class_name is None else classes.first_id(mask.class_name) + (mask.number or 0)
        )
    return instance_map


def _priority(mask: Mask) -> tuple[bool, bool, float, int, str, int]:
    """Later ones are painted over earlier ones."""
    rows = np.flatnonzero(mask.pixels.any(axis=1))
    foot = mask.top + int(rows[-1]) if len(rows) else -1
    is_known = mask.class_name is not None
    return is_known and mask.number != 0, is_known, mask.score, foot, mask.class_name or "", -(mask.number or 0)


@lru_cache(maxsize=4)
def _opened(location: Location, format: str, stamp: str, dataset: str, name: str) -> MaskFile:
    if (now := _stamp(location)) != stamp:
        raise InputError(f"{location} has changed since the run began ({stamp} -> {now}): run the same command again")
    spec: Any = plugins.load("datasets", dataset)
    return _format_named(format).open(Content(location), base.Drive(name, spec.classes))


def _place_of(masks: Location, name: str, camera: str) -> Location:
    """The file or folder of one drive and camera."""
    place = _named(masks, name) or masks
    for part in (camera, "instance"):
        if part in folders_in(place):
            place = place / part
    return place


def _named(masks: Location, name: str) -> Location | None:
    """What lies under a drive's name, with or without a suffix, in a folder; None where nothing does.

    Raises:
        InputError: several files do.
    """
    if not is_folder(masks):
        return None
    if name in folders_in(masks):
        return masks / name
    files = [file for file in names_in(masks) if file == name or file.rpartition(".")[0] == name]
    if len(files) > 1:
        raise InputError(f"{masks}: both {files[0]} and {files[1]} are named like the sequence: remove one")
    return masks / files[0] if files else None


def _stamp(location: Location) -> str:
    """Of a file, its size and time; of a folder, those of the files in it."""
    if not is_folder(location):
        try:
            return "-".join(map(str, size_and_stamp(location)))
        except FileNotFoundError:
            raise InputError(f"--masks {location}: no such file or folder: check the path") from None
    files = files_below(location)
    digest = hashlib.sha256(json.dumps([(relative(file, location), *size_and_stamp(file)) for file in files]).encode())
    return digest.hexdigest()[:16]


def _format_named(name: str) -> MaskFormat:
    if (found := formats().get(name)) is None:
        nearest = nearest_name(name, formats())
        hint = "" if nearest is None else f"; did you mean {nearest!r}?"
        raise InputError(f"--masks-format: no format {name!r}{hint} There are {', '.join(formats())}")
    return found


def _format_of(content: Content) -> str:
    found = [name for name, spec in formats().items() if spec.recognises(content)]
    if len(found) != 1:
        what = f"may be {' or '.join(found)}" if found else "is in no format that is known"
        choices = ", ".join(found or formats())
        raise InputError(f"--masks {content.location} {what}: name its format with --masks-format, one of {choices}")
    return found[0]
