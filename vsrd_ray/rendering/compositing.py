"""Compositing along rays: densities to opacities, opacities to weights, and weights to anything that samples have.

Shapes: R rays, S samples, ascending in distance. Metres.
"""

import torch
from torch import Tensor

_LEAST = 1e-10  # of transmittance that passes a sample, so that gradients pass an opaque one


def opacities(
    density: Tensor,  # [R, S] per metre, not negative
    distances: Tensor,  # [R, S]
) -> Tensor:
    """Opacities [R, S] of the stretches between samples; the last one, which has no end, is 1."""
    stretches = distances[:, 1:] - distances[:, :-1]
    return torch.cat([1 - torch.exp(-stretches * density[:, :-1]), torch.ones_like(density[:, :1])], dim=1)


def weights(
    alphas: Tensor,  # [R, S]
) -> Tensor:
    """Shares [R, S] of what a ray sees that its samples are: opacity times what passes the samples before it."""
    passing = torch.cumprod(1 - alphas[:, :-1] + _LEAST, dim=1)
    return alphas * torch.cat([torch.ones_like(alphas[:, :1]), passing], dim=1)


def composite(
    weights: Tensor,  # [R, S]
    values: Tensor,  # [R, S, ...]
) -> Tensor:
    """What rays [R, ...] see of the values of their samples."""
    return torch.einsum("rs,rs...->r...", weights, values)
