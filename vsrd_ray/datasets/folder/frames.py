"""Which frames a drive has, and which frame the name of a file stands for.

Where the names of all images end with digits, these are the frame's number, whatever the padding: frame_0007.png and
7.JPG are frame 7, and numbers may be missing. Otherwise frames are counted from 0 in the order of names. Names of
decimal seconds, as TUM's tools give them, are times.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from vsrd_ray.data.drive import LAST_FRAME
from vsrd_ray.datasets.folder import paths
from vsrd_ray.datasets.folder.film import Film, open_film
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, names_in

_DIGITS, _SECONDS = re.compile(r"[0-9]+$"), re.compile(r"[0-9]+\.[0-9]+")


@dataclass(frozen=True)
class Frames:
    """The frames of a drive, without their pixels."""

    images: dict[int, str] = field(default_factory=dict)  # frame -> name in the folder of images
    masks: dict[int, str] = field(default_factory=dict)  # frame -> name in the folder of masks
    film: Film | None = None  # where there is a video in place of images
    stems: dict[str, int] | None = None  # of frames that are counted in the order of their names; None: names say it
    times_s: dict[int, float] = field(default_factory=dict)  # as names or the video have them
    warnings: tuple[str, ...] = ()  # sentences on files that are left out

    @property
    def numbers(self) -> tuple[int, ...]:
        """Frames, ascending: those of the images or the video, or where there are none, those of the masks."""
        if self.film is not None:
            return tuple(range(self.film.num_frames))
        return tuple(sorted(self.images or self.masks))

    def number_of(self, name: str) -> int | None:
        """The frame that a file's name stands for, in whatever folder; None where it stands for none."""
        stem = stem_of(name)
        if self.stems is not None:
            return self.stems.get(stem)
        return _number(stem)

    def of_image(self, name: str) -> int | None:
        """The frame of the drive whose image has a name; None where there is none."""
        frame = self.number_of(name)
        return frame if frame in self._known else None

    @cached_property
    def _known(self) -> frozenset[int]:
        return frozenset(self.numbers)

    def of_lines(self, count: int, *, place: Location) -> Sequence[int]:
        """The frames that the lines of a file without frame numbers are of.

        As many lines as frames are in their order; more are of frames 0, 1, …, of which some have no image.

        Raises:
            InputError: there are fewer lines than that takes.
        """
        numbers = self.numbers
        if count == len(numbers):
            return numbers
        if numbers and count > numbers[-1]:
            return range(count)
        raise InputError(
            f"{place}: {count} lines for {len(numbers)} frames, and no line says which frame it is of: write a line "
            "for each frame, or begin each line with its frame number"
        )


def read_frames(folder: Location) -> Frames:
    """The frames of a drive: files are listed, and none is opened but a video.

    Raises:
        InputError: no image, mask or video, two files of one frame, or a video that cannot be read.
    """
    image_folder, mask_folder = paths.image_folder(folder), paths.mask_folder(folder)
    images, masks = _pictures(image_folder), _pictures(mask_folder)
    if lossy := [name for name in masks if not name.lower().endswith(".png")]:
        raise InputError(f"{mask_folder / lossy[0]}: JPEG changes ids: write masks as 16-bit PNG")
    video = None if images else paths.video_file(folder)
    if not images and not masks and video is None:
        raise InputError(
            f"{folder}: no image, mask or video: put images (.png, .jpg) into {image_folder}, or a video "
            f"({', '.join(paths.VIDEO_SUFFIXES)}) beside it"
        )
    if video is not None:
        film = open_film(video)
        frames = Frames(film=film, times_s=dict(enumerate(film.times_s)))
    else:
        stems, times_s = _counted(images or masks, image_folder if images else mask_folder)
        frames = Frames(stems=stems, times_s=times_s)
    return replace(
        frames,
        images=_by_frame(images, frames, image_folder),
        masks=_by_frame(masks, frames, mask_folder),
        warnings=(
            *_left_out(image_folder, []),
            *_left_out(mask_folder, [n for n in masks if frames.number_of(n) is None]),
        ),
    )


def stem_of(name: str) -> str:
    """A file's name without its folders and the suffixes of images: a of images/a.jpg.png."""
    stem = name.replace("\\", "/").rpartition("/")[2]
    while stem.lower().endswith(paths.IMAGE_SUFFIXES):
        stem = stem.rpartition(".")[0]
    return stem


def _number(stem: str) -> int | None:
    match = _DIGITS.search(stem)
    return None if match is None or int(match[0]) > LAST_FRAME else int(match[0])


def _pictures(folder: Location) -> list[str]:
    """Names of the images in a folder that can be read."""
    return [n for n in names_in(folder) if n.lower().endswith(paths.IMAGE_SUFFIXES) and not n.startswith(".")]


def _left_out(folder: Location, nameless: list[str]) -> Iterator[str]:
    """Sentences on pictures of other kinds, and on masks that have the name of no image."""
    others = [name for name in names_in(folder) if name.lower().endswith(paths.OTHER_PICTURES)]
    if others:
        yield f"{folder}: {len(others)} files such as {others[0]} are left out: write them as .png or .jpg."
    if nameless:
        yield f"{folder}: {len(nameless)} masks such as {nameless[0]} have no image's name: name each as its image."


def _counted(names: Iterable[str], folder: Location) -> tuple[dict[str, int] | None, dict[int, float]]:
    """Frames by stem where they are counted in the order of names, and times where names are times.

    Raises:
        InputError: some names end with a number, and others do not.
    """
    stems = sorted({stem_of(name) for name in names})
    if all(_SECONDS.fullmatch(stem) for stem in stems):
        stems.sort(key=float)
        return {stem: frame for frame, stem in enumerate(stems)}, dict(enumerate(map(float, stems)))
    nameless = [stem for stem in stems if _number(stem) is None]
    if not nameless:
        return None, {}
    if len(nameless) < len(stems):
        numbered = next(stem for stem in stems if _number(stem) is not None)
        raise InputError(
            f"{folder}: {numbered} ends with its frame's number, and {nameless[0]} with none up to {LAST_FRAME}: give "
            "all names one, or none"
        )
    return {stem: frame for frame, stem in enumerate(stems)}, {}


def _by_frame(names: Iterable[str], frames: Frames, folder: Location) -> dict[int, str]:
    """Names by their frames, ascending.

    Raises:
        InputError: two of one frame.
    """
    found: dict[int, str] = {}
    for name in names:
        frame = frames.number_of(name)
        if frame is None:
            continue
        if frame in found:
            raise InputError(f"{folder}: {found[frame]} and {name} are both of frame {frame}: remove one of them")
        found[frame] = name
    return dict(sorted(found.items()))
