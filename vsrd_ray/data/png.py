"""What a PNG file says of itself, without decoding it: size and depth, and whether the file is whole."""

import struct
import zlib
from dataclasses import dataclass

from vsrd_ray.errors import UnreadableFrameError
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
