"""What a PNG file says of itself, without decoding it: size, depth and whether it is whole; and 16-bit pixels."""

import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.storage import Location, read_ends

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_SIZE = 33  # signature, and the whole IHDR chunk
TRAILER = b"\x00\x00\x00\x00IEND\xaeB`\x82"
GRAYSCALE = 0  # PNG colour type


@dataclass(frozen=True)
class PngHeader:
    """The fields of the IHDR chunk that a reader has to check."""

    size: tuple[int, int]  # (width, height), pixels
    bit_depth: int
    color_type: int


def parse_header(data: bytes, path: Location) -> PngHeader:
    """Header of a PNG whose first `HEADER_SIZE` bytes, or more, are `data`; `path` is named in errors.

    Raises:
        UnreadableFrameError: the data are no PNG, or end within the header.
    """
    if len(data) < HEADER_SIZE or not data.startswith(SIGNATURE) or data[12:16] != b"IHDR":
        raise UnreadableFrameError(f"{path}: not a PNG file, or cut off in its header: restore the file")
    width, height, bit_depth, color_type = struct.unpack(">IIBB", data[16:26])
    return PngHeader(size=(width, height), bit_depth=bit_depth, color_type=color_type)


def check_chunks(data: bytes, path: Location) -> None:
    """Check that a whole PNG is in `data`: every chunk with its checksum, up to the end mark.

    Raises:
        UnreadableFrameError: the file is truncated, or a chunk is corrupt.
    """
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 8 + length
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise UnreadableFrameError(
                f"{path}: truncated or corrupt PNG (checksum at byte {position}): restore the file"
            )
        if data[position + 4 : position + 8] == b"IEND":
            return
        position = end + 4
    raise UnreadableFrameError(f"{path}: truncated PNG ({len(data)} bytes, no end mark): restore the file")


def read_outline(path: Location) -> PngHeader:
    """Header of a PNG file, of which only the first and the last bytes are read.

    Raises:
        UnreadableFrameError: no PNG, or one that is cut off.
    """
    head, tail, size = read_ends(path, head=HEADER_SIZE, tail=len(TRAILER))
    header = parse_header(head, path)
    if tail != TRAILER:
        raise UnreadableFrameError(f"{path}: truncated PNG ({size} bytes, no end mark): restore the file")
    return header


def check_gray16(data: bytes, path: Location, *, fix: str) -> PngHeader:
    """Header of a mask: a whole PNG of 16 bits in one channel.

    Raises:
        UnreadableFrameError: the file is truncated or corrupt.
        InputError: it is of another kind.
    """
    header = parse_header(data, path)
    check_chunks(data, path)
    if (header.bit_depth, header.color_type) != (16, GRAYSCALE):
        kind = f"{header.bit_depth} bits" if header.color_type == GRAYSCALE else "colours"
        raise InputError(f"{path}: expected a mask of 16 bits in one channel, got {kind}: {fix}")
    return header


def decode_gray16(data: bytes, path: Location) -> np.ndarray:
    """The pixels [H, W] uint16 of a mask that `check_gray16` takes.

    Raises:
        UnreadableFrameError: they cannot be decoded.
    """
    values = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
    return values
