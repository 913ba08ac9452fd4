"""Rendering a density field: depth, and the colour that other views give to a ray.

A field has no colours of its own. Each sample of a ray is looked up in the render views, so a ray has one colour a
view, and all must agree with the pixel that it was cast through (BTS, CVPR 2023, section 3.2).

Shapes: R rays, S samples, V render views, H x W pixels. Metres.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vsrd_ray.rendering.compositing import composite, opacities, weights
from vsrd_ray.rendering.images import project, sample

_UNSEEN = 0.9  # the share of a ray from which on it is invalid where no view sees it

# Points [P, 3] to their density [P] and whether no encoded view sees them, [P] bool.
Field = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Rays:
    """Rays in `world`."""

    origins: Tensor  # [R, 3]
    directions: Tensor  # [R, 3] unit


@dataclass(frozen=True)
class RenderViews:
    """Posed images that colours are looked up in."""

    images: Tensor  # [V, 3, H, W], colours in [0, 1]
    T_world_cam: Tensor  # [V, 4, 4]
    K_norm: Tensor  # [V, 3, 3]


@dataclass(frozen=True)
class Rendered:
    """What rays see."""

    depth: Tensor  # [R], along the rays
    weights: Tensor  # [R, S]
    alphas: Tensor  # [R, S]
    colors: Tensor  # [R, V, 3], by each render view
    unseen: Tensor  # [R, S, V] bool: the sample has no colour in the view
    invalid: Tensor  # [R] bool: in all views most of what the ray sees has no colour


def points_of(
    rays: Rays,
    distances: Tensor,  # [R, S]
) -> Tensor:
    """Samples [R, S, 3] of rays in `world`."""
    return rays.origins[:, None] + distances[..., None] * rays.directions[:, None]


def render(
    field: Field,
    rays: Rays,
    distances: Tensor,  # [R, S], ascending
    views: RenderViews,
) -> Rendered:
    """Composite a field along rays."""
    num_rays, num_samples = distances.shape
    points = points_of(rays, distances).reshape(-1, 3)
    density, nowhere = field(points)
    alphas = opacities(density.reshape(num_rays, num_samples), distances)
    shares = weights(alphas)
    uv, _, outside = project(points, views.T_world_cam, views.K_norm)
    colors = sample(views.images, uv).reshape(num_rays, num_samples, -1, 3)
    unseen = (outside | nowhere[:, None]).reshape(num_rays, num_samples, -1)
    invalid = (composite(shares, unseen.to(shares)) > _UNSEEN).all(dim=-1)
    return Rendered(
        depth=composite(shares, distances),
        weights=shares,
        alphas=alphas,
        colors=composite(shares, colors),
        unseen=unseen,
        invalid=invalid,
    )


def z_factors(
    uv: Tensor,  # [..., 2], normalised
    K_norm: Tensor,  # [3, 3]
) -> Tensor:
    """By what a distance along the ray through an image point is multiplied to be depth along the axis, [...]."""
    return 1 / _directions_cam(uv, K_norm).norm(dim=-1)


def cast(
    uv: Tensor,  # [R, 2], normalised
    T_world_cam: Tensor,  # [R or 1, 4, 4]
    K_norm: Tensor,  # [R or 1, 3, 3]
) -> Rays:
    """Rays through image points."""
    directions_cam = torch.nn.functional.normalize(_directions_cam(uv, K_norm), dim=-1)
    directions = (T_world_cam[..., :3, :3] @ directions_cam[..., None])[..., 0]
    return Rays(T_world_cam[..., :3, 3].expand_as(directions), directions)


def _directions_cam(uv: Tensor, K_norm: Tensor) -> Tensor:
    homogeneous = torch.cat([uv, torch.ones_like(uv[..., :1])], dim=-1)
    return (torch.inverse(K_norm) @ homogeneous[..., None])[..., 0]
