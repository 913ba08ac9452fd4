"""Carving: a field on a grid from what sensors measured, as truncated signed distances (Curless and Levoy, 1996).

What lies before a measured surface is free, what lies just behind it is filled, and nothing is learnt of the rest.
Shapes: X x Y x Z voxels, P of them, H x W pixels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.density.measurements import COLUMNS, ELEVATIONS, RINGS, Ranges
from vsrd_ray.labels.voxels.grid import Grid

_NEAR = 1.0  # m
_REACH = 25.0  # m up to which sensors carve
_DOUBT = 1.5  # standard deviations around a measured surface that are averaged
_GOOD = 0.1  # m, the error of a measurement of weight 1
_HIDDEN = 0.5  # value of voxels that lie behind surfaces alone: what nobody sees is mostly inside something
_OPEN = -0.5  # of those that lie before pixels without a match, such as the sky's, or in no view
_MORE_OPEN = 3.0  # times as many views have to leave a voxel open as hide it
_MOST_VOXELS = 2**25


@dataclass(frozen=True)
class Carved:
    """What was measured of each voxel."""

    values: Tensor  # [X, Y, Z] float32 in -1 (free) … 1 (filled)
    evidence: Tensor  # [X, Y, Z] float32; 1 is one good measurement


def grid_along(
    T_world_cam: Sequence[np.ndarray],  # [4, 4] each
    *,
    voxel_size: float,
    ahead: float,
    beside: float,
    below: float,
    above: float,
) -> tuple[Grid, np.ndarray]:
    """The grid around cameras, x along the way they go, z up as in the world, and `T_world_grid` [4, 4].

    Raises:
        InputError: more voxels than memory takes.
    """
    centers = np.stack([T[:3, 3] for T in T_world_cam])
    way = centers[-1] - centers[0]
    if np.hypot(*way[:2]) < voxel_size:
        way = T_world_cam[0][:3, 2]
    yaw = np.arctan2(way[1], way[0])
    T_world_grid = np.eye(4)
    T_world_grid[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T_world_grid[:3, 3] = centers[0]
    placed = rigid.apply(rigid.inverse(T_world_grid), centers)
    # Views may turn away from the way: then the grid reaches as far as they look.
    looks = np.stack([T_world_grid[:3, :3].T @ T[:3, 2] for T in T_world_cam]) * ahead
    low, high = np.array([0, -beside, -below]), np.array([0, beside, above])
    ends = np.concatenate([placed + low, placed + high, placed + looks * (1, 1, 0)])
    low = np.floor(ends.min(axis=0) / voxel_size)
    count = np.ceil(ends.max(axis=0) / voxel_size) - low
    if count.prod() > _MOST_VOXELS:
        raise InputError(
            f"a field of {count.prod():.0f} voxels along {len(centers)} frames, expected at most {_MOST_VOXELS}: set "
            "fewer frames_a_group and frames_beside, or a larger voxel_size"
        )
    return Grid.of([*(low * voxel_size), *((low + count) * voxel_size)], voxel_size), T_world_grid


def carve(
    ranges: Iterable[Ranges],
    grid: Grid,
    T_world_grid: np.ndarray,
    *,
    truncation: float,  # m
    least_evidence: float,
    device: str,
) -> Carved:
    """The mean of all measurements of each voxel, each weighted by its inverse variance."""
    total = torch.zeros(grid.shape, device=device).reshape(-1)
    evidence, hidden, left_open = (torch.zeros_like(total) for _ in range(3))
    for one in ranges:
        found = _measured(one, grid, T_world_grid, truncation=truncation, device=device)
        total[found.index] += found.weights * found.values  # each voxel once
        evidence[found.index] += found.weights
        hidden[found.hidden] += 1
        left_open[found.left_open] += 1
    unseen = torch.where(left_open >= _MORE_OPEN * hidden, _OPEN, _HIDDEN)
    values = torch.where(evidence > least_evidence, -total / evidence.clamp(min=1e-9), unseen)
    return Carved(values.reshape(grid.shape), evidence.reshape(grid.shape))


@dataclass(frozen=True)
class _Measured:
    """What one map tells of voxels, by their flat indices."""

    index: Tensor  # [P] before or just behind the surface
    values: Tensor  # [P] truncated distance before it, -1 … 1
    weights: Tensor  # [P]
    hidden: Tensor  # behind it
    left_open: Tensor  # in a direction without a measurement


def _measured(ranges: Ranges, grid: Grid, T_world_grid: np.ndarray, *, truncation: float, device: str) -> _Measured:
    T_sensor_grid = rigid.inverse(ranges.T_world_sensor) @ T_world_grid
    starts, counts = _reached(ranges, grid, rigid.inverse(T_sensor_grid))
    axes = [
        torch.as_tensor(grid.low[i] + (starts[i] + np.arange(counts[i]) + 0.5) * grid.voxel_size, dtype=torch.float32)
        for i in range(3)
    ]
    x, y, z = (axis.to(device).reshape([-1 if j == i else 1 for j in range(3)]) for i, axis in enumerate(axes))
    rows = torch.as_tensor(T_sensor_grid[:3], dtype=torch.float32, device=device)
    points = [(row[0] * x + row[1] * y + (row[2] * z + row[3])).reshape(-1) for row in rows]
    row, column, reach, within = _looked_up(ranges, points)
    place = torch.nonzero(within)[:, 0]
    row, column, reach = row[place], column[place], reach[place]
    values = torch.as_tensor(ranges.values, device=device)[row, column]
    error = torch.as_tensor(ranges.error, device=device)[row, column]
    width = (_DOUBT * error).clamp(min=truncation)
    distance = (values - reach) / width
    known = values > 0
    near = known & (distance > -1)
    weights = (_GOOD / error.clamp(min=_GOOD)) ** 2
    i, j, k = _unravelled(place, counts)
    index = ((i + starts[0]) * grid.shape[1] + (j + starts[1])) * grid.shape[2] + (k + starts[2])
    return _Measured(index[near], distance[near].clamp(max=1), weights[near], index[known & ~near], index[~known])


def _unravelled(place: Tensor, counts: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    k = place % counts[2]
    rest = place // counts[2]
    return rest // counts[1], rest % counts[1], k


def _reached(ranges: Ranges, grid: Grid, T_grid_sensor: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First voxel and number of voxels, along each axis, of the part of the grid that a sensor can reach."""
    if ranges.K is None:
        corners = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) * _REACH
    else:
        height, width = ranges.values.shape
        pixels = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) - (0.5, 0.5, 0)
        corners = np.concatenate([np.zeros((1, 3)), _REACH * (pixels @ np.linalg.inv(ranges.K).T)])
    places = (rigid.apply(T_grid_sensor, corners) - grid.low) / grid.voxel_size
    first = np.clip(np.floor(places.min(axis=0)), 0, grid.shape).astype(int)
    last = np.clip(np.ceil(places.max(axis=0)), 0, grid.shape).astype(int)
    return tuple(first.tolist()), tuple((last - first).tolist())


def _looked_up(ranges: Ranges, points: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Row, column and distance of points, each [P], in a sensor's map, and whether they are in it."""
    x, y, z = points
    height, width = ranges.values.shape
    if ranges.K is not None:
        K = ranges.K
        scale = 1 / z.clamp(min=_NEAR)
        column = torch.round(x * scale * float(K[0, 0]) + float(K[0, 2])).to(torch.int64)
        row = torch.round(y * scale * float(K[1, 1]) + float(K[1, 2])).to(torch.int64)
        within = (z > _NEAR) & (z < _REACH) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return row, column, z, within
    reach = torch.sqrt(x**2 + y**2 + z**2)
    low, high = ELEVATIONS
    elevation = torch.asin((z / reach.clamp(min=_NEAR)).clamp(-1, 1))
    row = torch.floor((elevation - low) * (RINGS / (high - low))).to(torch.int64)
    column = torch.floor((torch.atan2(y, x) + torch.pi) * (COLUMNS / (2 * torch.pi))).to(torch.int64) % COLUMNS
    return row, column, reach, (reach > _NEAR) & (reach < _REACH) & (row >= 0) & (row < height)
