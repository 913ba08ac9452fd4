"""Instance silhouettes by volume rendering of a signed distance field (NeuS; VSRD section 3.2).

Shapes: R rays, S samples, N instances, P points. Metres.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vsrd_ray.rendering.sampling import importance_distances, stratified_distances

# Points [P, 3] to signed distances [P] and instance shares [P, N], differentiable in the points.
Field = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Silhouettes:
    """What a ray sees."""

    labels: Tensor  # [R, N] share of each instance in the ray, 0..1
    weights: Tensor  # [R, S - 1] of the sections between samples
    gradients: Tensor  # [R, S - 1, 3] of the distance field at the middle of the sections


def evaluate_with_gradient(field: Field, points: Tensor, *, differentiable: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Distances [P], shares [P, N] and the distances' spatial gradient [P, 3].

    With `differentiable` the gradient itself can be differentiated with respect to the field's parameters.
    """
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        distances, shares = field(points)
        (gradients,) = torch.autograd.grad(distances.sum(), points, create_graph=differentiable)
    if differentiable:
        return distances, shares, gradients
    return distances.detach(), shares.detach(), gradients


def render_sections(
    field: Field,
    origins: Tensor,  # [R, 3] metres
    directions: Tensor,  # [R, 3] unit
    distances: Tensor,  # [R, S] metres, ascending
    *,
    sigma: float,  # metres, spread of the surface's logistic density
    cosine_ratio: float,  # 0..1, from a slack to the true angle between ray and surface
    differentiable: bool = True,
) -> Silhouettes:
    """Silhouettes from the sections between given distances.

    The field is evaluated at the middle of a section and carried to its ends along its gradient; the section's opacity
    is the relative drop of the logistic of the distance between them (NeuS, eq. 13).
    """
    middles, lengths = (distances[:, 1:] + distances[:, :-1]) / 2, distances.diff(dim=-1)
    points = origins[:, None] + directions[:, None] * middles[..., None]
    signed, shares, gradients = evaluate_with_gradient(field, points.reshape(-1, 3), differentiable=differentiable)
    signed, gradients = signed.view_as(middles), gradients.view_as(points)
    shares = shares.view(*middles.shape, shares.shape[-1])

    cosines = (directions[:, None] * torch.nn.functional.normalize(gradients, dim=-1)).sum(dim=-1)
    slack, true = (0.5 - 0.5 * cosines).relu(), (-cosines).relu()
    change = torch.lerp(slack, true, cosine_ratio) * lengths / 2
    before = torch.sigmoid((signed + change) / sigma)
    after = torch.sigmoid((signed - change) / sigma)
    alphas = ((before - after) / (before + 1e-6)).relu()
    weights = alphas * exclusive_transmittance(alphas)
    return Silhouettes(labels=(weights[..., None] * shares).sum(dim=1), weights=weights, gradients=gradients)


def exclusive_transmittance(
    alphas: Tensor,  # [R, S]
) -> Tensor:
    """Share [R, S] of the light that reaches each section past those before it."""
    passed = torch.cumprod(1 - alphas, dim=-1)
    return torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], dim=-1)


def hierarchical_distances(
    field: Field,
    origins: Tensor,  # [R, 3] metres
    directions: Tensor,  # [R, 3] unit
    *,
    near: Tensor,  # [R] metres
    far: Tensor,  # [R] metres
    coarse_samples: int,
    fine_samples: int,
    sigma: float,  # metres
    cosine_ratio: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Distances [R, coarse + fine], ascending: stratified ones, and as many more where those found the surfaces.

    Nothing here carries gradients. Without a generator the samples are evenly spaced: bin middles and even quantiles.
    """
    coarse = stratified_distances(near, far, num_samples=coarse_samples, generator=generator)
    if fine_samples == 0:
        return coarse
    rendered = render_sections(
        field, origins, directions, coarse, sigma=sigma, cosine_ratio=cosine_ratio, differentiable=False
    )
    shape = (len(near), fine_samples)
    if generator is None:
        quantiles = torch.linspace(0, 1, fine_samples, dtype=near.dtype, device=near.device).expand(shape)
    else:
        quantiles = torch.rand(shape, generator=generator, dtype=near.dtype, device=near.device)
    fine = importance_distances(coarse, rendered.weights, quantiles=quantiles)
    return torch.cat([coarse, fine], dim=-1).sort(dim=-1).values
