"""Pictures written to a folder or a film, by the name of the destination."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import av
import av.filter
import cv2
import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.storage.staging import staging
from vsrd_ray.storage.targets import check_file, check_folder

_GIF_WIDTH = 800  # pixels; films in this format grow large


@dataclass(frozen=True)
class _Format:
    """How films of a kind are encoded: a picture at a time, so that those of any length can be written."""

    codec: Literal["libx264", "gif"]
    pixels: str
    prepare: Callable[[np.ndarray], np.ndarray]  # of a picture, to a size that suits
    quality: dict[str, str] = field(default_factory=dict)  # of the codec
    layout: dict[str, str] = field(default_factory=dict)  # of the file
    has_palettes: bool = False  # each picture has 256 colours of its own


def check_destination(destination: Location) -> None:
    """Refuse a destination that is neither a film that can be written nor a folder.

    Raises:
        InputError: another suffix than .mp4 or .gif.
        OutputError: it cannot be written, or something of another kind is there.
    """
    suffix = destination.suffix.lower()
    if suffix in _FORMATS:
        check_file(destination, kind=suffix, suffixes=(suffix,), fix="give another --to")
    elif suffix:
        raise InputError(f"{destination}: pictures go to a folder, or to a film that ends with .mp4 or .gif")
    else:
        check_folder(destination, fix="give another --to")


def write_pictures(
    pictures: Iterable[tuple[int, np.ndarray]], destination: Location, *, frames_per_second: float = 10.0
) -> int:
    """Write numbered pictures and return how many.

    Args:
        pictures: (frame number, BGR [H, W, 3] uint8), of one size.
        destination: a film (.mp4, H.264 that browsers play, or .gif, which is scaled down to 800 px), or a folder for
            DESTINATION/%010d.png.
        frames_per_second: of a film.

    Raises:
        InputError: another suffix.
    """
    check_destination(destination)
    kind = _FORMATS.get(destination.suffix.lower())
    if kind is None:
        return _write_folder(pictures, destination)
    return _write_film((picture for _, picture in pictures), destination, kind, frames_per_second)


def _write_folder(pictures: Iterable[tuple[int, np.ndarray]], folder: Location) -> int:
    count = 0
    with staging(folder) as staged:
        for frame, picture in pictures:
            (staged.folder / f"{frame:010d}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            count += 1
        staged.place()
    return count


def _write_film(pictures: Iterable[np.ndarray], path: Location, kind: _Format, frames_per_second: float) -> int:
    count, rate = 0, Fraction(frames_per_second).limit_denominator(1001)
    container = path.suffix.lower().removeprefix(".")
    with atomic_write(path) as temporary, av.open(str(temporary), "w", container, options=kind.layout) as film:
        stream = film.add_stream(kind.codec, rate=rate, options=kind.quality)
        stream.pix_fmt = kind.pixels
        frames = _frames(map(kind.prepare, pictures), 1 / rate)
        for frame in _with_palettes(frames) if kind.has_palettes else frames:
            if count == 0:
                stream.width, stream.height = frame.width, frame.height
            film.mux(stream.encode(frame))
            count += 1
        film.mux(stream.encode())  # what the codec still holds
    return count


def _frames(pictures: Iterable[np.ndarray], duration: Fraction) -> Iterator[av.VideoFrame]:
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
        frame.pts, frame.time_base = number, duration
        yield frame


def _with_palettes(frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Each frame in the 256 colours that suit it best."""
    graph = None
    for frame in frames:
        graph = graph or _palette_graph(frame)
        graph.vpush(frame)
        yield graph.vpull()


def _palette_graph(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    split, sink = graph.add("split"), graph.add("buffersink")
    palette, use = graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1:dither=none")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


def _with_even_sides(picture: np.ndarray) -> np.ndarray:
    height, width = (side - side % 2 for side in picture.shape[:2])
    return picture[:height, :width]


def _scaled_down(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    if width <= _GIF_WIDTH:
        return picture
    return cv2.resize(picture, (_GIF_WIDTH, round(height * _GIF_WIDTH / width)), interpolation=cv2.INTER_AREA)


_FORMATS = {
    # H.264 with colours at half the resolution is what every browser plays, and begins before all of it has come.
    ".mp4": _Format(
        codec="libx264",
        pixels="yuv420p",
        prepare=_with_even_sides,
        quality={"preset": "veryfast", "crf": "23"},
        layout={"movflags": "+faststart"},
    ),
    ".gif": _Format(codec="gif", pixels="pal8", prepare=_scaled_down, has_palettes=True),
}
