"""Splatting of isotropic Gaussians, as the rasteriser of 3D Gaussian splatting does it: in torch, or by gsplat on CUDA.

Kerbl et al., 3D Gaussian Splatting for Real-Time Radiance Field Rendering (SIGGRAPH 2023), with the reach, the limits
and the order of its published rasteriser: screen-space tiles, Gaussians by depth, opacities up to 0.99, none below
1/255, and no more once less than 1e-4 of the light passes. Autograd gives the gradients; limits block them.

Shapes: N Gaussians, C features, H x W pixels, T tiles. Frames: world, and camera (x right, y down, z ahead), metres.
"""

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

_TILE = 16  # px
_NEAR = 0.2  # m ahead of the camera
_DILATION = 0.3  # px^2, added to the variances in the image
_MARGIN = 1.3  # of half the field of view, beyond which the projection is linearised at its edge
_MAX_OPACITY, _MIN_OPACITY = 0.99, 1 / 255
_MIN_PASSING = 1e-4
_MIN_ROOT = 0.1  # px^2, under the root of the eigenvalues' difference
_REACH = 3.0  # standard deviations


@dataclass(frozen=True)
class Gaussians:
    """Isotropic Gaussians of the world."""

    means: Tensor  # [N, 3] m
    sigmas: Tensor  # [N] standard deviations, m
    opacities: Tensor  # [N], 0 to 1
    features: Tensor  # [N, C] of any kind: colours, logits


@dataclass(frozen=True)
class Projected:
    """Gaussians in an image."""

    means: Tensor  # [N, 2] px
    conics: Tensor  # [N, 3] px^-2: entries xx, xy and yy of the inverse covariance
    depths: Tensor  # [N] m
    radii: Tensor  # [N] whole px; 0 of what no pixel can show
    tiles: Tensor  # [N, 4] int64: first column and row, and those after the last


@dataclass(frozen=True)
class Splatted:
    """What an image shows."""

    image: Tensor  # [H, W, C]
    depth: Tensor  # [H, W] m: sum of weights times depths
    passing: Tensor  # [H, W] share of the light that passes all Gaussians


def project(
    gaussians: Gaussians,
    T_cam_world: Tensor,  # [4, 4]
    K: Tensor,  # [3, 3] px, a pixel's centre at whole numbers
    size: tuple[int, int],  # width and height, px
) -> Projected:
    """Project Gaussians into an image, linearised at their means (EWA splatting, Zwicker et al. 2001)."""
    x, y, z = (gaussians.means @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]).unbind(dim=1)
    fx, fy = K[0, 0], K[1, 1]
    is_ahead = z > _NEAR
    z_safe = torch.where(is_ahead, z, torch.ones_like(z))
    widest_x, widest_y = _MARGIN * size[0] / (2 * fx), _MARGIN * size[1] / (2 * fy)
    slope_x = torch.minimum(torch.maximum(x / z_safe, -widest_x), widest_x)
    slope_y = torch.minimum(torch.maximum(y / z_safe, -widest_y), widest_y)
    scale_x, scale_y = fx / z_safe, fy / z_safe
    variance = gaussians.sigmas**2
    xx = variance * scale_x**2 * (1 + slope_x**2) + _DILATION
    yy = variance * scale_y**2 * (1 + slope_y**2) + _DILATION
    xy = variance * scale_x * scale_y * slope_x * slope_y
    determinant = xx * yy - xy**2
    conics = torch.stack([yy, -xy, xx], dim=1) / determinant[:, None]
    means = torch.stack([scale_x * x + K[0, 2], scale_y * y + K[1, 2]], dim=1)
    with torch.no_grad():
        middle = (xx + yy) / 2
        largest = middle + (middle**2 - determinant).clamp(min=_MIN_ROOT).sqrt()
        radii = torch.ceil(_REACH * largest.sqrt())
        counts = torch.tensor([-(-size[0] // _TILE), -(-size[1] // _TILE)], device=means.device)
        first = torch.floor((means - radii[:, None]) / _TILE).long()
        last = torch.floor((means + radii[:, None] + _TILE - 1) / _TILE).long()
        tiles = torch.cat([torch.minimum(first.clamp(min=0), counts), torch.minimum(last.clamp(min=0), counts)], dim=1)
        is_shown = is_ahead & (tiles[:, 2] > tiles[:, 0]) & (tiles[:, 3] > tiles[:, 1])
        radii = torch.where(is_shown, radii, torch.zeros_like(radii))
    return Projected(means, conics, z, radii, tiles)


def splat(
    gaussians: Gaussians,
    T_cam_world: Tensor,  # [4, 4]
    K: Tensor,  # [3, 3] px
    size: tuple[int, int],  # width and height, px
) -> Splatted:
    """Render Gaussians into an image: on CUDA by gsplat where it is installed, else in torch."""
    by_gsplat = gaussians.means.is_cuda and find_spec("gsplat") is not None
    return (splat_by_gsplat if by_gsplat else splat_in_torch)(gaussians, T_cam_world, K, size)


def splat_by_gsplat(gaussians: Gaussians, T_cam_world: Tensor, K: Tensor, size: tuple[int, int]) -> Splatted:
    """See `splat`; in single precision. gsplat's limits are its own: opacities up to 0.999, no cut at tiles.

    Ye et al., gsplat: An Open-Source Library for Gaussian Splatting (JMLR 2025). Its pixels' centres are at halves.
    """
    gsplat: Any = importlib.import_module("gsplat")
    means = gaussians.means.float()
    turns = means.new_tensor([1.0, 0, 0, 0]).expand(len(means), 4)
    into = K.float().clone()
    into[:2, 2] += 0.5
    rendered, opacity, _ = gsplat.rasterization(
        means=means,
        quats=turns,
        scales=gaussians.sigmas.float()[:, None].expand(-1, 3),
        opacities=gaussians.opacities.float(),
        colors=gaussians.features.float(),
        viewmats=T_cam_world.float()[None],
        Ks=into[None],
        width=size[0],
        height=size[1],
        near_plane=_NEAR,
        eps2d=_DILATION,
        packed=False,
        render_mode="RGB+D",
    )
    like = gaussians.features
    image, passing = rendered[0].to(like), (1 - opacity[0, ..., 0]).to(like)
    return Splatted(image[..., :-1], image[..., -1], passing)


def splat_in_torch(gaussians: Gaussians, T_cam_world: Tensor, K: Tensor, size: tuple[int, int]) -> Splatted:
    """See `splat`. The time grows with tiles and with Gaussians per tile."""
    width, height = size
    seen = project(gaussians, T_cam_world, K, size)
    order = torch.argsort(seen.depths.detach(), stable=True)
    order = order[seen.radii[order] > 0]
    image = gaussians.features.new_zeros(height, width, gaussians.features.shape[1])
    depth, passing = image.new_zeros(height, width), image.new_ones(height, width)
    columns, rows = seen.tiles[order][:, [0, 2]], seen.tiles[order][:, [1, 3]]
    for row in range(-(-height // _TILE)):
        in_row = (rows[:, 0] <= row) & (row < rows[:, 1])
        for column in range(-(-width // _TILE)):
            chosen = order[in_row & (columns[:, 0] <= column) & (column < columns[:, 1])]
            if not len(chosen):
                continue
            part = (
                slice(row * _TILE, min((row + 1) * _TILE, height)),
                slice(column * _TILE, min((column + 1) * _TILE, width)),
            )
            weights, rest = _blend(seen, gaussians.opacities, chosen, part)
            image[part] = weights @ gaussians.features[chosen]
            depth[part] = weights @ seen.depths[chosen]
            passing[part] = rest
    return Splatted(image, depth, passing)


def _blend(seen: Projected, opacities: Tensor, chosen: Tensor, part: tuple[slice, slice]) -> tuple[Tensor, Tensor]:
    """Weights [h, w, n] of chosen Gaussians, nearest first, in the pixels of a tile, and what passes them [h, w]."""
    means, conics = seen.means[chosen], seen.conics[chosen]
    y = torch.arange(part[0].start, part[0].stop, device=means.device, dtype=means.dtype)
    x = torch.arange(part[1].start, part[1].stop, device=means.device, dtype=means.dtype)
    dx, dy = means[:, 0] - x[None, :, None], means[:, 1] - y[:, None, None]
    power = -0.5 * (conics[:, 0] * dx**2 + conics[:, 2] * dy**2) - conics[:, 1] * dx * dy
    alphas = (opacities[chosen] * torch.exp(power)).clamp(max=_MAX_OPACITY)
    alphas = torch.where((power <= 0) & (alphas >= _MIN_OPACITY), alphas, torch.zeros_like(alphas))
    passed = torch.cumprod(1 - alphas.detach(), dim=-1)
    alphas = torch.where(passed >= _MIN_PASSING, alphas, torch.zeros_like(alphas))
    passed = torch.cumprod(1 - alphas, dim=-1)
    before = torch.cat([torch.ones_like(passed[..., :1]), passed[..., :-1]], dim=-1)
    return alphas * before, passed[..., -1]
