"""What the network's voxels are held against: rays of pixels, or voxels that were labelled.

Shapes: R rays, S voxels along each, C classes; X x Y x Z voxels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vsrd_ray.labelers.occupancy.network.model import Predicted
from vsrd_ray.labelers.occupancy.published.losses import end_likelihood, end_posterior, free_space
from vsrd_ray.labelers.occupancy.published.marching import weights_exact
from vsrd_ray.labelers.occupancy.training import LossSettings
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED
from vsrd_ray.training.base import Term

_LEAST_POSTERIOR = 1e-3  # of a voxel, below which its class does not count
_LEAST_THICKNESS = 1e-6  # density x side of a voxel


@dataclass(frozen=True)
class RayBatch:
    """Rays of one group, with the voxels that they cross."""

    places: Tensor  # [R, S] int64, flat
    entered: Tensor  # [R, S] m
    left: Tensor  # [R, S] m
    hits: Tensor  # [R] m, where they end; far away if they meet nothing
    sigmas: Tensor  # [R] m
    labels: Tensor  # [R] int64, number among the logits; -1 without one
    ends_inside: Tensor  # [R] bool, whether they end in the grid
    cells: Tensor  # [R] int64, flat place of their pixel among all views' features; -1 where no view has it
    bins: Tensor  # [R] int64, depth bin; -1 out of reach


def ray_terms(found: Predicted, rays: RayBatch, weights: LossSettings) -> dict[str, Term]:
    """The likelihood of where rays end, their classes there, and the space before."""
    width = int((rays.left > rays.entered).sum(dim=1).max()) or 1
    places, entered, left = rays.places[:, :width], rays.entered[:, :width], rays.left[:, :width]
    middles = (entered + left) / 2
    shares, _ = weights_exact(found.density.flatten()[places], left - entered)
    ending = rays.ends_inside
    ends = (shares[ending], middles[ending], rays.hits[ending], rays.sigmas[ending])
    none = shares.sum() * 0
    count = int(ending.sum())
    nll = end_likelihood(*ends) * count if count else none
    free = free_space(shares, middles, rays.hits, rays.sigmas) * len(shares)
    named, number = none, none.detach()
    if count:
        labels = rays.labels[ending]
        posterior = end_posterior(*ends).detach()
        ray, step = ((posterior > _LEAST_POSTERIOR) & (labels >= 0)[:, None]).nonzero(as_tuple=True)
        logits = found.logits.flatten(1).T[places[ending][ray, step]]
        each = posterior[ray, step]
        named = (functional.cross_entropy(logits, labels[ray], reduction="none") * each).sum()
        number = each.sum()
    return {
        "ends": Term(nll, float(count), weights.ends),
        "classes": Term(named, number, weights.classes),
        "free": Term(free, float(len(shares)), weights.free),
    }


def depth_term(found: Predicted, rays: RayBatch, weights: LossSettings) -> dict[str, Term]:
    """Cross entropy of the depth bins of rays' pixels."""
    known = (rays.cells >= 0) & (rays.bins >= 0)
    logits = found.depth_logits.permute(0, 2, 3, 1).flatten(0, 2)[rays.cells[known]]
    error = functional.cross_entropy(logits, rays.bins[known], reduction="sum")
    return {"depth": Term(error, known.sum(), weights.depth)}


def voxel_terms(
    found: Predicted,
    state: Tensor,  # [X, Y, Z] of `vsrd_ray.labels.voxels.schema`
    labels: Tensor,  # [X, Y, Z] int64, number among the logits; -1 without one
    voxel_size: float,  # m
    weights: LossSettings,
) -> dict[str, Term]:
    """Cross entropy of occupied and free voxels, and of the classes of occupied ones; others do not count."""
    thickness = (found.density * voxel_size).clamp(min=_LEAST_THICKNESS)
    full, free = state == OCCUPIED, state == FREE
    occupied = -torch.log(-torch.expm1(-thickness[full])).sum()
    named = full & (labels >= 0)
    error = functional.cross_entropy(found.logits[:, named].T, labels[named], reduction="sum")
    return {
        "voxels": Term(occupied + thickness[free].sum(), full.sum() + free.sum(), weights.voxels),
        "classes": Term(error, named.sum(), weights.classes),
    }
