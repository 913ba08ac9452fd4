"""Videos: frames by their number in the order in which they are shown."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from vsrd_ray.errors import InputError, UnreadableFrameError, one_line
from vsrd_ray.storage import Location, Stamp, size_and_stamp

_KEPT = 16  # decoded frames of a video
_AHEAD = 48  # frames that are decoded and passed over before a look for a key frame is worth it


@dataclass(frozen=True)
class Film:
    """What a video says of itself."""

    path: Location
    size: tuple[int, int]  # (width, height), pixels
    stamps: tuple[int, ...]  # of its frames, ascending, in units of the video
    times_s: tuple[float, ...]  # of its frames; from wherever the video counts

    @property
    def num_frames(self) -> int:
        """Frames in the video."""
        return len(self.stamps)


def open_film(path: Location) -> Film:
    """Size and times of a video's frames; its packets are listed, and none is decoded.

    Raises:
        InputError: the file is no video that can be read.
    """
    return _reader(path, *size_and_stamp(path)).film


def read_film(path: Location, frame: int) -> np.ndarray:
    """One frame [H, W, 3] uint8, BGR, by its number from 0; the same whatever was read before.

    Raises:
        UnreadableFrameError: it cannot be decoded; only this frame is lost.
        InputError: the file is no video that can be read, or has no such frame.
    """
    return _reader(path, *size_and_stamp(path)).read(frame)


@lru_cache(maxsize=2)
def _reader(path: Location, size: int, stamp: Stamp) -> "_Reader":
    return _Reader(path)


class _Reader:
    """An open video, and the frames of it that were decoded last."""

    def __init__(self, path: Location) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._path = path
        self._open()
        self.film = self._film()
        self._number: dict[int | None, int] = {stamp: number for number, stamp in enumerate(self.film.stamps)}
        self._rewind(0)

    def read(self, frame: int) -> np.ndarray:
        if not 0 <= frame < self.film.num_frames:
            raise InputError(f"{self._path}: no frame {frame}: the video has {self.film.num_frames}")
        with self._lock:
            if frame not in self._kept:
                try:
                    self._decode(frame)
                except FFmpegError as error:
                    self._rewind(0)
                    raise self._unreadable(frame, one_line(error)) from error
            return self._kept[frame].copy()

    def _open(self) -> None:
        try:
            source: object = str(self._path) if isinstance(self._path, Path) else self._path.open("rb")
            self._container = av.open(source, mode="r")
            if not self._container.streams.video:
                raise InputError(f"{self._path}: no video in the file: give one, or images")
            self._stream = self._container.streams.video[0]
        except FFmpegError as error:
            raise InputError(
                f"{self._path}: no video that can be read ({one_line(error)}): write it anew as H.264 in .mp4, or give "
                "its frames as images"
            ) from error

    def _film(self) -> Film:
        try:
            packets = self._container.demux(self._stream)
            stamps = {_stamp(packet) for packet in packets if packet.size and not packet.is_discard}
        except FFmpegError as error:
            raise InputError(f"{self._path}: the video breaks off ({one_line(error)}): restore the file") from error
        context, base = self._stream.codec_context, self._stream.time_base
        known = sorted(stamp for stamp in stamps if stamp is not None)
        if not known or len(known) < len(stamps) or base is None or not context.width:
            raise InputError(
                f"{self._path}: the video does not say when its frames are shown: write it anew as H.264 in .mp4, or "
                "give its frames as images"
            )
        times = tuple(float(stamp * base) for stamp in known)
        return Film(self._path, (context.width, context.height), tuple(known), times)

    def _rewind(self, frame: int) -> None:
        """Go to the last key frame before a frame."""
        self._container.seek(self.film.stamps[frame], stream=self._stream, backward=True)
        self._frames: Iterator[av.VideoFrame] = self._container.decode(self._stream)
        self._next: int | None = None  # the frame that comes next; None: not known

    def _decode(self, frame: int) -> None:
        """Decode up to a frame, and keep it with those just before it."""
        if self._next is None or not self._next <= frame <= self._next + _AHEAD:
            self._rewind(frame)
        for picture in self._frames:
            stamp = _stamp(picture)
            if stamp not in self._number:
                continue
            number = self._number[stamp]
            self._next = number + 1
            if number > frame - _KEPT:
                self._kept[number] = picture.to_ndarray(format="bgr24")
                self._kept.move_to_end(number)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            if number >= frame:
                break
        if frame not in self._kept:
            self._rewind(0)
            raise self._unreadable(frame, "it does not come out of the decoder")

    def _unreadable(self, frame: int, reason: str) -> UnreadableFrameError:
        return UnreadableFrameError(f"{self._path}: frame {frame} cannot be decoded ({reason}): restore the file")


def _stamp(one: Any) -> int | None:
    """When a packet or frame is shown; where that is not said, when it is decoded."""
    return one.pts if one.pts is not None else one.dts
