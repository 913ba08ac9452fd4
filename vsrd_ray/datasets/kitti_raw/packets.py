"""OxTS packets of a drive, and how much later than the images they were measured."""

import logging
from dataclasses import dataclass

import numpy as np

from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.datasets.kitti_raw.times import read_times
from vsrd_ray.errors import InputError, explained
from vsrd_ray.poses import oxts
from vsrd_ray.storage import Location, names_in

logger = logging.getLogger(__name__)

_FARTHEST = 0.2  # seconds between an image and its packet; more, and the streams are not of one clock


@dataclass(frozen=True)
class Packets:
    """The packets that a drive has, in the order of their frames."""

    frames: tuple[int, ...]  # [F]
    values: np.ndarray  # [F, 30] float64


def packet_frames(root: Location, name: str) -> tuple[int, ...]:
    """Frames, ascending, that have a packet."""
    return paths.frames_among(names_in(paths.packet_folder(root, name)), suffix=".txt")


def read_packets(root: Location, name: str) -> Packets:
    """All packets of a drive; one whose file is empty is left out.

    Raises:
        InputError: a packet that cannot be read.
    """
    frames: list[int] = []
    rows: list[np.ndarray] = []
    for frame in packet_frames(root, name):
        file = paths.packet_file(root, name, frame)
        try:
            lines = [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except OSError as error:
            raise InputError(explained(error)) from error
        except UnicodeDecodeError:
            raise InputError(f"{file}: expected 30 numbers, got a file that is no text: restore it") from None
        if not lines:
            logger.warning("%s is empty: frame %d has no pose.", file, frame)
            continue
        if len(lines) > 1:
            raise InputError(f"{file}: expected one packet, got {len(lines)} lines: restore the file")
        frames.append(frame)
        rows.append(oxts.parse_packet(lines[0], f"{file}, line 1"))
    return Packets(tuple(frames), np.array(rows).reshape(-1, oxts.NUM_FIELDS))


def read_lags(root: Location, name: str, packets: Packets) -> np.ndarray:
    """How much later [F] than its image of camera 02 each packet is, seconds.

    By the timestamps of both streams; where a line of one is missing, the median of the others. Without timestamps the
    steps tell all but the mean, see `oxts.lags_of_steps`.

    Raises:
        InputError: a file of times that cannot be used.
    """
    images = read_times(paths.image_times_file(root, name, paths.CAMERAS[0]))
    measured = read_times(paths.packet_times_file(root, name))
    if not images.keys() & measured.keys() & set(packets.frames):
        return oxts.lags_of_steps(packets.values, packets.frames)
    lags = np.array([measured.get(frame, np.nan) - images.get(frame, np.nan) for frame in packets.frames])
    usual = float(np.nanmedian(lags))
    if abs(usual) > _FARTHEST:
        file = paths.packet_times_file(root, name)
        raise InputError(
            f"{file}: packets are {usual:.3f} s later than the images of their frames, expected some milliseconds: "
            "put both streams' own files there, or remove this one"
        )
    return np.where(np.isfinite(lags), lags, usual)
