"""Pieces of samples, such as images decoded and resized, made once and kept as files of equal bytes."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, names_in, plain_name, read_bytes
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.training.base import Piece, Trainable

_SUFFIX = ".npy"


@dataclass(frozen=True)
class PieceStore:
    """A folder of arrays by name. Small and picklable."""

    folder: Location

    def read(self, name: str) -> np.ndarray:
        """The content of a piece.

        Raises:
            InputError: it is not there, or its file is damaged.
        """
        path = self.folder / f"{name}{_SUFFIX}"
        try:
            return np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
        except FileNotFoundError as error:
            raise InputError(f"{path} is gone: the same command makes it again") from error
        except (ValueError, EOFError) as error:
            raise InputError(f"{path}: no array that can be read ({error}): remove it, and it is made again") from error

    def write(self, name: str, content: np.ndarray) -> None:
        """Keep the content of a piece: whole or not at all."""
        with atomic_write(self.folder / f"{name}{_SUFFIX}") as temporary, temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(content), allow_pickle=False)

    def missing(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Those that are not kept yet.

        Raises:
            InputError: two of one name, or a name that no file can have.
        """
        kept, seen, missing = set(names_in(self.folder)), set[str](), list[Piece]()
        for piece in pieces:
            if plain_name(piece.name, what="piece") in seen:
                raise InputError(f"two pieces are named {piece.name!r}: a trainable must give each its own name")
            seen.add(piece.name)
            if f"{piece.name}{_SUFFIX}" not in kept:
                missing.append(piece)
        return missing


def make_piece(trainable: Trainable[Any], piece: Piece, store: PieceStore) -> None:
    """Make a piece and keep it."""
    store.write(piece.name, trainable.make(piece))


def image_piece(drive: Drive, camera: str, frame: int, *, size: tuple[int, int]) -> Piece:
    """The piece of an image of (width, height) pixels, which `make_image` makes."""
    name = f"{drive.name}-{camera}-{frame:010d}-{size[0]}x{size[1]}"
    return Piece(name, drive.part((frame,)), (camera, frame, size))


def make_image(piece: Piece) -> np.ndarray:
    """The image [H, W, 3] uint8, BGR, of an `image_piece`: smaller by the means of areas, larger bilinearly.

    Raises:
        InputError: it cannot be read.
    """
    camera, frame, size = piece.detail
    return resized(piece.drive.read(IMAGES, camera, frame), size)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image [H, W, 3] uint8 of (width, height) px: smaller by the means of areas, larger bilinearly."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    is_smaller = size[0] <= width and size[1] <= height
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
