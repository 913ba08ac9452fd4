"""RenderOcc's rays through a voxel grid: samples, interpolation, compositing; and compositing over exact lengths.

Distances are in scene radii of 39 m unless metres are named. Shapes: R rays, S samples, C classes, X x Y x Z voxels,
P points.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

RADIUS = 39.0  # m of the cube that is not contracted
CENTER = (0.0, 0.0, 2.2)  # m, in the frame of the grid
_STEP = 0.2 / RADIUS
_INNER, _OUTER = 391, 26  # samples
_FARTHEST = 2.0  # of the inner samples
_CONTRACTED = 1 / RADIUS  # by how much all that is outside exceeds the sphere
_SPACING = 0.95  # of a step, below which contracted samples are dropped
_HALF_BOX = (40 / RADIUS, 40 / RADIUS, 0.08)  # quirk: 3.2 m are 0.08205
_LEAST_OPACITY, _LEAST_PASSING = 1e-7, 1e-3
_INTERVAL = 0.5  # exponent of the opacity, whatever the step
_DEPTH_OFFSET = 1e-7


def sample_distances() -> np.ndarray:
    """Distances [417] of a ray's samples: 391 in the middle of equal steps, 26 of growing ones."""
    edges = np.linspace(0, _FARTHEST, _INNER + 1)
    outer = _FARTHEST / np.linspace(1, 1 / 64, _OUTER + 1)
    return np.concatenate([(edges[1:] + edges[:-1]) / 2, (outer[1:] + outer[:-1]) / 2])


def sample_points(
    origins: np.ndarray,  # [R, 3] m, in the frame of the grid
    directions: np.ndarray,  # [R, 3]; any length
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of rays: contracted points [R, S, 3], which are inside the sphere [R, S], and which are kept [R, S].

    Those outside the unit sphere are contracted (Barron et al., mip-NeRF 360, equation 10) into a shell of 1/39.
    """
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    points = (origins - np.array(CENTER))[:, None] / RADIUS + unit[:, None] * sample_distances()[None, :, None]
    norms = np.linalg.norm(points, axis=-1)
    inner = norms <= 1
    shrunk = points / norms[..., None] * (1 + _CONTRACTED - _CONTRACTED / norms[..., None])
    contracted = np.where(inner[..., None], points, shrunk)
    return contracted, inner, inner | _spaced(contracted)


def _spaced(points: np.ndarray) -> np.ndarray:
    """Which samples [R, S] end a way of more than 0.95 steps since the last one that did."""
    ways = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    ends = np.zeros(points.shape[:2], dtype=bool)
    since = np.zeros(len(points))
    for place in range(ways.shape[1]):
        since += ways[:, place]
        ends[:, place + 1] = since > _SPACING * _STEP
        since[ends[:, place + 1]] = 0
    return ends


def interpolate_published(
    volume: Tensor,  # [X, Y, Z, C]
    points: Tensor,  # [P, 3] m, in the frame of the grid
) -> Tensor:
    """Trilinear values [P, C] with the quirks of RenderOcc: outermost voxels' centres at the faces of a box too low."""
    center = points.new_tensor(CENTER)
    return _grid_sample(volume, (points - center) / RADIUS / points.new_tensor(_HALF_BOX), corners=True)


def interpolate(
    volume: Tensor,  # [X, Y, Z, C]
    points: Tensor,  # [P, 3] m, in the frame of the grid
    range: tuple[float, ...],  # lowest x, y, z and highest x, y, z, m
) -> Tensor:
    """Trilinear values [P, C] of values at voxel centres; beyond the outermost centres theirs."""
    low, high = points.new_tensor(range[:3]), points.new_tensor(range[3:])
    return _grid_sample(volume, (points - low) / (high - low) * 2 - 1, corners=False)


def _grid_sample(volume: Tensor, places: Tensor, *, corners: bool) -> Tensor:
    """Values at places [P, 3] in -1..1 along x, y, z."""
    found = functional.grid_sample(
        volume.permute(3, 0, 1, 2)[None],
        places.flip(-1)[None, None, None],
        mode="bilinear",
        padding_mode="border",
        align_corners=corners,
    )
    return found[0, :, 0, 0].T


def opacities_published(
    density: Tensor,  # [R, S]; may be negative
    shift: float,  # ln 1e-6
) -> Tensor:
    """Opacities [R, S] of DVGO's density after a softplus (Sun et al., CVPR 2022, section 4.2), interval 0.5."""
    return 1 - (1 + torch.exp(density + shift)) ** -_INTERVAL


def weights_published(
    alphas: Tensor,  # [R, S]
) -> tuple[Tensor, Tensor]:
    """Weights [R, S] of samples, and what passes the last of them [R].

    Opacities up to 1e-7 are dropped, and a ray ends once less than 1e-3 passes.
    """
    alphas = torch.where(alphas > _LEAST_OPACITY, alphas, torch.zeros_like(alphas))
    passed = torch.cumprod(1 - alphas.detach(), dim=1)
    before = torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], dim=1)
    alphas = torch.where(before >= _LEAST_PASSING, alphas, torch.zeros_like(alphas))
    return _weights(alphas)


def depth_published(
    weights: Tensor,  # [R, S]
    distances: Tensor,  # [R, S]
) -> Tensor:
    """Depth [R] with RenderOcc's quirk: contracted distances s = t / (1 + t) in place of t, times 39 m."""
    return RADIUS * ((weights * distances / (1 + distances)).sum(dim=1) + _DEPTH_OFFSET)


def depth_metric(
    weights: Tensor,  # [R, S]
    distances: Tensor,  # [R, S]
) -> Tensor:
    """Depth [R] along the rays, m."""
    return RADIUS * (weights * distances).sum(dim=1)


def semantics(
    weights: Tensor,  # [R, S]
    values: Tensor,  # [R, S, C] logits, as published, or probabilities
) -> Tensor:
    """What rays [R, C] see of their samples' values."""
    return torch.einsum("rs,rsc->rc", weights, values)


def weights_exact(
    density: Tensor,  # [R, S] per metre
    lengths: Tensor,  # [R, S] of a ray in the voxels that it crosses, m
) -> tuple[Tensor, Tensor]:
    """Weights [R, S] of the voxels that rays cross, and what passes all of them [R]."""
    return _weights(1 - torch.exp(-density * lengths))


def depth_exact(
    weights: Tensor,  # [R, S]
    last: Tensor,  # [R]
    lengths: Tensor,  # [R, S] m
) -> Tensor:
    """Depth [R], m along the rays: voxels at their middles, and what passes all of them at the end."""
    ends = torch.cumsum(lengths, dim=1)
    return (weights * (ends - lengths / 2)).sum(dim=1) + last * ends[:, -1]


def _weights(alphas: Tensor) -> tuple[Tensor, Tensor]:
    passed = torch.cumprod(1 - alphas, dim=1)
    before = torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], dim=1)
    return alphas * before, passed[:, -1]
