"""Bodies fitted to the outlines of masks by least squares in location, size, shape and heading.

A few damped Gauss-Newton steps from each of many headings, whose unlike ends tell them apart: first on extents, then on
contours (comparisons.py).

Shapes: S starts, N instances, V views, C contour points, L latents, D unknowns (location 3, half extents 3, latents L,
inset of the masks' edges, yaw; of bodies that move those of their motion). Box axes: x right, y down, z forward.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from vsrd_ray.labelers.base import TraceSink
from vsrd_ray.labelers.vsrd.comparisons import Comparisons, Posed, Problem, Terms, usable_views
from vsrd_ray.labelers.vsrd.config import StartSettings
from vsrd_ray.labelers.vsrd.observations import Expectations, Observations, Rows
from vsrd_ray.labelers.vsrd.parameters import Boxes, rotations_about_y

# A stage begins with outliers this many times as far off, and comes down to the final threshold at half its steps.
_EXTENTS_SLACK, _CONTOURS_SLACK = 10.0, 2.0
# Silhouettes of bodies that stand still lie this near to their masks' edges, px and share of the size, or nearer.
_TOLERANCE, _TOLERANCE_SHARE = 1.5, 0.02
# Views with fewer contour points of the object's own do not tell whether it moves.
_MIN_OWN_POINTS = 8


@dataclass(frozen=True)
class BodyFit(Rows):
    """The best body of each instance, and what tells how good it is."""

    locations: Tensor  # [N, 3] metres
    half_extents: Tensor  # [N, 3] metres
    yaws: Tensor  # [N] radians about y, 0 facing +z
    latents: Tensor  # [N, L] of the shape priors
    insets: Tensor  # [N] px by which the edges of masks lie inside their object
    motion: Tensor  # [N, M] speeds, curvatures and slopes (motion.py); M = 0 of bodies that stand still
    costs: Tensor  # [N] of the fit
    spreads: Tensor  # [N, D] posterior standard deviations: metres, latents, radians
    rivals: Tensor  # [N] by how much the best fit with another heading costs more
    misfits: Tensor  # [N] how far silhouettes lie from the masks' own edges, in units of what shapes and masks explain
    silhouette_losses: Tensor  # [N] mean binary cross-entropy of soft silhouettes at the masks' own edges
    num_views: Tensor  # [N] views used

    @property
    def boxes(self) -> Boxes:
        """Their boxes [N]."""
        cos_sin = torch.stack([self.yaws.cos(), self.yaws.sin()], dim=-1)
        return Boxes(self.locations, self.half_extents, rotations_about_y(cos_sin))


def fit_bodies(
    observations: Observations,
    expectations: Expectations,
    settings: StartSettings,
    *,
    softness: float,
    trace: TraceSink | None = None,
) -> BodyFit:
    """The bodies that fit the outlines best, each instance on its own.

    What comes of an instance depends on neither the others nor their number, but for rounding.

    Args:
        observations: of N instances.
        expectations: of the same.
        settings: of the fit.
        softness: px, of the soft silhouettes that the losses are of.
        trace: called at each step with the costs and bodies that are the best of all headings by then.
    """
    locations = locate(observations, expectations, settings)
    problem = Problem.of(observations, expectations, locations, settings)
    x = _initial(locations, expectations, headings=settings.headings)
    return best_fit(problem, descended(problem, x, settings, trace=trace), softness=softness)


def descended(problem: Problem, x: Tensor, settings: StartSettings, *, trace: TraceSink | None = None) -> Tensor:
    """Unknowns [S, N, D] after both stages of their fit."""
    first = 0
    stages = (
        (problem.extents, settings.extent_steps, _EXTENTS_SLACK),
        (problem.contours, settings.contour_steps, _CONTOURS_SLACK),
    )
    for terms_of, steps, slack in stages:
        descent = _descend(problem, terms_of, x, steps=steps, slack=slack)
        for step, (moved, costs) in enumerate(descent, start=first):
            x = moved
            if trace is not None:
                trace(step, _traced(problem, x, costs))
        first += steps
    return x


def locate(observations: Observations, expectations: Expectations, settings: StartSettings) -> Tensor:
    """Centres [N, 3] metres: the median of the places at which the best views put an object of its class's height.

    The best views are those with the most trusted sides, top and bottom first. No parallax is needed, and no single
    view can spoil the median.
    """
    boxes = observations.mask_boxes  # [N, V, 4]
    sides = (observations.trusted_sides * boxes.new_tensor([1, 2, 1, 2])).sum(dim=-1)  # top and bottom give depth
    heights = boxes[..., 3] - boxes[..., 1] + 1
    object_heights = 2 * expectations.half_extents_mean[:, 1, None]
    depths = observations.K[..., 1, 1] * object_heights / heights.clamp(min=1)
    centers = torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, torch.ones_like(boxes[..., :1])], dim=-1)
    points_cam = torch.linalg.solve(observations.K, centers[..., None]) * depths[..., None, None]
    R_cam_ref, t_cam_ref = observations.T_cam_ref[..., :3, :3], observations.T_cam_ref[..., :3, 3:]
    points = (R_cam_ref.transpose(-1, -2) @ (points_cam - t_cam_ref))[..., 0]
    usable = usable_views(observations, settings)
    score = torch.where(usable, sides, -1)
    good = (score == score.amax(dim=1, keepdim=True)) & usable
    return torch.where(good[..., None], points, torch.nan).nanmedian(dim=1).values.nan_to_num()


def _initial(locations: Tensor, expectations: Expectations, *, headings: int) -> Tensor:
    """Unknowns [S, N, D]: mean bodies at the first guesses, facing every way."""
    count, latents = len(locations), expectations.shapes.shape[1]
    start = torch.cat([locations, expectations.half_extents_mean, locations.new_zeros(count, latents + 1)], dim=-1)
    yaws = 2 * torch.pi * torch.arange(headings).to(locations) / headings
    return torch.cat([start.expand(headings, -1, -1), yaws[:, None, None].expand(-1, count, 1)], dim=-1)


def _descend(
    problem: Problem, terms_of: Callable[[Tensor], Terms], x: Tensor, *, steps: int, slack: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Levenberg-Marquardt for every start and instance on its own; outliers are let go as the steps pass.

    Yields unknowns [S, N, D] and their costs [S, N] after each step.
    """
    damping = torch.full_like(x[..., 0], 1e-2)
    terms = terms_of(x)
    for step in range(steps):
        outlier = problem.outlier * slack ** (1 - min(1.0, 2 * step / steps))
        gradient, hessian = problem.linearise(x, terms, outlier=outlier)
        damped = hessian + torch.diag_embed(damping[..., None] * hessian.diagonal(dim1=-2, dim2=-1))
        moved = problem.moved(x, torch.linalg.solve_ex(damped, -gradient).result)
        moved_terms = terms_of(moved)
        costs, moved_costs = (problem.cost(*pair, outlier=outlier) for pair in ((x, terms), (moved, moved_terms)))
        better = moved_costs < costs
        x = torch.where(better[..., None], moved, x)
        terms = _chosen(better, moved_terms, terms)
        damping = torch.where(better, damping / 3, damping * 4).clamp(1e-6, 1e6)
        yield x, torch.where(better, moved_costs, costs)


def _traced(problem: Problem, x: Tensor, costs: Tensor) -> dict[str, Any]:
    """Costs [N] and bodies [N] of the best start of each instance, on the CPU."""
    lowest, best = costs.min(dim=0)
    x = x.gather(0, best[None, :, None].expand(1, *x.shape[1:]))[0].cpu()
    values = {"locations": x[:, :3], "half_extents": x[:, 3:6], "yaws": x[:, problem.num_body - 1]}
    return {"cost/total": lowest.sum().item(), "costs": lowest.cpu().numpy()} | {
        name: value.numpy() for name, value in values.items()
    }


def _chosen(better: Tensor, terms: Terms, others: Terms) -> Terms:
    def choose(ours: Tensor, theirs: Tensor) -> Tensor:
        return torch.where(better.view(*better.shape, *[1] * (ours.dim() - 2)), ours, theirs)

    return Terms(
        Posed(*map(choose, terms.posed, others.posed)),
        Comparisons(*map(choose, terms.comparisons, others.comparisons)),
    )


def best_fit(problem: Problem, x: Tensor, *, softness: float, handicaps: Tensor | float = 0.0) -> BodyFit:
    """Of each instance the start [S, N, D] that ended best, or would but for its handicap [S, N]."""
    costs = problem.cost(x, problem.contours(x), outlier=problem.outlier)  # [S, N]
    lowest, best = (costs + handicaps).min(dim=0)
    yaw = problem.num_body - 1
    turned = (x[..., yaw] - x[..., yaw].gather(0, best[None])).sin().abs() > 0.5
    rivals = torch.where(turned, costs + handicaps - lowest, torch.inf).amin(dim=0)
    x = x.gather(0, best[None, :, None].expand(1, *x.shape[1:]))
    terms = problem.contours(x)
    _, hessian = problem.linearise(x, terms, outlier=problem.outlier)
    num_points = problem.observations.points.shape[2]
    residuals = terms.comparisons.residuals[0, ..., :num_points]  # the contours' stand first
    distances = residuals * problem.contour_noise[..., None]  # [N, V, C] px
    own = problem.observations.sampled & ~problem.observations.hidden & problem.usable[..., None]
    logits = distances / softness
    losses = (softplus(logits) + softplus(-logits)) / 2
    return BodyFit(
        locations=x[0, :, :3],
        half_extents=x[0, :, 3:6],
        yaws=x[0, :, yaw],
        latents=x[0, :, 6 : yaw - 1],
        insets=x[0, :, yaw - 1],
        motion=x[0, :, yaw + 1 :],
        costs=costs.gather(0, best[None])[0],
        spreads=torch.linalg.inv(hessian[0]).diagonal(dim1=-2, dim2=-1)[:, : yaw + 1].clamp(min=0).sqrt(),
        rivals=rivals,
        misfits=_misfits(distances.abs(), own, problem.observations),
        silhouette_losses=(losses * own).sum(dim=(1, 2)) / own.sum(dim=(1, 2)).clamp(min=1),
        num_views=problem.usable.sum(dim=1),
    )


def _misfits(distances: Tensor, own: Tensor, observations: Observations) -> Tensor:
    """The upper quartile over views of the median distance [N, V, C] px of a view's own points, in units of tolerance.

    Views with few own points do not count; an instance without any other view has 0.
    """
    boxes = observations.mask_boxes
    tolerance = _TOLERANCE + _TOLERANCE_SHARE * (boxes[..., 2:] - boxes[..., :2]).amax(dim=-1)
    medians = torch.where(own, distances, torch.nan).nanmedian(dim=-1).values / tolerance
    medians = torch.where(own.sum(dim=-1) >= _MIN_OWN_POINTS, medians, torch.nan)
    return medians.nanquantile(0.75, dim=-1).nan_to_num()
