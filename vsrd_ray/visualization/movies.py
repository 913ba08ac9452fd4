"""Pictures written to a folder or a film, by the name of the destination."""

from collections.abc import Iterable

import cv2
import numpy as np

from vsrd_ray.data.atomic import atomic_write
from vsrd_ray.data.storage import Location
from vsrd_ray.errors import InputError

_GIF_WIDTH = 800  # pixels; films in this format grow large
_SUFFIXES = (".mp4", ".gif", "")


def check_destination(destination: Location) -> None:
    """Refuse a destination that is neither a film that can be written nor a folder.

    Raises:
        InputError: another suffix than .mp4 or .gif.
    """
    if destination.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{destination}: pictures go to a folder, or to a film that ends with .mp4 or .gif")


def write_pictures(
    pictures: Iterable[tuple[int, np.ndarray]], destination: Location, *, frames_per_second: float = 10.0
) -> int:
    """Write numbered pictures and return how many.

    Args:
        pictures: (frame number, BGR [H, W, 3] uint8), of one size.
        destination: a film (.mp4, or .gif, which is scaled down to 800 px), or a folder for DESTINATION/%010d.png.
        frames_per_second: of a film.

    Raises:
        InputError: another suffix, or no film can be written on this machine.
    """
    check_destination(destination)
    kind = destination.suffix.lower()
    if kind == ".mp4":
        return _write_mp4(pictures, destination, frames_per_second)
    if kind == ".gif":
        return _write_gif(pictures, destination, frames_per_second)
    return _write_folder(pictures, destination)


def _write_folder(pictures: Iterable[tuple[int, np.ndarray]], folder: Location) -> int:
    count = 0
    for frame, picture in pictures:
        with atomic_write(folder / f"{frame:010d}.png") as temporary:
            temporary.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        count += 1
    return count


def _write_mp4(pictures: Iterable[tuple[int, np.ndarray]], path: Location, frames_per_second: float) -> int:
    count, writer = 0, None
    with atomic_write(path) as temporary:
        try:
            for _, picture in pictures:
                height, width = (side - side % 2 for side in picture.shape[:2])  # the codec wants even sides
                if writer is None:
                    code = cv2.VideoWriter.fourcc(*"mp4v")
                    writer = cv2.VideoWriter(str(temporary), code, frames_per_second, (width, height))
                    if not writer.isOpened():
                        raise InputError(f"{path}: OpenCV cannot write MP4 on this machine; give a .gif or a folder")
                writer.write(np.ascontiguousarray(picture[:height, :width]))
                count += 1
        finally:
            if writer is not None:
                writer.release()
    return count


def _write_gif(pictures: Iterable[tuple[int, np.ndarray]], path: Location, frames_per_second: float) -> int:
    film = cv2.Animation()
    film.frames = [_scaled_down(picture) for _, picture in pictures]
    film.durations = [round(1000 / frames_per_second)] * len(film.frames)  # milliseconds
    with atomic_write(path) as temporary:
        if not cv2.imwriteanimation(str(temporary), film):
            raise InputError(f"{path}: OpenCV cannot write GIF on this machine; give an .mp4 or a folder")
    return len(film.frames)


def _scaled_down(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    if width <= _GIF_WIDTH:
        return picture
    return cv2.resize(picture, (_GIF_WIDTH, round(height * _GIF_WIDTH / width)), interpolation=cv2.INTER_AREA)
