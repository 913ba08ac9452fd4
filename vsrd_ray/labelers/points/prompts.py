"""Where a segmenter is asked: pixels of LiDAR points that a detector takes for something (MixSup, ICLR 2024).

Shapes: N points, P pixels, S sweeps, H x W pixels.
"""

from collections.abc import Sequence

import numpy as np

from vsrd_ray.geometry import rigid
from vsrd_ray.labels.points.classes import NONE

OFFSETS = (0, 1, -1)  # sweeps that are looked at together, the labelled one first
MOST_PROMPTS = 256
_OWN_CAR = 1.0  # m beside the sensor, along x and y, within which points of other sweeps are left out


def sweeps_around(num: int, place: int, offsets: Sequence[int] = OFFSETS) -> list[int]:
    """Places [S] of the sweeps around one of `num`; at the ends of a drive the last one is used again."""
    return [min(max(place + offset, 0), num - 1) for offset in offsets]


def dense_points(
    sweeps: Sequence[np.ndarray],  # [S] of [N, 3] metres, in the sensor's frame at their own times; the labelled first
    T_world_lidar: Sequence[np.ndarray],  # [S] of [4, 4]
) -> np.ndarray:
    """Points [N, 3] of several sweeps in the frame of the first, without the sensor's own car in the others."""
    T_key_world = rigid.inverse(T_world_lidar[0])
    found = [sweeps[0]]
    for xyz, T in zip(sweeps[1:], T_world_lidar[1:], strict=True):
        far = (np.abs(xyz[:, :2]) >= _OWN_CAR).any(axis=1)
        found.append(rigid.apply(T_key_world @ T, xyz[far]))
    return np.concatenate(found)


def distinct(
    uv: np.ndarray,  # [N, 2] px
) -> np.ndarray:
    """The pixels [P, 2] int64 that points fall on, by column and then by row."""
    return np.unique(uv.astype(np.int64), axis=0).reshape(-1, 2)


def prompts_at(
    pixels: np.ndarray,  # [P, 2] distinct ones
    semantic: np.ndarray,  # [H, W] places in `NAMES`; `NONE` for nothing
) -> np.ndarray:
    """Pixels [P, 2] to ask about: those of something, at most `MOST_PROMPTS`, spread over the image."""
    pixels = pixels[semantic[pixels[:, 1], pixels[:, 0]] != NONE]
    if len(pixels) <= MOST_PROMPTS:
        return pixels
    return pixels[farthest_points(pixels, MOST_PROMPTS)]


def farthest_points(pixels: np.ndarray, count: int, start: int = 0) -> np.ndarray:
    """Places [count] of pixels [P, 2], each the farthest from all before; ties: the first.

    The published code begins at random; the first pixel makes equal input give equal labels.
    """
    places = np.empty(count, dtype=np.int64)
    xy = pixels.astype(np.float32)
    gap = np.full(len(xy), np.inf, dtype=np.float32)
    place = start
    for number in range(count):
        places[number] = place
        gap = np.minimum(gap, ((xy - xy[place]) ** 2).sum(axis=1))
        place = int(gap.argmax())
    return places
