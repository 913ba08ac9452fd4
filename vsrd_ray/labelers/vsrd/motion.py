"""Bodies that move: a place at one time, and speed, curvature and slope at knots along the way, by least squares.

A car goes where it heads: its way is the integral of its speed along its heading, which turns by speed times curvature.
Between knots, both change linearly. Everything is integrated on a fine grid of times by the trapezoidal rule, so that
derivatives are sums too.

Shapes: S starts, N instances, V views, T times, G grid times, Q knots, M unknowns of the motion (3 Q: speeds,
curvatures, slopes), D unknowns of the body and its motion. Frame `ref` (x right, y down, z forward).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from vsrd_ray.labelers.vsrd.comparisons import Problem, Terms
from vsrd_ray.labelers.vsrd.observations import Rows

GRID = 65  # odd, so that one of them is the middle
# Standard deviations: of speed, m/s; of curvature, 1/m; of slope; and of their changes over a second.
_SPREADS, _CHANGES = (15.0, 0.05, 0.05), (3.0, 0.06, 0.02)
# Largest changes in one step, and largest values.
_STEPS, _LIMITS = (5.0, 0.05, 0.05), (60.0, 0.25, 0.2)


class Course(NamedTuple):
    """Displacements since the middle time, and their derivatives."""

    shifts: Tensor  # [S, N, T, 3] metres
    turns: Tensor  # [S, N, T] radians
    shifts_by_yaw: Tensor  # [S, N, T, 3]
    shifts_by_motion: Tensor  # [S, N, T, 3, M]
    turns_by_motion: Tensor  # [S, N, T, M]
    velocities: Tensor  # [S, N, T, 3] m/s


@dataclass(frozen=True)
class Timeline(Rows):
    """Grids of times and knots that cover the views of instances."""

    middles: Tensor  # [N] s
    steps: Tensor  # [N] s between grid times
    hats: Tensor  # [N, G, Q] shares of the knots; none of those that a short way has no use for
    precision: Tensor  # [N, M, M] of the motion, of which little is expected

    @staticmethod
    def over(first: Tensor, last: Tensor, *, knot_seconds: float) -> "Timeline":
        """From first to last times [N] s; knots of long ways are farther apart, so that the grid holds them."""
        span = (last - first).clamp(min=0.1)
        counts = (1 + (span / knot_seconds).round().long()).clamp(max=GRID // 2)
        most = max(counts.tolist(), default=1)
        places = torch.linspace(0, 1, GRID).to(first)[:, None] * (counts - 1).clamp(min=0)  # [G, N] in knots
        knots = torch.arange(most).to(first)
        hats = (1 - (places.T[..., None] - knots).abs()).clamp(min=0)  # [N, G, Q]
        precision = first.new_zeros(len(first), 3 * most, 3 * most)
        for n, count in enumerate(counts.tolist()):
            gap = float(span[n]) / max(count - 1, 1)
            for which, (spread, change) in enumerate(zip(_SPREADS, _CHANGES, strict=True)):
                block = torch.eye(most).to(first) / spread**2
                differences = torch.diff(torch.eye(count).to(first), dim=0) / (change * gap**0.5)
                block[:count, :count] += differences.T @ differences
                part = slice(which * most, (which + 1) * most)
                precision[n, part, part] = block
        return Timeline((first + last) / 2, span / (GRID - 1), hats, precision)

    @property
    def num_motion(self) -> int:
        """Unknowns of the motion."""
        return self.precision.shape[-1]

    def weights(self, times: Tensor, *, goes_on: bool = False) -> Tensor:
        """Linear interpolation [N, T, G] from the grid to times [N, T] s; beyond its ends as at them, or going on."""
        places = (times - self.middles[:, None]) / self.steps[:, None] + GRID // 2
        grid = torch.arange(GRID).to(times)
        inside = places.clamp(0, GRID - 1)
        weights = (1 - (inside[..., None] - grid).abs()).clamp(min=0)
        if goes_on:
            before, after = (places - inside).clamp(max=0)[..., None], (places - inside).clamp(min=0)[..., None]
            weights[..., :2] += torch.cat([-before, before], dim=-1)
            weights[..., -2:] += torch.cat([-after, after], dim=-1)
        return weights

    @cached_property
    def integrals(self) -> Tensor:
        """Integrals [N, G, G] from the middle to each grid time."""
        sums = torch.ones(GRID, GRID).to(self.steps).tril()
        sums = sums - 0.5 * torch.eye(GRID).to(sums)
        return (sums - sums[GRID // 2]) * self.steps[:, None, None]

    def course(self, yaws: Tensor, motion: Tensor, times: Tensor) -> Course:
        """Where bodies with headings [S, N] at the middle and motions [S, N, M] are at times [N, T]."""
        speeds, curvatures, slopes = (
            torch.einsum("ngq,snq->sng", self.hats, values) for values in motion.chunk(3, dim=-1)
        )
        integrals, weights = self.integrals, self.weights(times)
        to_times = self.weights(times, goes_on=True) @ integrals  # [N, T, G]

        def integrated(values: Tensor) -> Tensor:  # [S, N, G, ...] -> [S, N, G, ...]
            return torch.einsum("ngh,snh...->sng...", integrals, values)

        def at_times(values: Tensor) -> Tensor:  # [S, N, G, ...] -> [S, N, T, ...], integrated
            return torch.einsum("ntg,sng...->snt...", to_times, values)

        hats = self.hats.expand(len(motion), -1, -1, -1)
        nothing = torch.zeros_like(hats)
        turn_rates_by = torch.cat([curvatures[..., None] * hats, speeds[..., None] * hats, nothing], dim=-1)
        turns, turns_by = integrated(speeds * curvatures), integrated(turn_rates_by)
        headings = yaws[..., None] + turns
        ahead = torch.stack([headings.sin(), -slopes, headings.cos()], dim=-1)  # [S, N, G, 3]
        sideways = torch.stack([headings.cos(), torch.zeros_like(headings), -headings.sin()], dim=-1)
        velocities = speeds[..., None] * ahead
        by_heading = speeds[..., None] * sideways
        velocities_by = ahead[..., None] * torch.cat([hats, nothing, nothing], dim=-1)[..., None, :]
        velocities_by = velocities_by + by_heading[..., None] * turns_by[..., None, :]
        velocities_by[..., 1, -hats.shape[-1] :] -= speeds[..., None] * hats
        return Course(
            shifts=at_times(velocities),
            turns=at_times(speeds * curvatures),
            shifts_by_yaw=at_times(by_heading),
            shifts_by_motion=at_times(velocities_by),
            turns_by_motion=at_times(turn_rates_by),
            velocities=torch.einsum("ntg,sngi->snti", weights, velocities),
        )


@dataclass(frozen=True)
class MovingProblem(Problem):
    """The problem of bodies that move; their places are those at the middle of their time."""

    timeline: Timeline

    def _course(self, x: Tensor) -> Course:
        return self.timeline.course(x[..., self.num_body - 1], x[..., self.num_body :], self.observations.times)

    def _placed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        course = self._course(x)
        return x[..., None, :3] + course.shifts, x[..., self.num_body - 1 : self.num_body] + course.turns

    def cost(self, x: Tensor, terms: Terms, *, outlier: float) -> Tensor:
        """Robust costs [S, N], those of the motion among them."""
        motion = x[..., self.num_body :]
        expected = torch.einsum("snm,nmk,snk->sn", motion, self.timeline.precision, motion)
        return super().cost(x, terms, outlier=outlier) + expected

    def linearise(self, x: Tensor, terms: Terms, *, outlier: float) -> tuple[Tensor, Tensor]:
        """Gradients [S, N, D] and Gauss-Newton matrices [S, N, D, D] of half the cost."""
        gradient, hessian = super().linearise(x, terms, outlier=outlier)
        part = slice(self.num_body, None)
        gradient[..., part] += torch.einsum("nmk,snk->snm", self.timeline.precision, x[..., part])
        hessian[..., part, part] += self.timeline.precision
        return gradient, hessian

    def moved(self, x: Tensor, step: Tensor) -> Tensor:
        """Unknowns after a step, both [S, N, D], neither too far nor out of their ranges."""
        body = super().moved(x[..., : self.num_body], step[..., : self.num_body])
        motion = [
            (values + change.clamp(-most, most)).clamp(-limit, limit)
            for values, change, most, limit in zip(
                x[..., self.num_body :].chunk(3, dim=-1),
                step[..., self.num_body :].chunk(3, dim=-1),
                _STEPS,
                _LIMITS,
                strict=True,
            )
        ]
        return torch.cat([body, *motion], dim=-1)

    def _jacobian(self, x: Tensor, terms: Terms) -> Tensor:
        jacobian = super()._jacobian(x, terms)  # [S, N, V, M, D of the body]
        course = self._course(x)
        by_location, by_yaw = jacobian[..., :3], jacobian[..., -1:]
        yaw = by_yaw + by_location @ course.shifts_by_yaw[..., None]
        motion = by_location @ course.shifts_by_motion + by_yaw * course.turns_by_motion[..., None, :]
        return torch.cat([jacobian[..., :-1], yaw, motion], dim=-1)

    def _of_places(self, x: Tensor, by_location: Tensor) -> Tensor:
        course = self._course(x)
        jacobian = torch.nn.functional.pad(by_location, (0, x.shape[-1] - 3))
        jacobian[..., self.num_body - 1] = (by_location * course.shifts_by_yaw).sum(dim=-1)
        jacobian[..., self.num_body :] = (by_location[..., None, :] @ course.shifts_by_motion)[..., 0, :]
        return jacobian

    def _feet(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        residuals, _, down = super()._feet(x)
        weights = self.usable / self.usable.sum(dim=1, keepdim=True).clamp(min=1)
        return residuals, weights.expand_as(residuals).to(residuals), down
