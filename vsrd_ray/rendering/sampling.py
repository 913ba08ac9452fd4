"""Distances along rays at which a field is evaluated.

Shapes: R rays, S samples, B bins. Distances in metres; near and far may differ from ray to ray.
"""

import torch
from torch import Tensor


def stratified_distances(
    near: Tensor,  # [R] metres
    far: Tensor,  # [R] metres
    *,
    num_samples: int,
    generator: torch.Generator | None,
) -> Tensor:
    """One distance in each of S equal bins between near and far, [R, S] ascending.

    Random ones, or the bins' middles without a generator.
    """
    steps = torch.arange(num_samples, dtype=near.dtype, device=near.device)
    if generator is None:
        jitter = torch.full((len(near), num_samples), 0.5, dtype=near.dtype, device=near.device)
    else:
        jitter = torch.rand(len(near), num_samples, generator=generator, dtype=near.dtype, device=near.device)
    return torch.lerp(near[:, None], far[:, None], (steps + jitter) / num_samples)


def importance_distances(
    bins: Tensor,  # [R, B] metres, ascending
    weights: Tensor,  # [R, B - 1], not negative
    *,
    quantiles: Tensor,  # [R, S] in [0, 1]
) -> Tensor:
    """Distances [R, S] that have a share `quantiles` of the weights before them: inverse transform of a histogram.

    Weights are normalised to sum 1; the density is constant inside a bin. (NeRF's hierarchical sampling, as in VSRD.)
    """
    density = torch.nn.functional.normalize(weights, p=1, dim=-1)
    cumulative = torch.nn.functional.pad(density.cumsum(dim=-1), (1, 0))  # [R, B]
    upper = torch.searchsorted(cumulative, quantiles.contiguous()).clamp(1, bins.shape[-1] - 1)
    low, high = cumulative.gather(-1, upper - 1), cumulative.gather(-1, upper)
    share = (quantiles - low) / (high - low + 1e-6)
    return torch.lerp(bins.gather(-1, upper - 1), bins.gather(-1, upper), share)


def disparity_distances(
    near: Tensor,  # [R] metres
    far: Tensor,  # [R] metres
    *,
    num_samples: int,
    generator: torch.Generator | None,
) -> Tensor:
    """One distance in each of S bins that are equal in inverse distance, [R, S] ascending: dense near the camera."""
    ends = torch.zeros_like(near), torch.ones_like(near)
    share = stratified_distances(*ends, num_samples=num_samples, generator=generator)
    return 1 / torch.lerp(1 / near[:, None], 1 / far[:, None], share)
