"""Which bodies move, and how.

A body that stands still is held against one that moves (motion.py), both on the road under the camera's way
(ground.py). It moves if that explains its outlines so much better that no error of masks or poses would, and if it
covers some metres. The road and the size of its class say how far away it is: what moves could else be of any size.

Shapes: S starts, N instances, V views, T times, M unknowns of a motion, Q knots, C camera positions.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.labelers.vsrd.bodyfit import BodyFit, best_fit, descended
from vsrd_ray.labelers.vsrd.comparisons import Problem, usable_views
from vsrd_ray.labelers.vsrd.config import MotionSettings, StartSettings
from vsrd_ray.labelers.vsrd.ground import Ground, camera_height
from vsrd_ray.labelers.vsrd.motion import MovingProblem, Timeline
from vsrd_ray.labelers.vsrd.observations import Expectations, Observations

# First places: an edge of a mask is believed to so many px, a height of a class to this share, and where no side of the
# mask is the object's own, the distance to three times itself.
_EDGE_PX, _HEIGHT_SHARE, _NO_SIDE = 1.5, 0.1, 3.0
_NEAREST, _FARTHEST = 1.0, 150.0  # m
_ROUNDS = 10  # of looking up the road's height where its ray meets the road
# The way through first places is smooth to this, m / s^1.5; places that are off it by this many times their noise are
# let go.
_JERK, _OUTLIER, _FITS = 2.0, 3.0, 8
# First curvatures, 1/m, and the speed from which on they can be told, m/s.
_MOST_CURVATURE, _LEAST_SPEED = 0.15, 1.0
# Where it is between views so many seconds apart, in the mean, is not known.
_LONGEST_GAP = 2.5
# How much more a body that goes backwards has to explain.
_BACKWARDS = 6.0
# Where it is at the middle of its time is hardly known beforehand.
_PLACE_SLACK = 3.0
# By how much the edges of masks lie inside is known from the bodies that stand.
_INSET_SLACK = 0.1
# Misfits of bodies on masks that people draw, in the median; where those of at least so many bodies are larger, their
# outlines are rougher, by up to so many times.
_USUAL_MISFIT, _BODIES_TO_TELL, _ROUGHEST = 0.45, 3, 3.0
# Bodies whose feet are this far above or below the road, m, may be nearer or farther and move.
_OFF_THE_ROAD = 0.3


@dataclass(frozen=True)
class Motions:
    """Those of a group's instances that move, and how rough the outlines of all of them are."""

    roughness: float  # how many times as far off its outlines a body is as it would be off those that people draw
    places: Tensor  # [N] int64, in the group
    fit: BodyFit  # [N], as they are at the middle of their time
    timeline: Timeline  # [N]

    def part(self, instances: slice | Tensor) -> "Motions":
        """Some of them."""
        parts = (self.places[instances], self.fit.part(instances), self.timeline.part(instances))
        return Motions(self.roughness, *parts)

    def to(self, device: torch.device | str) -> "Motions":
        """The same on a device."""
        return Motions(self.roughness, self.places.to(device), self.fit.to(device), self.timeline.to(device))

    def misfits(self, standing: BodyFit) -> np.ndarray:
        """Misfits [N] of the bodies of the group, of those that move as they do."""
        return standing.misfits.index_copy(0, self.places, self.fit.misfits).cpu().numpy()

    def at(self, row: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centres [T, 3] metres, headings [T] radians and velocities [T, 3] m/s of one of them at times [T] s."""
        one = self.part(slice(row, row + 1))
        seconds = torch.as_tensor(times).to(one.timeline.middles)[None]
        course = one.timeline.course(one.fit.yaws[None], one.fit.motion[None], seconds)
        centers, yaws = one.fit.locations + course.shifts[0, 0], one.fit.yaws + course.turns[0, 0]
        arrays = [values.double().cpu().numpy() for values in (centers, yaws, course.velocities[0, 0])]
        return arrays[0], arrays[1], arrays[2]


def find_road(standing: BodyFit, *, trusted: Tensor, way: Tensor) -> Ground:
    """The road under the camera's way [C, 3] metres, by the feet of bodies [N] that are trusted [N] bool."""
    feet = standing.locations[trusted].clone()
    feet[:, 1] += standing.half_extents[trusted, 1]
    height, spread = camera_height(way, feet)
    return Ground.under(way, height=height, spread=spread)


def common_inset(standing: BodyFit, *, trusted: Tensor) -> float:
    """Px by which the edges of a group's masks lie inside their objects, by bodies [N] that are trusted [N] bool."""
    told = standing.insets[trusted]
    return float(told.median()) if len(told) else 0.0


def fit_motions(
    observations: Observations,
    expectations: Expectations,
    standing: BodyFit,
    *,
    ground: Ground,
    inset: float,
    start: StartSettings,
    settings: MotionSettings,
    softness: float,
) -> Motions:
    """Those of N instances that move.

    Args:
        observations: of the instances.
        expectations: of the same.
        standing: their bodies as if none moved.
        ground: the road.
        inset: px by which the edges of masks lie inside their objects.
        start: of fits of bodies.
        settings: which are tried and believed.
        softness: px, of the soft silhouettes that losses are of.
    """
    places, misfits = _suspects(observations, standing, ground, start, settings), standing.misfits
    observations, expectations, standing = (observations.part(places), expectations.part(places), standing.part(places))
    timeline = _timeline(observations, settings)
    if not len(places):
        return Motions(_roughness(misfits), places, standing, timeline)
    x = _starts(observations, expectations, ground, timeline, start)
    x[..., 6 + expectations.shapes.shape[1]] = inset
    problem = _problem(observations, expectations, x, timeline, ground=ground, start=start)
    x = descended(problem, x, start)
    mean_speeds = (timeline.hats.mean(dim=1) * _speeds(problem, x)).sum(dim=-1)
    fit = best_fit(problem, x, softness=softness, handicaps=_BACKWARDS * (mean_speeds < 0))
    roughness = _roughness(misfits.index_copy(0, places, torch.minimum(standing.misfits, fit.misfits)))
    still = Problem.of(observations, expectations, standing.locations, start, ground=ground)
    costs = still.cost(_unknowns(standing), still.contours(_unknowns(standing)), outlier=still.outlier)[0]
    course = timeline.course(fit.yaws[None], fit.motion[None], observations.times)
    ways = _diagonals(course.shifts[0], observations.seen)
    is_cheaper = (costs - fit.costs > settings.min_gain) & (costs > settings.min_ratio * fit.costs)
    seconds = timeline.steps * (timeline.hats.shape[1] - 1)
    goes = (ways > settings.min_way) & (ways > settings.min_speed * seconds)
    is_known = seconds <= _LONGEST_GAP * (fit.num_views - 1)
    moves = is_cheaper & (fit.misfits < settings.max_misfit) & goes & is_known
    return Motions(roughness, places, fit, timeline).part(moves.nonzero()[:, 0])


def _roughness(misfits: Tensor) -> float:
    """How rough outlines are, by the misfits [N] of bodies, whether they stand or move; 1 where they are as usual.

    Masks of detectors are off everywhere, and what does not fit for a reason of its own is off alone.
    """
    told = misfits[misfits > 0]  # others have too few points of their own
    if len(told) < _BODIES_TO_TELL:
        return 1.0
    return min(max(float(told.median()) / _USUAL_MISFIT, 1.0), _ROUGHEST)


def _suspects(
    observations: Observations, standing: BodyFit, ground: Ground, start: StartSettings, settings: MotionSettings
) -> Tensor:
    """Places [K] of instances that may move: whose standing bodies fit badly, or are not on the road."""
    feet = standing.locations[:, 1] + standing.half_extents[:, 1]
    heights, _, _ = ground.at(standing.locations[:, [0, 2]])
    is_odd = (standing.misfits > settings.min_misfit) | ((feet - heights).abs() > _OFF_THE_ROAD)
    has_views = usable_views(observations, start).sum(dim=1) > 1
    return (is_odd & has_views).nonzero()[:, 0]


def _timeline(observations: Observations, settings: MotionSettings) -> Timeline:
    times, seen = observations.times, observations.seen
    first = torch.where(seen, times, torch.inf).amin(dim=1)
    last = torch.where(seen, times, -torch.inf).amax(dim=1)
    return Timeline.over(first, last, knot_seconds=settings.knot_seconds)


def _problem(
    observations: Observations,
    expectations: Expectations,
    x: Tensor,
    timeline: Timeline,
    *,
    ground: Ground,
    start: StartSettings,
) -> MovingProblem:
    still = Problem.of(observations, expectations, x[0, :, :3], start, ground=ground)
    known: dict[str, Any] = {field.name: getattr(still, field.name) for field in fields(still)}
    slack = torch.ones_like(still.spread)
    slack[:, :3], slack[:, -1] = _PLACE_SLACK, _INSET_SLACK
    known["mean"] = torch.cat([still.mean[:, :-1], x[0, :, still.num_body - 2, None]], dim=-1)
    known["spread"] = still.spread * slack
    return MovingProblem(**known, timeline=timeline)


def _unknowns(standing: BodyFit) -> Tensor:
    """Unknowns [1, N, D] of bodies."""
    parts = (
        *(standing.locations, standing.half_extents, standing.latents),
        *(standing.insets[:, None], standing.yaws[:, None]),
    )
    return torch.cat(parts, dim=-1)[None]


def _speeds(problem: MovingProblem, x: Tensor) -> Tensor:
    """Speeds [S, N, Q] m/s at the knots."""
    return x[..., problem.num_body :].chunk(3, dim=-1)[0]


def _diagonals(shifts: Tensor, seen: Tensor) -> Tensor:
    """How large the ground [N] m is that a way [N, V, 3] covers in the views that show it [N, V]."""
    flat = shifts[..., [0, 2]]
    low = torch.where(seen[..., None], flat, torch.inf).amin(dim=1)
    high = torch.where(seen[..., None], flat, -torch.inf).amax(dim=1)
    return (high - low).norm(dim=-1)


def _starts(
    observations: Observations, expectations: Expectations, ground: Ground, timeline: Timeline, start: StartSettings
) -> Tensor:
    """Unknowns [2, N, D]: mean bodies on a smooth way through their first places, once forwards and once backwards."""
    places, spreads = _first_places(observations, expectations, ground)
    usable = usable_views(observations, start)
    count, latents = len(places), expectations.shapes.shape[1]
    knots = timeline.hats.shape[-1]
    x = places.new_zeros(2, count, 8 + latents + 3 * knots)
    for n in range(count):
        used = int((timeline.hats[n].sum(dim=0) > 0).sum())
        spread = torch.where(usable[n], spreads[n], torch.inf)
        center, velocities = _smooth_way(places[n], spread, timeline, observations.times, row=n, used=used)
        speeds, yaw, curvatures = _driven(velocities, float(timeline.steps[n]) * (timeline.hats.shape[1] - 1))
        for s, sign in enumerate((1.0, -1.0)):
            x[s, n, :3], x[s, n, 3:6] = center, expectations.half_extents_mean[n]
            x[s, n, 7 + latents] = yaw + torch.pi * s
            x[s, n, 8 + latents : 8 + latents + used] = sign * speeds
            x[s, n, 8 + latents + knots : 8 + latents + knots + used] = sign * curvatures
    return x


def _first_places(observations: Observations, expectations: Expectations, ground: Ground) -> tuple[Tensor, Tensor]:
    """Where views put instances, each by itself: centres [N, V, 3] metres, and how far [N, V] they may be off.

    By the height that their class has, and by where the lowest pixel's ray meets the road.
    """
    boxes, own = observations.mask_boxes, observations.trusted_sides
    heights = (boxes[..., 3] - boxes[..., 1] + 1).clamp(min=1)
    focal = observations.K[..., 1, 1]
    u = (boxes[..., 0] + boxes[..., 2]) / 2
    R_ref_cam = observations.T_cam_ref[..., :3, :3].transpose(-1, -2)
    cameras = -(R_ref_cam @ observations.T_cam_ref[..., :3, 3:])[..., 0]

    def rays(v: Tensor) -> Tensor:
        pixels = torch.stack([u, v, torch.ones_like(u)], dim=-1)
        return (R_ref_cam @ torch.linalg.solve(observations.K, pixels[..., None]))[..., 0]

    by_height = focal * 2 * expectations.half_extents_mean[:, 1, None] / heights
    down = rays(boxes[..., 3] + 0.5)
    by_road, spread = by_height, torch.ones_like(by_height)
    for _ in range(_ROUNDS):
        road, _, spread = ground.at((cameras + down * by_road[..., None])[..., [0, 2]])
        meets = (road - cameras[..., 1]) / down[..., 1].clamp(min=1e-3)
        by_road = (by_road + meets.clamp(_NEAREST, _FARTHEST)) / 2
    height_share = torch.where(own[..., 1] & own[..., 3], _HEIGHT_SHARE + _EDGE_PX / heights, 1.0)
    above = (cameras[..., 1] - ground.at(cameras[..., [0, 2]])[0]).abs().clamp(min=0.5)
    road_share = torch.where(own[..., 3], spread / above + _EDGE_PX * by_road / (focal * above), _NO_SIDE)
    weights = torch.stack([height_share, road_share]).square().reciprocal()
    logs = (weights * torch.stack([by_height, by_road]).clamp(_NEAREST, _FARTHEST).log()).sum(dim=0)
    to_center = 2 * expectations.half_extents_mean[:, 0, None]  # from the near side
    depths = (logs / weights.sum(dim=0)).exp() + to_center
    centers = cameras + rays((boxes[..., 1] + boxes[..., 3]) / 2) * depths[..., None]
    return centers, depths * weights.sum(dim=0).rsqrt()


def _smooth_way(
    places: Tensor,  # [V, 3] metres
    spreads: Tensor,  # [V] metres; infinite where there is no place
    timeline: Timeline,
    times: Tensor,  # [N, V] s
    *,
    row: int,
    used: int,
) -> tuple[Tensor, Tensor]:
    """Place [3] at the middle time, and velocities [used, 3] m/s at the knots of one instance."""
    weights = timeline.weights(times)[row]  # [V, G]
    span = float(timeline.steps[row]) * (weights.shape[1] - 1)
    gap = span / max(used - 1, 1)
    if used == 1:  # a straight way at one speed
        columns = torch.stack([torch.ones_like(spreads), times[row] - timeline.middles[row]], dim=-1)
    else:
        columns = weights @ timeline.hats[row][:, :used]
    bends = torch.diff(torch.eye(used), n=2, dim=0).to(places) / (_JERK * gap**1.5) if used > 2 else places[:0, :0]
    trust, solution = spreads.reciprocal(), places.new_zeros(columns.shape[1], 3)
    share = torch.ones_like(trust)
    for _ in range(_FITS):
        rows = [columns * (trust * share)[:, None]] + ([bends] if used > 2 else [])
        sides = [places * (trust * share)[:, None]] + ([places.new_zeros(len(bends), 3)] if used > 2 else [])
        matrix, side = torch.cat(rows), torch.cat(sides)
        normal = matrix.T @ matrix + 1e-6 * torch.eye(matrix.shape[1]).to(matrix)
        solution = torch.linalg.solve(normal, matrix.T @ side)
        off = (places - columns @ solution).norm(dim=-1) * trust
        share = 1 / (1 + (off / _OUTLIER).square())
    if used == 1:
        return solution[0], solution[1:]
    slopes = torch.diff(solution, dim=0) / gap
    velocities = torch.cat([slopes[:1], (slopes[1:] + slopes[:-1]) / 2, slopes[-1:]])
    middle = timeline.hats[row][weights.shape[1] // 2, :used]
    return middle @ solution, velocities


def _driven(velocities: Tensor, span: float) -> tuple[Tensor, Tensor, Tensor]:
    """Speeds [Q] m/s, the heading at the middle and curvatures [Q] 1/m of a way with velocities [Q, 3] at its knots."""
    flat = velocities[:, [0, 2]]
    speeds, headings = flat.norm(dim=-1), torch.atan2(flat[:, 0], flat[:, 1])
    count = len(speeds)
    middle = flat[[(count - 1) // 2, count // 2]].mean(dim=0)
    if count == 1:
        return speeds, torch.atan2(*middle), torch.zeros_like(speeds)
    turns = torch.diff(headings)
    turns = torch.atan2(turns.sin(), turns.cos())
    means = ((speeds[1:] + speeds[:-1]) / 2).clamp(min=_LEAST_SPEED)
    bends = (turns / (span / (count - 1) * means)).clamp(-_MOST_CURVATURE, _MOST_CURVATURE)
    curvatures = torch.cat([bends[:1], (bends[1:] + bends[:-1]) / 2, bends[-1:]])
    return speeds, torch.atan2(*middle), curvatures
