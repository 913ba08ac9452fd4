"""Motions against a slow twin, their derivatives against automatic ones."""

from dataclasses import fields, replace

import numpy as np
import pytest
import slow_motion
import torch
from hand_made_bodies import assert_gradient, problem_off_its_optimum

from vsrd_ray.labelers.vsrd import ground as ground_module
from vsrd_ray.labelers.vsrd import motion as motion_module
from vsrd_ray.labelers.vsrd.comparisons import Problem
from vsrd_ray.labelers.vsrd.ground import Ground
from vsrd_ray.labelers.vsrd.motion import GRID, MovingProblem, Timeline
from vsrd_ray.labelers.vsrd.observations import stacked

# Ways of 7, 3 and half a second, with 6, 3 and 1 knots.
FIRST, LAST = torch.tensor([2.0, 0.0, 5.0]).double(), torch.tensor([9.0, 3.0, 5.5]).double()
KNOT_SECONDS, COUNTS = 1.4, (6, 3, 1)
BOTH_STAGES = pytest.mark.parametrize("stage", ["extents", "contours"])


@pytest.fixture(scope="module")
def timeline():
    return Timeline.over(FIRST, LAST, knot_seconds=KNOT_SECONDS)


@pytest.fixture(scope="module")
def motion():
    """Motions [2, 3, M] by chance, those of knots without use among them."""
    rng = np.random.default_rng(0)
    parts = [rng.uniform(2, 15, (2, 3, 6)), rng.uniform(-0.06, 0.06, (2, 3, 6)), rng.uniform(-0.1, 0.1, (2, 3, 6))]
    return torch.as_tensor(np.concatenate(parts, axis=-1))


YAWS = torch.tensor([[0.3, -2.0, 1.0], [3.0, 0.0, -0.7]]).double()


def times_within(count):
    """Times [3, T] of each way, its ends and its middle among them."""
    return FIRST[:, None] + (LAST - FIRST)[:, None] * torch.linspace(0, 1, count).double()


def knots_of(motion, s, n):
    return motion[s, n].reshape(3, -1)[:, : COUNTS[n]].numpy()


def test_ways_are_those_of_many_small_steps(timeline, motion):
    times = times_within(7)
    course = timeline.course(YAWS, motion, times)
    for s, n, t in np.ndindex(2, 3, 7):
        shift, turn, velocity = slow_motion.drive(
            YAWS[s, n].item(),
            knots_of(motion, s, n),
            first=FIRST[n].item(),
            last=LAST[n].item(),
            time=times[n, t].item(),
        )
        np.testing.assert_allclose(course.shifts[s, n, t], shift, rtol=0, atol=0.05)
        assert course.turns[s, n, t].item() == pytest.approx(turn, abs=0.003)
        np.testing.assert_allclose(course.velocities[s, n, t], velocity, rtol=0, atol=0.05)
    assert course.turns.abs().max() > 0.7 and course.shifts.norm(dim=-1).max() > 20


def test_a_straight_way_at_one_speed_is_exact(timeline):
    motion = torch.zeros(1, 3, 18).double()
    motion[..., :6], motion[..., 12:] = 10.0, 0.1
    times = times_within(5)
    course = timeline.course(torch.full((1, 3), 0.5).double(), motion, times)
    since = times - (FIRST + LAST)[:, None] / 2
    ahead = torch.tensor([np.sin(0.5), -0.1, np.cos(0.5)])
    torch.testing.assert_close(course.shifts[0], 10 * since[..., None] * ahead)
    torch.testing.assert_close(course.velocities[0], (10 * ahead).expand(3, 5, 3))
    assert (course.turns == 0).all()


def test_what_brakes_linearly_covers_half_the_way():
    """From 8 m/s to a stop in 4 s: 4 m in the second half, 12 m in the first."""
    timeline = Timeline.over(torch.zeros(1).double(), torch.full((1,), 4.0).double(), knot_seconds=4.0)
    motion = torch.tensor([8.0, 0, 0, 0, 0, 0]).double().expand(1, 1, 6)
    course = timeline.course(torch.zeros(1, 1).double(), motion, torch.tensor([[0.0, 2.0, 4.0]]).double())
    np.testing.assert_allclose(course.shifts[0, 0, :, 2], [-12, 0, 4], atol=0.01)
    np.testing.assert_allclose(course.velocities[0, 0, :, 2], [8, 4, 0], atol=1e-9)


def test_a_circle_is_closed():
    timeline = Timeline.over(torch.zeros(1).double(), torch.full((1,), 2 * np.pi).double(), knot_seconds=2 * np.pi)
    motion = torch.tensor([4.0, 4.0, 0.25, 0.25, 0, 0]).double().expand(1, 1, 6)  # 4 m/s around 4 m: a turn a second
    times = torch.tensor([[0.0, np.pi / 2, np.pi, 2 * np.pi]]).double()
    course = timeline.course(torch.zeros(1, 1).double(), motion, times)
    np.testing.assert_allclose(course.turns[0, 0], [-np.pi, -np.pi / 2, 0, np.pi], atol=1e-9)
    # half around, it faced the other way on the other side: 8 m to the right of where it is in the middle
    np.testing.assert_allclose(course.shifts[0, 0], [[8, 0, 0], [4, 0, -4], [0, 0, 0], [8, 0, 0]], atol=0.01)


def test_beyond_their_time_bodies_go_on_as_at_its_ends(timeline, motion):
    ends = torch.stack([FIRST, LAST], dim=-1)
    within, near, far = (
        timeline.course(YAWS, motion, ends + share * torch.tensor([-0.25, 0.5])) for share in (0.0, 1.0, 2.0)
    )
    torch.testing.assert_close(far.shifts - near.shifts, near.shifts - within.shifts)
    torch.testing.assert_close(far.velocities, within.velocities)
    gone = (near.shifts - within.shifts) / torch.tensor([-0.25, 0.5])[:, None]
    torch.testing.assert_close(gone, within.velocities, rtol=0.05, atol=0.1)


def test_in_the_middle_nothing_has_moved(timeline, motion):
    course = timeline.course(YAWS, motion, ((FIRST + LAST) / 2)[:, None])
    for values in (course.shifts, course.turns, course.shifts_by_yaw, course.shifts_by_motion, course.turns_by_motion):
        assert values.abs().max() < 1e-9
    assert course.velocities.norm(dim=-1).min() > 1


def test_derivatives_are_those_of_small_differences(timeline, motion):
    times = times_within(4)
    course, step = timeline.course(YAWS, motion, times), 1e-5

    def slope(yaw_step, motion_step):
        ends = [timeline.course(YAWS + sign * yaw_step, motion + sign * motion_step, times) for sign in (1, -1)]
        return (ends[0].shifts - ends[1].shifts) / (2 * step), (ends[0].turns - ends[1].turns) / (2 * step)

    by_yaw, turns_by_yaw = slope(step, 0.0)
    torch.testing.assert_close(course.shifts_by_yaw, by_yaw, rtol=1e-6, atol=1e-6)
    assert (turns_by_yaw == 0).all()
    for unknown in range(18):
        along = torch.zeros(18).double()
        along[unknown] = step
        shifts, turns = slope(0.0, along)
        torch.testing.assert_close(course.shifts_by_motion[..., unknown], shifts, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(course.turns_by_motion[..., unknown], turns, rtol=1e-6, atol=1e-6)
    assert (course.shifts_by_motion[:, 0].abs().amax(dim=(0, 1, 2)) > 1e-3).all()


def test_each_time_has_its_own_knots(timeline, motion):
    """Several ways at once are each what they are alone, and knots that a short way has no use for do nothing."""
    times = times_within(5)
    course = timeline.course(YAWS, motion, times)
    assert timeline.num_motion == 18
    for n, count in enumerate(COUNTS):
        alone = Timeline.over(FIRST[n : n + 1], LAST[n : n + 1], knot_seconds=KNOT_SECONDS)
        assert alone.num_motion == 3 * count
        used = [part * 6 + knot for part in range(3) for knot in range(count)]
        own = alone.course(YAWS[:, n : n + 1], motion[:, n : n + 1, used], times[n : n + 1])
        for name in ("shifts", "turns", "velocities", "shifts_by_yaw"):
            torch.testing.assert_close(getattr(course, name)[:, n], getattr(own, name)[:, 0])
        torch.testing.assert_close(course.shifts_by_motion[:, n][..., used], own.shifts_by_motion[:, 0])
        unused = sorted({*range(18)} - {*used})
        assert (course.shifts_by_motion[:, n][..., unused] == 0).all()
        assert (course.turns_by_motion[:, n][..., unused] == 0).all()
        torch.testing.assert_close(timeline.precision[n][used][:, used], alone.precision[0])
        assert (timeline.precision[n][used][:, unused] == 0).all()


def test_ways_can_be_parted_and_stacked(timeline, motion):
    parted = stacked([timeline.part(slice(1)), timeline.part(torch.tensor([1, 2]))])
    ours, theirs = (one.course(YAWS, motion, times_within(3)) for one in (parted, timeline))
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_no_ways_are_none():
    none = Timeline.over(torch.zeros(0), torch.zeros(0), knot_seconds=1.0)
    assert (none.hats.shape, none.precision.shape) == ((0, GRID, 1), (0, 3, 3))


def test_a_way_of_no_time_is_one_of_a_moment():
    moment = Timeline.over(torch.tensor([2.0]), torch.tensor([2.0]), knot_seconds=1.0)
    course = moment.course(torch.zeros(1, 1), torch.tensor([[[10.0, 0.1, 0.0]]]), torch.tensor([[2.0, 2.05]]))
    torch.testing.assert_close(course.shifts[0, 0, :, 2], torch.tensor([0.0, 0.5]), rtol=0, atol=1e-3)
    assert all(torch.isfinite(values).all() for values in course)


def test_little_is_expected_of_motions_but_that_they_are_smooth(timeline, motion):
    spreads, changes = motion_module._SPREADS, motion_module._CHANGES
    for n, count in enumerate(COUNTS):
        own = motion[0, n].reshape(3, 6).clone()
        own[:, count:] = 0
        flat = own.flatten()
        expected = slow_motion.departure(
            own[:, :count].numpy(), span=(LAST - FIRST)[n].item(), spreads=spreads, changes=changes
        )
        assert (flat @ timeline.precision[n] @ flat).item() == pytest.approx(expected)
    assert (torch.linalg.eigvalsh(timeline.precision) > 0).all()


def test_single_precision_is_enough(motion):
    single, double = (
        Timeline.over(FIRST.to(dtype), LAST.to(dtype), knot_seconds=KNOT_SECONDS).course(
            YAWS.to(dtype), motion.to(dtype), times_within(5).to(dtype)
        )
        for dtype in (torch.float32, torch.float64)
    )
    for ours, theirs in zip(single, double, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=2e-3)


# ---- the problem ----


def moving_problem(*, on_the_road):
    """Two cars off their optimum (hand_made_bodies.py), for 4 and 3 s, with motions by chance; in double precision."""
    still, x = problem_off_its_optimum()
    times = torch.tensor([[0.0, 1.5, 4.0], [1.0, 2.0, 4.0]]).double()
    way = torch.tensor([[0.2 * np.sin(z / 5), -0.03 * z, z] for z in range(-10, 30)]).double()
    known = {field.name: getattr(still, field.name) for field in fields(still)}
    known["observations"] = replace(still.observations, times=times)
    known["ground"] = Ground.under(way, height=1.4, spread=0.1) if on_the_road else None
    timeline = Timeline.over(times[:, 0], times[:, -1], knot_seconds=2.0)
    rng = np.random.default_rng(1)
    motion = np.concatenate([rng.uniform(*ends, (2, 2, 3)) for ends in ((-1, 1), (-0.1, 0.1), (-0.05, 0.05))], axis=-1)
    return MovingProblem(**known, timeline=timeline), torch.cat([x, torch.as_tensor(motion)], dim=-1)


on_and_off_the_road = pytest.mark.parametrize("on_the_road", [True, False], ids=["road", "no road"])


@BOTH_STAGES
@on_and_off_the_road
@pytest.mark.parametrize("outlier", [3.0, 30.0])
def test_gradient_is_half_the_derivative_of_the_cost(stage, on_the_road, outlier, monkeypatch):
    # how sure the road is changes from place to place; that no body is drawn to where it is less sure is meant
    monkeypatch.setattr(ground_module, "_CROSSFALL", 0.0)
    monkeypatch.setattr(ground_module, "_END_SLOPE", 0.0)
    problem, x = moving_problem(on_the_road=on_the_road)
    assert_gradient(problem, x, stage, outlier=outlier)


@BOTH_STAGES
@on_and_off_the_road
def test_matrix_is_that_of_gauss_and_newton(stage, on_the_road, monkeypatch):
    monkeypatch.setattr(ground_module, "_CROSSFALL", 0.0)
    monkeypatch.setattr(ground_module, "_END_SLOPE", 0.0)
    problem, x = moving_problem(on_the_road=on_the_road)
    terms_of, outlier = getattr(problem, stage), 5.0

    def residuals_of(x):  # of the comparisons and, after them, of the feet
        compared = terms_of(x).comparisons.residuals.flatten(2)
        return torch.cat([compared, problem._feet(x)[0]], dim=-1) if on_the_road else compared

    columns = []
    for unknown in range(x.shape[-1]):
        along = torch.zeros_like(x)
        along[..., unknown] = 1
        columns.append(torch.autograd.functional.jvp(residuals_of, x, along)[1])
    jacobian = torch.stack(columns, dim=-1)
    residuals, weights = terms_of(x).comparisons[:2]
    weights = (weights / (1 + (residuals / outlier) ** 2) ** 2).flatten(2)
    if on_the_road:
        usable = problem.usable.double()
        weights = torch.cat([weights, (usable / usable.sum(dim=1, keepdim=True)).expand(2, -1, -1)], dim=-1)
    expected = torch.einsum("snm,snmp,snmq->snpq", weights, jacobian, jacobian)
    known = problem.num_body - 1
    expected[..., :known, :known] += torch.diag_embed(problem.spread**-2)
    expected[..., known, known] += 1e-4
    expected[..., known + 1 :, known + 1 :] += problem.timeline.precision
    _, hessian = problem.linearise(x, terms_of(x), outlier=outlier)
    torch.testing.assert_close(hessian, expected, rtol=1e-6, atol=1e-6)
    assert (torch.linalg.eigvalsh(hessian) > 0).all()


@BOTH_STAGES
@on_and_off_the_road
def test_what_moves_nowhere_costs_what_stands(stage, on_the_road):
    problem, x = moving_problem(on_the_road=on_the_road)
    known = {field.name: getattr(problem, field.name) for field in fields(problem) if field.name != "timeline"}
    still = Problem(**known)
    x[..., problem.num_body :] = 0
    standing = x[..., : problem.num_body]
    costs = problem.cost(x, getattr(problem, stage)(x), outlier=3.0)
    torch.testing.assert_close(costs, still.cost(standing, getattr(still, stage)(standing), outlier=3.0))


def test_bodies_are_compared_where_they_are_in_each_view():
    problem, x = moving_problem(on_the_road=False)
    posed = problem.contours(x).posed
    course = problem._course(x)
    for v in range(3):
        there = x[..., : problem.num_body].clone()
        there[..., :3] += course.shifts[:, :, v]
        there[..., -1] += course.turns[:, :, v]
        known = {field.name: getattr(problem, field.name) for field in fields(problem) if field.name != "timeline"}
        standing = Problem(**known).contours(there).posed
        torch.testing.assert_close(posed.pixels[:, :, v], standing.pixels[:, :, v])
    assert (posed.pixels[:, :, 0] - posed.pixels[:, :, 2]).abs().max() > 5


def test_steps_keep_motions_in_their_ranges():
    problem, x = moving_problem(on_the_road=False)
    body, parts = problem.num_body, {"speeds": (5.0, 60.0), "curvatures": (0.05, 0.25), "slopes": (0.05, 0.2)}
    for sign in (1.0, -1.0):
        moved = problem.moved(x, torch.full_like(x, sign * 1e3))
        changes = (moved - x)[..., body:].chunk(3, dim=-1)
        for change, (step, _) in zip(changes, parts.values(), strict=True):
            torch.testing.assert_close(change, torch.full_like(change, sign * step))
        for _ in range(30):
            moved = problem.moved(moved, torch.full_like(x, sign * 1e3))
        for values, (_, most) in zip(moved[..., body:].chunk(3, dim=-1), parts.values(), strict=True):
            torch.testing.assert_close(values, torch.full_like(values, sign * most))
        low, high = problem.expectations.half_extents_min, problem.expectations.half_extents_max
        assert ((moved[..., 3:6] >= low) & (moved[..., 3:6] <= high)).all()
    small = torch.full_like(x, 1e-3)
    torch.testing.assert_close(problem.moved(x, small)[..., body:], (x + small)[..., body:])


def test_knots_of_long_ways_are_no_closer_than_the_grid_holds():
    hour = Timeline.over(torch.tensor([0.0]), torch.tensor([3600.0]), knot_seconds=1.5)
    assert hour.hats.shape[-1] == 32 and hour.precision.shape == (1, 96, 96)
