"""Masks that a user gives to a drive: where they lie, in which format, and how they become its instance maps.

Shapes: H x W pixels.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

from vsrd_ray import plugins
from vsrd_ray.data import drive as drives
from vsrd_ray.data.classes import UNKNOWN, ClassTable
from vsrd_ray.data.drive import IMAGES, LAST_FRAME, MASKS
from vsrd_ray.errors import InputError, UnreadableFrameError, nearest_name
from vsrd_ray.masks.base import Content, Drive, Mask, MaskFile, MaskFormat
from vsrd_ray.masks.classes import MANIFEST
from vsrd_ray.masks.tracked import Numbers, Outline, numbered, numbered_in_frame, tracked_numbers
from vsrd_ray.storage import Location, absolute, files_below, folders_in, is_folder, names_in, relative, size_and_stamp

_OPEN = 8  # files and folders of masks that a process keeps opened


@cache
def formats() -> dict[str, MaskFormat]:
    """All formats by name."""
    package = import_module("vsrd_ray.masks.formats")
    modules = (import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__))
    return {spec.name: spec for spec in sorted((module.SPEC for module in modules), key=lambda spec: spec.name)}


@dataclass(frozen=True)
class _Place:
    """Where the masks of one camera lie."""

    location: Location
    format: str
    stamp: str  # of the files when the drive was opened
    is_by_name: bool = False  # frames are found by the names of their images, which are not their numbers

    def opened(self, drive: drives.Drive, camera: str) -> MaskFile:
        """What lies there; a process keeps it open.

        Raises:
            InputError: it cannot be used, or has changed.
        """
        return _opened(self, drive.dataset, drive.name, camera)


@dataclass(frozen=True)
class GivenMasks:
    """The source of a drive's masks; see `vsrd_ray.data.drive.LayerSource`."""

    places: Mapping[str, _Place]  # by camera
    numbers: Mapping[str, Numbers] = field(default_factory=dict)  # by camera, of masks that were tracked

    def read(self, drive: drives.Drive, sensor: str, frame: int) -> np.ndarray:
        """Instance map [H, W] uint16; `UNKNOWN` where nobody knows what is there.

        Raises:
            UnreadableFrameError: this frame's masks are damaged.
            InputError: they cannot be used, or are of another size than the camera's images.
        """
        opened, number = self._found(drive, sensor, frame)
        size, masks = opened.masks(number)
        width, height = drive.cameras[sensor].image_size
        if size not in ((0, 0), (width, height)):
            raise InputError(
                f"{opened.file(number)}, frame {frame}: masks of {size[0]} x {size[1]} px, and the images of {sensor} "
                f"have {width} x {height}: give masks of these images"
            )
        return paint(self._numbered(masks, sensor, frame), (width, height), drive.classes)

    def scores(self, drive: drives.Drive, sensor: str, frame: int) -> dict[int, float]:
        """See `LayerSource`."""
        opened, number = self._found(drive, sensor, frame)
        return {
            drive.classes.first_id(mask.class_name) + mask.number: mask.score
            for mask in self._numbered(opened.scored(number), sensor, frame)
            if mask.class_name is not None and mask.number
        }

    def _numbered(self, masks: list[Mask], sensor: str, frame: int) -> list[Mask]:
        """Masks of a frame with the numbers that they have in its instance map."""
        if sensor in self.numbers and masks:
            masks = numbered(masks, self.numbers[sensor].get(frame, ()))
        return numbered_in_frame(masks)

    def part(self, frames: Sequence[int]) -> "GivenMasks":
        """See `LayerSource`."""
        parts = {
            camera: {frame: numbers[frame] for frame in frames if frame in numbers}
            for camera, numbers in self.numbers.items()
        }
        return replace(self, numbers=parts)

    def outlines(self, drive: drives.Drive, camera: str) -> dict[int, list[Outline]]:
        """What tracking has to know of a camera's masks, by frame; without frames that are damaged.

        Raises:
            InputError: there are masks that cannot be used.
        """
        found: dict[int, list[Outline]] = {}
        for frame in drive.frames_with(MASKS, camera):
            opened, number = self._found(drive, camera, frame)
            with suppress(UnreadableFrameError):
                found[frame] = [Outline.of(mask) for mask in opened.masks(number)[1]]
        return found

    def file(self, drive: drives.Drive, sensor: str, frame: int) -> Location:
        """The file that holds the masks of a frame."""
        opened, number = self._found(drive, sensor, frame)
        return opened.file(number)

    def opened(self, drive: drives.Drive, camera: str) -> MaskFile:
        """What the masks of a camera are read from: its scores, and masks one by one."""
        return self.places[camera].opened(drive, camera)

    def _found(self, drive: drives.Drive, sensor: str, frame: int) -> tuple[MaskFile, int]:
        """The file of a camera, and its own number of a frame."""
        if not drive.has(MASKS, sensor, frame):
            raise InputError(f"--masks: none of frame {frame} of {drive.name}, {sensor}: give masks of more frames")
        place = self.places[sensor]
        opened = place.opened(drive, sensor)
        return opened, opened.images[_image_name(drive, sensor, frame)] if place.is_by_name else frame


def with_masks(drive: drives.Drive, masks: Location, format: str | None) -> drives.Drive:
    """The drive with masks from elsewhere in place of its own; no mask is decoded.

    Args:
        drive: whose masks they are.
        masks: what the user gave: a file or a folder; or a folder of such, named by drives or by cameras.
        format: a name of `formats`; None: by the content.

    Raises:
        InputError: there is nothing, no format is like it, or nothing of it belongs to the drive.
    """
    places: dict[str, _Place] = {}
    frames: dict[str, tuple[int, ...]] = {}
    warnings = list(drive.warnings)
    for camera, location in _by_camera(masks, drive):
        stamp = _stamp(location)
        name = _format_of(Content(location)) if format is None else _format_named(format).name
        place = _Place(absolute(location), name, stamp)
        opened = place.opened(drive, camera)
        by_name = _frames_by_name(drive, camera, opened.images)
        frames[camera] = tuple(sorted(by_name or opened.frames))
        places[camera] = replace(place, is_by_name=bool(by_name))
        _check_frames(drive, camera, frames[camera], location)
        if opened.strange:
            names = ", ".join(opened.strange)
            warnings.append(f"{location}: no class is called {names}, so that these masks are taken as unknown")
    return replace(
        drive,
        layers={**drive.layers, MASKS: frames},
        sources={**drive.sources, MASKS: GivenMasks(places)},
        warnings=tuple(dict.fromkeys(warnings)),
    )


def with_tracks(drive: drives.Drive) -> drives.Drive:
    """The drive with numbers of the instances that were given without, by its poses; every such mask is decoded.

    Raises:
        InputError: there are masks that cannot be used.
    """
    source = drive.sources.get(MASKS)
    if not isinstance(source, GivenMasks):
        return drive
    numbers: dict[str, Numbers] = {}
    warnings = list(drive.warnings)
    for camera, place in source.places.items():
        if not place.opened(drive, camera).has_ids:
            outlines = source.outlines(drive, camera)
            numbers[camera], num_left_out = tracked_numbers(outlines, drive.cameras[camera])
            if num_left_out:
                warnings.append(
                    f"{place.location}: {num_left_out} objects more than a class has numbers, those that are seen "
                    "least: they are taken as unknown"
                )
    return replace(
        drive,
        sources={**drive.sources, MASKS: replace(source, numbers=numbers)},
        warnings=tuple(dict.fromkeys(warnings)),
    )


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
        InputError: there are none.
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
        (height, width), left, top = mask.part.pixels.shape, mask.part.left, mask.part.top
        number = UNKNOWN if mask.class_name is None else classes.first_id(mask.class_name) + (mask.number or 0)
        instance_map[top : top + height, left : left + width][mask.part.pixels] = number
    return instance_map


def _priority(mask: Mask) -> tuple[bool, bool, float, int, str, int]:
    """Later ones are painted over earlier ones."""
    rows = np.flatnonzero(mask.part.pixels.any(axis=1))
    foot = mask.part.top + int(rows[-1]) if len(rows) else -1
    is_known = mask.class_name is not None
    return is_known and mask.number != 0, is_known, mask.score, foot, mask.class_name or "", -(mask.number or 0)


@lru_cache(maxsize=_OPEN)
def _opened(place: _Place, dataset: str, name: str, camera: str) -> MaskFile:
    if _stamp(place.location) != place.stamp:
        raise InputError(f"{place.location} has changed since the drive was opened: run the same command again")
    spec: Any = plugins.load("datasets", dataset)
    return _format_named(place.format).open(Content(place.location), Drive(name, camera, spec.classes))


def _by_camera(masks: Location, drive: drives.Drive) -> Iterator[tuple[str, Location]]:
    """Where the masks of each camera lie."""
    place = _named(masks, drive.name) or masks
    folders = folders_in(place) if is_folder(place) else []
    found = {camera: place / camera for camera in drive.cameras if camera in folders}
    if not found and len(drive.cameras) > 1:
        raise InputError(
            f"--masks {place}: no folder of any camera, and the labeler takes all: "
            f"name folders {', '.join(drive.cameras)}"
        )
    for camera, location in (found or {drive.camera.name: place}).items():
        yield camera, location / "instance" if "instance" in folders_in(location) else location


def _named(masks: Location, name: str) -> Location | None:
    """What lies under a drive's name, with or without a suffix, in a folder; None where nothing does.

    Raises:
        InputError: several files do.
    """
    if not is_folder(masks):
        return None
    if MANIFEST in names_in(masks):
        return masks if f"sequence={name}" in folders_in(masks / "masks") else None
    if name in folders_in(masks):
        return masks / name
    files = [file for file in names_in(masks) if file == name or file.rpartition(".")[0] == name]
    if len(files) > 1:
        raise InputError(f"{masks}: both {files[0]} and {files[1]} are named like the sequence: remove one")
    return masks / files[0] if files else None


def _stamp(location: Location) -> str:
    """Of a file, its size and time; of a folder, those of the files in it; of a run, those of its masks."""
    if not is_folder(location):
        try:
            return "-".join(map(str, size_and_stamp(location)))
        except FileNotFoundError:
            raise InputError(f"--masks {location}: no such file or folder: check the path") from None
    folders = [location / name for name in ("masks", "groups")] if MANIFEST in names_in(location) else [location]
    found = [file for folder in folders for file in files_below(folder)]
    files = [(relative(file, location), *size_and_stamp(file)) for file in found]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def _image_name(drive: drives.Drive, camera: str, frame: int) -> str:
    return drive.file(IMAGES, camera, frame).stem


def _frames_by_name(drive: drives.Drive, camera: str, images: Mapping[str, int]) -> list[int]:
    """Frames whose images bear names of the file; none where their numbers tell as much."""
    if not images:
        return []
    names = {frame: _image_name(drive, camera, frame) for frame in drive.frames_with(IMAGES, camera)}
    found = [frame for frame, name in names.items() if name in images]
    return found if any(images[names[frame]] != frame for frame in found) else []


def _check_frames(drive: drives.Drive, camera: str, frames: tuple[int, ...], location: Location) -> None:
    """Refuse masks of which none is of this drive."""
    if not frames:
        raise InputError(f"--masks {location}: holds no masks: give another file or folder")
    posed = drive.cameras[camera].T_world_cam
    if posed and not any(frame in posed for frame in frames):
        raise InputError(
            f"--masks {location}: has frames {frames[0]}-{frames[-1]}, and {drive.name} has poses of frames "
            f"{min(posed)}-{max(posed)}: give the masks of this drive"
        )
    if frames[0] < 0 or frames[-1] > LAST_FRAME:
        odd = frames[0] if frames[0] < 0 else frames[-1]
        raise InputError(f"--masks {location}: frame {odd}: expected 0..{LAST_FRAME}: number the frames from 0")


def _format_named(name: str) -> MaskFormat:
    if (found := formats().get(name)) is None:
        nearest = nearest_name(name, formats())
        hint = "." if nearest is None else f"; did you mean {nearest!r}?"
        raise InputError(f"--masks-format: no format {name!r}{hint} There are {', '.join(formats())}")
    return found


def _format_of(content: Content) -> str:
    """The name of the one format that a file or folder is in."""
    if not content.is_folder and not content.head.strip():
        raise InputError(f"--masks {content.location}: an empty file: give one with masks")
    found = [name for name, spec in formats().items() if spec.recognises(content)]
    if len(found) != 1:
        what = f"may be {' or '.join(found)}" if found else "is in no format that is known"
        choices = ", ".join(found or formats())
        raise InputError(f"--masks {content.location} {what}: name its format with --masks-format, one of {choices}")
    return found[0]
