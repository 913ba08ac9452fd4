"""Parametric bodies fitted to meshes of vehicles vertex by vertex, for shape priors of users' own.

A body's signed distance is that of `Body`, but over some fixed directions in place of its solids' own planes, as
silhouettes have it in the plane (comparisons.py). It shall be 0 on the outer surface of the mesh.
Shapes: P points, Q vertices, L latents, R directions.
"""

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.labelers.vsrd.bodies import SOLID_SIZES

# Points are looked at along each axis on a grid of this many cells a side; the outermost of each cell is outside.
_CELLS = 20
_MOST_POINTS = 1200  # of those outside
_DIRECTIONS = 96
_STEPS, _RATE = 120, 0.02
# Half lengths: to which surfaces are believed, from where on they are let go at first and at last, and how far vertices
# lie from the best shape of the family.
_NOISE, _OUTLIER_FIRST, _OUTLIER, _FREEDOM = 0.01, 0.4, 0.08, 0.06
_PINNED = 1e-3


def outer_points(
    points: np.ndarray,  # [P, 3] in the unit box
) -> np.ndarray:
    """Which points [P] bool can be seen along an axis, from either side; not seats, for one."""
    outer = np.zeros(len(points), dtype=bool)
    for axis in range(3):
        across = np.delete(points, axis, axis=1)
        cells = np.clip((across + 1) / 2 * _CELLS, 0, _CELLS - 1).astype(np.int64) @ [_CELLS, 1]
        for depth in (points[:, axis], -points[:, axis]):
            order = np.lexsort((depth, cells))
            is_last = np.append(cells[order][1:] != cells[order][:-1], True)
            outer[order[is_last]] = True
    return outer


def fit_body(
    points: np.ndarray,  # [P, 3] on the surface, in the unit box
    half_extents: np.ndarray,  # [3] half of width, height and length, any unit
    *,
    mean: np.ndarray,  # [Q, 3] of the family's prior
    basis: np.ndarray,  # [L, Q, 3]
) -> np.ndarray:
    """Vertices [Q, 3] of the body nearest to a surface, alike on both sides; it touches its box where its family does.

    Least squares with outliers let go (Geman-McClure), by Adam's steps from the mean body.
    """
    scale = torch.as_tensor(half_extents / half_extents.max())
    outer = points[outer_points(points)]
    target = torch.as_tensor(outer[:: -(-len(outer) // _MOST_POINTS)]) * scale
    start, shapes = torch.as_tensor(mean, dtype=torch.float64), torch.as_tensor(basis, dtype=torch.float64)
    is_free = ((start.abs() < 1 - _PINNED) | (shapes.abs().amax(dim=0) > _PINNED)).to(start)
    units, partners = _directions(_DIRECTIONS), torch.as_tensor(_partners())
    latents = torch.zeros(len(shapes), dtype=torch.float64, requires_grad=True)
    offsets = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([{"params": [latents], "lr": 4 * _RATE}, {"params": [offsets], "lr": _RATE}])

    def body() -> Tensor:
        moved = start + torch.einsum("l,lqi->qi", latents, shapes) + offsets * is_free
        return (moved + moved[partners] * moved.new_tensor([-1, 1, 1])).clamp(-2, 2) / 2

    for step in range(_STEPS):
        share = min(1.0, 2 * step / _STEPS)
        outlier = _OUTLIER_FIRST * (_OUTLIER / _OUTLIER_FIRST) ** share
        squares = _distances(target, body() * scale, units).square()
        misfit = (squares / (1 + squares / outlier**2)).mean() / _NOISE**2
        departures = (latents.square().sum() + (offsets / _FREEDOM).square().sum()) / len(start)
        optimizer.param_groups[0]["lr"] = 4 * _RATE * (1.05 - share)
        optimizer.param_groups[1]["lr"] = _RATE * (1.05 - share)
        optimizer.zero_grad()
        (misfit + departures).backward()
        optimizer.step()
    return body().detach().clamp(-1, 1).numpy()


def _distances(points: Tensor, vertices: Tensor, units: Tensor) -> Tensor:
    """Signed distances [P] of points to a union of convex solids of vertices [Q, 3]; positive outside."""
    along, extents = points @ units.T, vertices @ units.T
    solids = extents.split(SOLID_SIZES)
    return torch.stack([(along - solid.amax(dim=0)).amax(dim=-1) for solid in solids]).amin(dim=0)


def _directions(count: int) -> Tensor:
    """Unit vectors [R, 3], evenly over the sphere: those of a Fibonacci spiral, and the six axes."""
    height = 1 - (2 * torch.arange(count, dtype=torch.float64) + 1) / count
    angle = torch.arange(count, dtype=torch.float64) * (torch.pi * (3 - 5**0.5))
    radius = (1 - height.square()).sqrt()
    spiral = torch.stack([radius * angle.cos(), radius * angle.sin(), height], dim=-1)
    axes = torch.eye(3, dtype=torch.float64)
    return torch.cat([spiral, axes, -axes])


def _partners() -> np.ndarray:
    """Of each vertex [Q] the one that is its mirror image, as `bodies` orders them."""
    first = np.cumsum((0, *SOLID_SIZES))
    index = np.arange(first[-1])
    for start, size in zip(first[:2], SOLID_SIZES[:2], strict=True):
        index[start : start + size] = np.roll(index[start : start + size], size // 2)
    index[first[2] :] = np.roll(index[first[2] :], (first[-1] - first[2]) // 2)
    return index
