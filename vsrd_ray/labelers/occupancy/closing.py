"""Roofs and floors of vehicles that are seen from the side alone.

Rays that graze a roof pass through its voxels and end in none of them, though the sides below show that it is there.
Shapes: X x Y x Z voxels.
"""

from typing import Any

import numpy as np
from scipy import ndimage

from vsrd_ray.labels.voxels.classes import VoxelClasses

_LEAST_WIDTH, _MOST_WIDTH = 0.6, 2.9  # m between the outermost voxels of a vehicle
_TOUCHING = np.ones((3, 3, 3))
_TURNS = np.radians(np.arange(0.0, 90.0, 5.0))
_LEAST_DISTANCE = 0.5  # voxels


def closed(
    semantics: np.ndarray,  # [X, Y, Z] uint8
    observed: np.ndarray,  # [X, Y, Z] bool
    classes: VoxelClasses,
    *,
    voxel_size: float,  # m
) -> np.ndarray:
    """Semantics in which vehicles are closed.

    The voxels of a class of vehicle that touch each other are one vehicle, unless they are wider than any. In each
    layer, what counts as free becomes part of it where it lies within the rectangle of the layer's voxels, parallel to
    that of the whole vehicle from above, and next to it, above or below, is the vehicle or what no ray has come to.
    """
    result = semantics.copy()
    reach = round(_MOST_WIDTH / voxel_size)  # the corner that is not seen may lie so far beyond those that are
    for number in classes.vehicles:
        found: Any = ndimage.label(semantics == number, _TOUCHING)
        vehicles = found[0]
        places: Any = ndimage.find_objects(vehicles)
        for which, (*around, zs) in enumerate(places, 1):
            xs, ys = (slice(max(one.start - reach, 0), one.stop + reach) for one in around)
            mine = vehicles[xs, ys, zs] == which
            inside = _within(mine, voxel_size)
            solid = np.pad(~observed | np.isin(semantics, classes.vehicles), ((0, 0), (0, 0), (1, 1)))[xs, ys]
            beside = solid[..., zs.start : zs.stop] | solid[..., zs.start + 2 : zs.stop + 2]
            here = result[xs, ys, zs]
            here[inside & beside & (semantics[xs, ys, zs] == classes.free)] = number
    return result


def _within(mine: np.ndarray, voxel_size: float) -> np.ndarray:
    """Voxels [X, Y, Z] bool within the rectangle of each layer of a vehicle's voxels."""
    inside = np.zeros_like(mine)
    axes = _axes(np.argwhere(mine.any(axis=2)))
    places = np.moveaxis(np.indices(mine.shape[:2]), 0, -1) @ axes.T  # [X, Y, 2], in voxels along the rectangle's sides
    for layer in range(mine.shape[2]):
        some = places[mine[..., layer]]
        if not len(some):
            continue
        low, high = some.min(axis=0), some.max(axis=0)
        if _LEAST_WIDTH <= (high - low).min() * voxel_size <= _MOST_WIDTH:
            inside[..., layer] = ((places >= low - 1e-6) & (places <= high + 1e-6)).all(axis=-1)
    return inside


def _axes(
    places: np.ndarray,  # [N, 2] voxels of a vehicle from above
) -> np.ndarray:
    """The sides' directions [2, 2] of the rectangle to whose edges the places are closest.

    X. Zhang et al., Efficient L-Shape Fitting for Vehicle Detection Using Laser Scanners (IV 2017), closeness.
    """
    axes = np.stack([np.stack([np.cos(_TURNS), np.sin(_TURNS)], 1), np.stack([-np.sin(_TURNS), np.cos(_TURNS)], 1)], 1)
    along = np.einsum("nk,tak->tna", places, axes)
    ends = along - along.min(axis=1, keepdims=True), along.max(axis=1, keepdims=True) - along
    distances = np.minimum(*ends).min(axis=2)
    return axes[(1 / distances.clip(min=_LEAST_DISTANCE)).sum(axis=1).argmax()]
