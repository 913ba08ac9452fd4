"""A start for the optimisation: a car-like hull fitted to the outlines of each instance's masks.

VSRD starts every box 50 m ahead. Here each box starts where the convex hull of a plain car body, scaled with the box,
reaches as far as the masks do in every direction that the image's border or an occluder does not cut off. Convex hulls
need no rendering, so many headings are tried at once, and the body's unlike ends tell them apart.

Shapes: S starts, N instances, V views, K directions, P hull points. Frame `ref`, box axes (x right, y down, z forward).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vsrd_ray.config import StartSettings
from vsrd_ray.geometry.cameras import project_points
from vsrd_ray.labelers.vsrd.bodies import BODIES, HALF_EXTENTS_SPREAD, TYPICAL_HALF_EXTENTS
from vsrd_ray.labelers.vsrd.outlines import directions
from vsrd_ray.labelers.vsrd.parameters import Boxes, rotations_about_y
from vsrd_ray.labelers.vsrd.targets import Targets

# Points nearer to the camera's plane than this, or behind it, are seen as if they were here, metres.
_MIN_DEPTH = 0.5


@dataclass(frozen=True)
class HullFit:
    """The best start of each instance."""

    boxes: Boxes  # [N]
    yaws: Tensor  # [N] radians about y, 0 facing +z
    bodies: Tensor  # [N] int64, index into BODIES of the body that fits best


@dataclass(frozen=True)
class _State:
    locations: Tensor  # [S, N, 3]
    half_extents: Tensor  # [S, N, 3]
    yaws: Tensor  # [S, N]

    def moved(self, step: Tensor) -> "_State":  # [S, N, 7]
        low, high = (
            self.half_extents.new_tensor(TYPICAL_HALF_EXTENTS) * 0.6,
            self.half_extents.new_tensor(TYPICAL_HALF_EXTENTS) * 1.6,
        )
        return _State(
            self.locations + step[..., :3].clamp(-5, 5),
            (self.half_extents + step[..., 3:6]).clamp(low, high),
            self.yaws + step[..., 6].clamp(-0.5, 0.5),
        )

    def chosen(self, better: Tensor, other: "_State") -> "_State":  # [S, N] bool
        return _State(
            torch.where(better[..., None], other.locations, self.locations),
            torch.where(better[..., None], other.half_extents, self.half_extents),
            torch.where(better, other.yaws, self.yaws),
        )


def fit_hulls(targets: Targets, settings: StartSettings) -> HullFit:
    """Boxes of all instances from their outlines alone: damped Gauss-Newton from many headings and plain bodies."""
    bodies = torch.stack([torch.as_tensor(body.vertices) for body in BODIES]).to(targets.K)  # [2, P, 3]
    locations = _locate(targets, settings)
    state = _initial_state(locations, num_bodies=len(bodies), num_headings=settings.headings)
    hulls = bodies.repeat_interleave(settings.headings, dim=0)  # [S, P, 3]
    problem = _Problem.of(targets, locations, settings)
    state, costs = _optimise(problem, state, hulls, settings)
    best = costs.argmin(dim=0)  # [N]
    every = torch.arange(len(best), device=best.device)
    yaws = state.yaws[best, every]
    boxes = Boxes(
        state.locations[best, every],
        state.half_extents[best, every],
        rotations_about_y(torch.stack([yaws.cos(), yaws.sin()], dim=-1)),
    )
    return HullFit(boxes=boxes, yaws=yaws, bodies=best // settings.headings)


def misfits(targets: Targets, boxes: Boxes, settings: StartSettings) -> Tensor:
    """How badly boxes agree with the outlines of their instances over all views, [N]; 0 where no extent is trusted.

    The upper quartile of the departures of a plain body's extents from the trusted ones, of the body that fits better,
    in units of what bodies and masks explain. What stands still is seldom above 1; what moves between the views cannot
    be matched by any one box.
    """
    problem = _Problem.of(targets, boxes.locations, settings)
    yaws = torch.atan2(boxes.R_ref_obj[..., 0, 2], boxes.R_ref_obj[..., 2, 2])
    hulls = torch.stack([torch.as_tensor(body.vertices) for body in BODIES]).to(targets.K)
    state = _State(
        *(values.expand(len(BODIES), *values.shape) for values in (boxes.locations, boxes.half_extents, yaws))
    )
    num_extents = targets.supports.shape[-1]
    departures = problem._observe(state, hulls).residuals[..., :num_extents].abs() * _repetition(targets)[:, None]
    counts = (targets.trusted & problem.visible[..., None])[:, None].expand(departures.shape)
    departures = torch.where(counts, departures, torch.nan).permute(1, 2, 0, 3).flatten(start_dim=2)  # [S, N, V K]
    return departures.nanquantile(0.75, dim=-1).amin(dim=0).nan_to_num()


def _repetition(targets: Targets) -> Tensor:
    """By how much [N] each view counts less than one alone: views of one body share its misfit."""
    return targets.visible.sum(dim=0).clamp(min=1).sqrt()


def _locate(targets: Targets, settings: StartSettings) -> Tensor:
    """Centres [N, 3] metres: the median of the places at which the best views put an object of a car's height.

    The best views are those with the most trusted sides, top and bottom first. No parallax is needed, and no single
    view can spoil the median.
    """
    boxes = targets.mask_boxes  # [V, N, 4]
    sides = (targets.trusted_sides * boxes.new_tensor([1, 2, 1, 2])).sum(dim=-1)  # top and bottom give depth
    heights = boxes[..., 3] - boxes[..., 1] + 1
    depths = targets.K[:, 1, 1, None] * (2 * TYPICAL_HALF_EXTENTS[1]) / heights.clamp(min=1)
    centers = torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, torch.ones_like(boxes[..., :1])], dim=-1)
    points_cam = torch.linalg.solve(targets.K[:, None], centers[..., None])[..., 0] * depths[..., None]
    points = (targets.T_ref_cam[:, None, :3, :3] @ points_cam[..., None])[..., 0] + targets.T_ref_cam[:, None, :3, 3]
    usable = _usable(targets, settings)
    score = torch.where(usable, sides, -1)
    good = (score == score.amax(dim=0)) & usable
    nan = torch.full_like(points, torch.nan)
    return torch.where(good[..., None], points, nan).nanmedian(dim=0).values


def _usable(targets: Targets, settings: StartSettings) -> Tensor:
    """Views [V, N] that show enough of an instance to measure it, or the largest of those that do not."""
    boxes = targets.mask_boxes
    sides = torch.where(targets.visible, (boxes[..., 2:] - boxes[..., :2]).amin(dim=-1), -1)
    return targets.visible & (sides >= sides.amax(dim=0).clamp(max=settings.min_side))


def _initial_state(locations: Tensor, *, num_bodies: int, num_headings: int) -> _State:
    num_starts, num_instances = num_bodies * num_headings, len(locations)
    yaws = 2 * torch.pi * torch.arange(num_starts).to(locations) / num_headings
    return _State(
        locations.expand(num_starts, -1, -1),
        locations.new_tensor(TYPICAL_HALF_EXTENTS).expand(num_starts, num_instances, 3),
        yaws[:, None].expand(-1, num_instances),
    )


def _optimise(problem: "_Problem", state: _State, hulls: Tensor, settings: StartSettings) -> tuple[_State, Tensor]:
    """Levenberg-Marquardt for every start and instance on its own; outliers are let go as the steps pass.

    Returns the states and their robust costs [S, N] at the strictest threshold.
    """
    damping = torch.full_like(state.yaws, 1e-2)
    for step in range(settings.steps):
        outlier = settings.outlier * 10 ** (1 - min(1.0, 2 * step / settings.steps))
        costs, gradient, hessian = problem.linearise(state, hulls, outlier=outlier)
        diagonal = torch.diag_embed(hessian.diagonal(dim1=-2, dim2=-1))
        move = torch.linalg.solve(hessian + damping[..., None, None] * diagonal, -gradient)
        moved = state.moved(move)
        better = problem.costs(moved, hulls, outlier=outlier) < costs
        state = state.chosen(better, moved)
        damping = torch.where(better, damping / 3, damping * 4).clamp(1e-6, 1e6)
    return state, problem.costs(state, hulls, outlier=settings.outlier)


@dataclass(frozen=True)
class _Problem:
    """Outlines as a robust least-squares problem in location, half extents and yaw: 7 unknowns."""

    K: Tensor  # [V, 3, 3]
    T_cam_ref: Tensor  # [V, 4, 4]
    units: Tensor  # [K, 2]
    supports: Tensor  # [V, N, K] px
    trusted: Tensor  # [V, N, K] bool
    visible: Tensor  # [V, N] bool
    clearances: Tensor  # [V, N, G, G] px
    clearance_windows: Tensor  # [V, N, 4] px
    clearance_weight: float
    noise: Tensor  # [V, N] px
    prior_mean: Tensor  # [N, 6] metres, location and half extents
    prior_spread: Tensor  # [N, 6] metres

    @staticmethod
    def of(targets: Targets, locations: Tensor, settings: StartSettings) -> "_Problem":
        boxes = targets.mask_boxes
        size = (boxes[..., 2:] - boxes[..., :2]).amax(dim=-1)
        extents, extents_spread = locations.new_tensor(TYPICAL_HALF_EXTENTS), locations.new_tensor(HALF_EXTENTS_SPREAD)
        location_spread = settings.location_spread + settings.location_share * locations.norm(dim=-1, keepdim=True)
        return _Problem(
            K=targets.K,
            T_cam_ref=targets.T_cam_ref,
            units=torch.as_tensor(directions(targets.supports.shape[-1])).to(targets.K),
            supports=targets.supports + 0.5,  # masks end at pixel centres, objects at most half a pixel beyond
            trusted=targets.trusted,
            visible=_usable(targets, settings),
            clearances=targets.clearances,
            clearance_windows=targets.clearance_windows,
            clearance_weight=settings.clearance_weight,
            noise=(settings.noise + settings.noise_share * size) * _repetition(targets),
            prior_mean=torch.cat([locations, extents.expand_as(locations)], dim=-1),
            prior_spread=torch.cat([location_spread.expand_as(locations), extents_spread.expand_as(locations)], dim=-1),
        )

    def costs(self, state: _State, hulls: Tensor, *, outlier: float) -> Tensor:
        """Robust costs [S, N]: the observations' and the prior's."""
        return self._costs(state, self._observe(state, hulls), outlier=outlier)

    def linearise(self, state: _State, hulls: Tensor, *, outlier: float) -> tuple[Tensor, Tensor, Tensor]:
        """Costs [S, N], gradients [S, N, 7] and Gauss-Newton matrices [S, N, 7, 7]."""
        seen = self._observe(state, hulls)
        index = seen.index[..., None].expand(*seen.index.shape, 3)
        X, Y, Z = seen.points_cam.gather(3, index).unbind(dim=-1)  # [V, S, N, M]
        fx, fy = self.K[:, 0, 0, None, None, None], self.K[:, 1, 1, None, None, None]
        du, dv = seen.pulls[..., 0] * fx / Z, seen.pulls[..., 1] * fy / Z
        by_cam = torch.stack([du, dv, -(du * X + dv * Y) / Z], dim=-1)
        by_location = torch.einsum("vsnmi,vij->vsnmj", by_cam, self.T_cam_ref[:, :3, :3])
        R_ref_obj = rotations_about_y(torch.stack([state.yaws.cos(), state.yaws.sin()], dim=-1))
        unit_points = hulls[None, :, None].expand(len(index), -1, index.shape[2], -1, -1).gather(3, index)
        by_extents = torch.einsum("vsnmi,snij->vsnmj", by_location, R_ref_obj) * unit_points
        turned = seen.turned[None].expand(len(index), *seen.turned.shape).gather(3, index)
        by_yaw = by_location[..., 0] * turned[..., 2] - by_location[..., 2] * turned[..., 0]
        jacobian = torch.cat([by_location, by_extents, by_yaw[..., None]], dim=-1)  # [V, S, N, M, 7]
        weights = seen.counts / (1 + (seen.residuals / outlier).square()).square()
        weighted = jacobian * weights[..., None]
        gradient = torch.einsum("vsnmp,vsnm->snp", weighted, seen.residuals)
        hessian = torch.einsum("vsnmp,vsnmq->snpq", weighted, jacobian)
        gradient[..., :6] += self._prior(state) / self.prior_spread
        hessian += torch.diag_embed(
            torch.nn.functional.pad(self.prior_spread.square().reciprocal(), (0, 1), value=1e-4)
        )
        return self._costs(state, seen, outlier=outlier), gradient, hessian

    def _costs(self, state: _State, seen: "_Observations", *, outlier: float) -> Tensor:
        ratio = (seen.residuals / outlier).square()
        fit = (seen.counts * outlier**2 * ratio / (1 + ratio)).sum(dim=(0, 3))
        return fit + self._prior(state).square().sum(dim=-1)

    def _prior(self, state: _State) -> Tensor:
        return (torch.cat([state.locations, state.half_extents], dim=-1) - self.prior_mean) / self.prior_spread

    def _observe(self, state: _State, hulls: Tensor) -> "_Observations":
        R_ref_obj = rotations_about_y(torch.stack([state.yaws.cos(), state.yaws.sin()], dim=-1))
        turned = (hulls[:, None] * state.half_extents[..., None, :]) @ R_ref_obj.transpose(-1, -2)  # [S, N, P, 3]
        R, t = self.T_cam_ref[:, :3, :3], self.T_cam_ref[:, :3, 3]
        points_cam = torch.einsum("vij,snpj->vsnpi", R, turned + state.locations[..., None, :])
        points_cam = points_cam + t[:, None, None, None]
        points_cam = torch.cat([points_cam[..., :2], points_cam[..., 2:].clamp(min=_MIN_DEPTH)], dim=-1)
        pixels = project_points(points_cam, self.K[:, None, None, None])  # [V, S, N, P, 2]
        noise, visible = self.noise[:, None, :, None], self.visible[:, None, :, None]

        extents, outermost = (pixels @ self.units.T).max(dim=-2)  # [V, S, N, K]
        reach = (extents - self.supports[:, None]) / noise
        # Where the extent is not the object's own, the object reaches at least that far.
        reach_counts = (self.trusted[:, None] | (reach < 0)) & visible
        reach_pulls = (self.units / noise[..., None]).expand(*extents.shape, 2)

        outside, slopes = self._clearance(pixels)  # [V, S, N, P], [V, S, N, P, 2]
        every = torch.arange(pixels.shape[3], device=pixels.device).expand(outside.shape)
        share = self.clearance_weight / noise
        return _Observations(
            residuals=torch.cat([reach, outside * share], dim=-1),
            counts=torch.cat([reach_counts, visible.expand(outside.shape)], dim=-1),
            index=torch.cat([outermost, every], dim=-1),
            pulls=torch.cat([reach_pulls, slopes * share[..., None]], dim=-2),
            points_cam=points_cam,
            turned=turned,
        )

    def _clearance(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Bilinear samples [V, S, N, P] px of the clearances at pixels, and their slopes [V, S, N, P, 2]."""
        V, S, N, P, _ = pixels.shape
        size = self.clearances.shape[-1]
        low, high = self.clearance_windows[..., :2], self.clearance_windows[..., 2:]
        scale = ((size - 1) / (high - low))[:, None, :, None]
        position = (pixels - low[:, None, :, None]) * scale
        within = (position >= 0) & (position <= size - 1)
        position = position.clamp(0, size - 1)
        cell = position.floor().clamp(max=size - 2)
        u, v = (position - cell).unbind(dim=-1)
        first = (cell[..., 1] * size + cell[..., 0]).long().transpose(1, 2).reshape(V, N, S * P)
        maps = self.clearances.flatten(start_dim=2)
        a, b, c, d = (
            maps.gather(2, first + offset).view(V, N, S, P).transpose(1, 2) for offset in (0, 1, size, size + 1)
        )
        distances = torch.lerp(torch.lerp(a, b, u), torch.lerp(c, d, u), v)
        slopes = torch.stack([torch.lerp(b - a, d - c, v), torch.lerp(c - a, d - b, u)], dim=-1)
        return distances, slopes * scale * within


@dataclass(frozen=True)
class _Observations:
    """M comparisons of each hull with each view: its extents in K directions, and the clearance of its P points."""

    residuals: Tensor  # [V, S, N, M] in units of noise
    counts: Tensor  # [V, S, N, M] bool
    index: Tensor  # [V, S, N, M] the hull point that makes each
    pulls: Tensor  # [V, S, N, M, 2] their change with that point's pixel
    points_cam: Tensor  # [V, S, N, P, 3] metres
    turned: Tensor  # [S, N, P, 3] metres, hull points about the centre along the reference frame's axes
