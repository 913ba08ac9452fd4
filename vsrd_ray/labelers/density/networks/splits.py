"""Lists of key frames: the published divisions of KITTI-360 and KITTI raw, and one's own in their form.

A line names the drive, the frame and the camera: `2011_09_26/2011_09_26_drive_0001_sync 69 l`, l for left, r for right.
"""

from dataclasses import dataclass
from typing import Literal

from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location

Side = Literal["l", "r"]


@dataclass(frozen=True)
class KeyFrame:
    """A frame that samples are made around."""

    drive: str  # the name alone, without KITTI's folder of the day
    frame: int  # KITTI-360: among the frames that have poses, as published
    side: Side


def read_split(path: Location) -> list[KeyFrame]:
    """The key frames of a file, in its order; lines may end as Windows ends them.

    Raises:
        InputError: no such file, or a line of another form, with its number.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"no file of key frames {path}: give lines '<drive> <frame> <l or r>'") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected lines '<drive> <frame> <l or r>', got a file that is no text") from None
    return [_key_frame(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _key_frame(line: str, place: str) -> KeyFrame:
    match line.split():
        case [drive, frame, "l" | "r" as side] if frame.isdecimal():
            return KeyFrame(drive.rpartition("/")[2], int(frame), side)
        case _:
            raise InputError(f"{place}: expected '<drive> <frame> <l or r>', got {line.strip()!r}: mend the line")
