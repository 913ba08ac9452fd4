"""A density field on a grid of voxels, and what cameras see of it.

A voxel's value is positive inside something and negative in free space; between voxels it is interpolated, and turned
into a density only then, so that surfaces lie anywhere in a voxel. Shapes: X x Y x Z voxels, P points, R rays,
S samples, H x W pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.depth.evaluation.occupancy import T_EVAL_CAM
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import Voxels
from vsrd_ray.rendering.compositing import composite, opacities, weights
from vsrd_ray.rendering.rays import cast_rays

_SHARPNESS = 60.0  # 1/m of density for a value of 1, where rays are followed
_KEPT_SHARPNESS = 15.0  # the same in tables: half precision then holds the values of free space too
_OFFSET = -0.4327521  # log(e^.5 - 1): a value of 0 has the density .5, from which on a point counts as occupied
_LEAST_DENSITY = 2e-7  # 1/m, that of a value of -1
_SAMPLES = 96
_NEAR = 1.0  # m
_RAYS_AT_ONCE = 16_384
# The profile of a frame: how much of the space above the road is free, seen from above.
PROFILE_X, PROFILE_Z, PROFILE_Y = (-9.0, 9.0), (21.0, 3.0), (0.0, 0.75)
PROFILE_SHAPE, PROFILE_HEIGHTS, PROFILE_MOST = (90, 90), 64, 8.0


@dataclass(frozen=True)
class Field:
    """Values on a grid."""

    grid: Grid
    T_world_grid: np.ndarray  # [4, 4]
    values: Tensor  # [X, Y, Z] float32

    def at(
        self,
        points_grid: Tensor,  # [..., 3]
    ) -> Tensor:
        """Values [...] at points: trilinear, and those of the nearest voxel outside."""
        low = points_grid.new_tensor(self.grid.range[:3])
        size = points_grid.new_tensor(self.grid.range[3:]) - low
        places = ((points_grid - low) * (2 / size) - 1).flip(-1).reshape(1, -1, 1, 1, 3)
        found = torch.nn.functional.grid_sample(
            self.values[None, None], places, padding_mode="border", align_corners=False
        )
        return found.reshape(points_grid.shape[:-1])

    def is_inside(
        self,
        points_grid: Tensor,  # [..., 3]
    ) -> Tensor:
        """Whether points [...] lie in the grid."""
        low, high = (points_grid.new_tensor(corner) for corner in (self.grid.range[:3], self.grid.range[3:]))
        return ((points_grid >= low) & (points_grid < high)).all(dim=-1)


def density_of(values: Tensor) -> Tensor:
    """Density, 1/m, of values of a field."""
    return torch.nn.functional.softplus(values * _SHARPNESS + _OFFSET)


def kept_density(values: Tensor) -> Tensor:
    """Density [X, Y, Z] float16, 1/m, as tables keep it: less sharp than rays see it, and above .5 at the same places.

    Between voxels its inverse softplus is to be interpolated, as `field_of` does, and not the density itself.
    """
    return torch.nn.functional.softplus(values * _KEPT_SHARPNESS + _OFFSET).to(torch.float16)


def field_of(voxels: Voxels, *, device: str = "cpu") -> Field:
    """The field whose density a row of voxels keeps.

    Raises:
        InputError: it keeps none.
    """
    if voxels.density is None:
        raise InputError("voxels without a density: give a run of the labeler density")
    density = torch.tensor(voxels.density.astype(np.float32), device=device).clamp(min=_LEAST_DENSITY)
    logits = density + torch.log(-torch.expm1(-density))
    return Field(voxels.grid, voxels.T_world_grid, ((logits - _OFFSET) / _KEPT_SHARPNESS).clamp(-1, 1))


def densities_at(
    field: Field,
    points_world: np.ndarray,  # [P, 3]
) -> np.ndarray:
    """Densities [P] float32, 1/m, at points; 0 outside the grid."""
    T_grid_world = rigid.inverse(field.T_world_grid)
    points = torch.as_tensor(rigid.apply(T_grid_world, points_world), dtype=torch.float32, device=field.values.device)
    density = density_of(field.at(points))
    return torch.where(field.is_inside(points), density, torch.zeros_like(density)).cpu().numpy()


@torch.no_grad()
def seen_depth(
    field: Field,
    K: np.ndarray,  # [3, 3] px
    T_world_cam: np.ndarray,  # [4, 4]
    image_size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth along the axis [H, W], its spread, and the share of light that something in the grid stops, float32."""
    width, height = image_size
    device = field.values.device
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([u, v], dim=-1).reshape(-1, 2).to(torch.float32)
    T_grid_cam = torch.as_tensor(np.linalg.inv(field.T_world_grid) @ T_world_cam, dtype=torch.float32)
    origins, directions = cast_rays(pixels, torch.as_tensor(K, dtype=torch.float32), T_grid_cam)
    along = (directions @ T_grid_cam[:3, 2])[:, None]  # depth of a distance of 1
    far = _leaving(field.grid, origins, directions)
    parts = []
    for some in torch.arange(len(pixels)).split(_RAYS_AT_ONCE):
        parts.append(_seen(field, origins[some].to(device), directions[some].to(device), far[some].to(device)).cpu())
    depth, spread, stopped = torch.cat(parts).T
    scale = along[:, 0]
    maps = (depth * scale, spread * scale, stopped)
    depth, spread, stopped = (one.reshape(height, width).numpy().astype(np.float32) for one in maps)
    return depth, spread, stopped


def _seen(field: Field, origins: Tensor, directions: Tensor, far: Tensor) -> Tensor:
    """Distance, its standard deviation and the share of light stopped, [R, 3], of rays."""
    near = torch.full_like(far, _NEAR)
    share = (torch.arange(_SAMPLES, device=far.device) + 0.5) / _SAMPLES
    # Between even steps and even steps of inverse distance: nearby surfaces are finer, and the grid's end is not lost.
    t = near[:, None] * (far / near)[:, None] ** share
    points = origins[:, None] + directions[:, None] * t[..., None]
    alphas = opacities(density_of(field.at(points)), t)
    alphas[:, -1] = 0
    shares = weights(alphas)
    stopped = shares.sum(dim=1)
    of_one = shares / stopped.clamp(min=1e-6)[:, None]
    mean = composite(of_one, t)
    variance = (of_one * (t - mean[:, None]) ** 2).sum(dim=1)
    return torch.stack([mean, variance.sqrt(), stopped], dim=1)


def _leaving(grid: Grid, origins: Tensor, directions: Tensor) -> Tensor:
    """Distances [R] at which rays leave the grid, at least twice the nearest one."""
    low, high = (origins.new_tensor(corner) for corner in (grid.range[:3], grid.range[3:]))
    slopes = torch.where(directions.abs() < 1e-6, torch.full_like(directions, 1e-6), directions)
    ends = torch.maximum((low - origins) / slopes, (high - origins) / slopes)
    return ends.amin(dim=1).clamp(min=2 * _NEAR)


@torch.no_grad()
def profile(
    field: Field,
    T_world_cam: np.ndarray,  # [4, 4]
) -> np.ndarray:
    """Share of free heights [far to near, left to right] float32 in front of a camera, as published.

    At each place the share of heights at which the densities from the top down to there sum to at most 8; outside the
    grid density counts as 1.
    """
    rows, columns = PROFILE_SHAPE
    device = field.values.device
    y, z, x = torch.meshgrid(
        torch.linspace(*PROFILE_Y, PROFILE_HEIGHTS, device=device),
        torch.linspace(*PROFILE_Z, rows, device=device),
        torch.linspace(*PROFILE_X, columns, device=device),
        indexing="ij",
    )
    T_grid_eval = np.linalg.inv(field.T_world_grid) @ T_world_cam @ np.linalg.inv(T_EVAL_CAM)
    T_grid_eval = torch.as_tensor(T_grid_eval, dtype=torch.float32, device=device)
    points = torch.stack([x, y, z], dim=-1) @ T_grid_eval[:3, :3].T + T_grid_eval[:3, 3]
    density = torch.where(field.is_inside(points), density_of(field.at(points)), torch.ones_like(x))
    return (density.cumsum(dim=0) <= PROFILE_MOST).to(torch.float32).mean(dim=0).cpu().numpy()
