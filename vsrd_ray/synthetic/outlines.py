"""Rough outlines: masks as people and networks draw them, not as a renderer does."""

import cv2
import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS

_GRAIN = 7  # px over which outlines wander
_BITES_PER_VEHICLE_AND_PIXEL = 1.0  # small bites and bumps for each px of noise


def roughened(
    instance_map: np.ndarray,  # [H, W] uint16
    noise: float,  # px, root mean square shift of outlines along each axis
    rng: np.random.Generator,
) -> np.ndarray:
    """The map [H, W] uint16 with wandering outlines, none of which moves by more than 4.5 * noise + 1 px along an axis.

    Pixels take the label of a place nearby, so every pixel keeps exactly one label.
    """
    if noise == 0:
        return instance_map
    height, width = instance_map.shape
    shifts = [_smooth_noise((height, width), rng) * np.float32(noise) for _ in range(2)]
    u, v = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    warped = cv2.remap(instance_map, u + shifts[0], v + shifts[1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    _bite(warped, noise, rng)
    return warped


def _smooth_noise(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A smooth random field [H, W] float32, mean square 1, cut at 2.5."""
    height, width = shape
    coarse = rng.standard_normal((height // _GRAIN + 2, width // _GRAIN + 2), dtype=np.float32)
    field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(field / np.sqrt(np.mean(field**2)), -2.5, 2.5)


def _bite(instance_map: np.ndarray, noise: float, rng: np.random.Generator) -> None:
    """Let small discs of one label reach into its neighbour's, at random places of the vehicles' side outlines."""
    first, second = instance_map[:, :-1], instance_map[:, 1:]
    rows, columns = np.nonzero((first != second) & ((first % IDS_PER_CLASS > 0) | (second % IDS_PER_CLASS > 0)))
    num_vehicles = np.count_nonzero(np.unique(instance_map) % IDS_PER_CLASS)
    count = min(len(rows), round(_BITES_PER_VEHICLE_AND_PIXEL * noise * num_vehicles))
    for choice in rng.choice(len(rows), size=count, replace=False):
        row, column = int(rows[choice]), int(columns[choice])
        label = int(instance_map[row, column + int(rng.integers(2))])
        radius = max(1, round(rng.uniform(1.0, 2.0) * noise))
        cv2.circle(instance_map, (column, row), radius, label, thickness=cv2.FILLED)
