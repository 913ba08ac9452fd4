"""Photometric refinement: surfaces of a field move until images of other cameras agree through it.

The renderer and the loss are the networks' own (BTS, section 3), on values of a grid in their stead. Shapes: N patches
of h x w rays, R rays, S samples, V views.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.labelers.density.networks.losses import color_errors, photometric
from vsrd_ray.labels.depth.field import Field, density_of
from vsrd_ray.rendering.compositing import composite, opacities, weights
from vsrd_ray.rendering.images import normalised_intrinsics, project, sample
from vsrd_ray.rendering.rays import cast_rays
from vsrd_ray.rendering.sampling import stratified_distances

_PATCHES, _SIDE = 32, 8
_BEFORE, _AROUND = 8, 24  # samples up to a measured surface, and around it
_RATE = 0.01  # of Adam
_MOST_UNSEEN = 0.5  # weight of a ray's samples outside a view, from which on the view does not count
_KNOWN = 0.5  # share of a patch's pixels whose depth has to be known
_FAR = 20.0  # m


@dataclass(frozen=True)
class Posed:
    """An image with its camera and what was measured in it."""

    image: np.ndarray  # [H, W, 3] uint8
    K: np.ndarray  # [3, 3] px
    T_world_cam: np.ndarray  # [4, 4]
    depth: np.ndarray  # [H, W] float32 m, 0 unknown


def refine(
    field: Field,
    views: Sequence[Posed],
    others: Sequence[Sequence[int]],  # of each view, places of those that have to agree with it
    *,
    steps: int,
    window: float,  # m before and behind a measured surface in which it is sampled
    seed: int,
) -> Field:
    """The field after so many steps, each on patches of one view.

    The error of a pixel is the least over the other views, which leaves those out from which it is hidden.
    """
    generator = torch.Generator().manual_seed(seed)
    device = field.values.device
    values = field.values.clone().requires_grad_()
    images = [torch.as_tensor(view.image, device=device).permute(2, 0, 1).to(torch.float32) / 255 for view in views]
    T_grid_world = np.linalg.inv(field.T_world_grid)
    T_grid_cam = [torch.as_tensor(T_grid_world @ view.T_world_cam, dtype=torch.float32) for view in views]
    optimizer = torch.optim.Adam([values], lr=_RATE)
    usable = [place for place, view in enumerate(views) if len(others[place]) and (view.depth > 0).any()]
    for _ in range(steps if usable else 0):
        place = usable[int(torch.randint(len(usable), (), generator=generator))]
        drawn = _drawn(views[place], generator)
        if drawn is None:
            continue
        rows, columns, depth = drawn
        origins, directions = cast_rays(
            torch.stack([columns, rows], dim=-1).reshape(-1, 2).to(torch.float32),
            torch.as_tensor(views[place].K, dtype=torch.float32),
            T_grid_cam[place],
        )
        distance = depth.reshape(-1) / (directions @ T_grid_cam[place][:3, 2])
        t = _distances(distance, window, generator).to(device)
        points = origins.to(device)[:, None] + directions.to(device)[:, None] * t[..., None]
        shares = weights(opacities(density_of(replace(field, values=values).at(points)), t))
        errors, invalid = _errors(
            images, T_grid_cam, views, place, others[place], points=points, shares=shares, rows=rows, columns=columns
        )
        optimizer.zero_grad()
        photometric(errors, invalid).backward()
        optimizer.step()
    return replace(field, values=values.detach().clamp(-1, 1))


def _drawn(view: Posed, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor] | None:
    """Rows, columns and depths, each [N, h, w], of patches that mostly show something near; None where none does."""
    height, width = view.depth.shape
    top = torch.randint(height - _SIDE + 1, (_PATCHES,), generator=generator)
    left = torch.randint(width - _SIDE + 1, (_PATCHES,), generator=generator)
    steps = torch.arange(_SIDE)
    rows = (top[:, None, None] + steps[:, None]).expand(-1, -1, _SIDE)
    columns = (left[:, None, None] + steps).expand(-1, _SIDE, -1)
    depth = torch.as_tensor(view.depth)[rows, columns]
    known = (depth > 0) & (depth < _FAR)
    good = known.float().mean(dim=(1, 2)) > _KNOWN
    if not good.any():
        return None
    middle = torch.where(known, depth, torch.nan).flatten(1).nanmedian(dim=1).values
    return rows[good], columns[good], torch.where(known, depth, middle[:, None, None])[good]


def _distances(distance: Tensor, window: float, generator: torch.Generator) -> Tensor:
    """Sample distances [R, S]: some up to the window around a measured distance [R], most within it."""
    start = (distance - window).clamp(min=1.0)
    before = stratified_distances(torch.full_like(start, 0.5), start, num_samples=_BEFORE, generator=generator)
    around = stratified_distances(start, distance + window, num_samples=_AROUND, generator=generator)
    return torch.cat([before, around], dim=1)


def _errors(
    images: Sequence[Tensor],
    T_grid_cam: Sequence[Tensor],
    views: Sequence[Posed],
    place: int,
    others: Sequence[int],
    *,
    points: Tensor,  # [R, S, 3]
    shares: Tensor,  # [R, S]
    rows: Tensor,  # [N, h, w]
    columns: Tensor,
) -> tuple[Tensor, Tensor]:
    """How far the colours by the other views are off, [N, h, w, V], and which rays no view sees, [N, h, w]."""
    device = points.device
    height, width = images[place].shape[1:]
    K = torch.stack([torch.as_tensor(views[other].K, dtype=torch.float32) for other in others])
    K_norm = normalised_intrinsics(K, (width, height)).to(device)
    T = torch.stack([T_grid_cam[other] for other in others]).to(device)
    uv, _, unseen = project(points.reshape(-1, 3), T, K_norm)
    colors = sample(torch.stack([images[other] for other in others]), uv)  # [R S, V, 3]
    num_rays, num_samples = shares.shape
    rendered = composite(shares, colors.reshape(num_rays, num_samples, len(others), 3))
    hidden = composite(shares, unseen.reshape(num_rays, num_samples, len(others)).to(torch.float32)) > _MOST_UNSEEN
    true = images[place][:, rows.to(device), columns.to(device)].permute(1, 2, 3, 0)
    errors = color_errors(rendered.reshape(*rows.shape, len(others), 3), true)
    hidden = hidden.reshape(*rows.shape, len(others))
    return errors.masked_fill(hidden, 10.0), hidden.all(dim=-1)
