from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_made import Thing, boxes_world, camera_pose, ious_3d, make_group

from vsrd_ray.config import MaskSettings, StartSettings
from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.labelers.vsrd.bodies import BODIES, HATCHBACK, SALOON
from vsrd_ray.labelers.vsrd.start import _initial_state, _locate, _optimise, _Problem, fit_hulls
from vsrd_ray.labelers.vsrd.targets import build_targets

# A drive past the cars, with a slightly tilted camera.
DRIVE = [camera_pose(x, 0.02 * x, heading=0.01 * x, pitch=0.03, roll=0.02) for x in (4, 0, 2, 6, 8)]
SALOON_LEFT = Thing(26001, (15.0, 3.2, 0.75), 0.2, hull=SALOON.vertices)
HATCH_RIGHT = Thing(26002, (18.0, -3.5, 0.75), 2.9, (4.0, 1.75, 1.55), hull=HATCHBACK.vertices)
CARS = (SALOON_LEFT, HATCH_RIGHT)
SOME_INSTANCES = MaskSettings(min_target_area=1, min_target_side=0)


def build(things, poses=DRIVE, labelled=None):
    group = make_group(things, poses, labelled=labelled)
    return build_targets(group, SOME_INSTANCES, device=torch.device("cpu"), dtype=torch.float64)


def fit(things, poses=DRIVE, labelled=None):
    targets = build(things, poses, labelled)
    return fit_hulls(targets, StartSettings(kind="hull")), targets


def errors(hulls, targets, things):
    """Distances in metres and turns in degrees between fits and things."""
    centers, _, yaws = boxes_world(hulls.boxes, targets.T_world_ref)
    distances = np.linalg.norm(centers - [thing.center_world for thing in things], axis=-1)
    return distances, np.rad2deg(np.abs(wrap_angle(yaws - [thing.yaw_world for thing in things])))


def test_cars_come_back_from_their_outlines():
    hulls, targets = fit(CARS)
    distances, turns = errors(hulls, targets, CARS)
    assert distances.max() < 0.3
    assert turns.max() < 5  # over the full circle: front and rear are told apart
    assert ious_3d(hulls.boxes, CARS, targets.T_world_ref).min() > 0.75
    _, dimensions, _ = boxes_world(hulls.boxes, targets.T_world_ref)
    np.testing.assert_allclose(dimensions, [car.dimensions_lwh for car in CARS], atol=0.35)
    np.testing.assert_allclose(hulls.yaws.sin(), hulls.boxes.R_ref_obj[:, 0, 2], atol=1e-12)


@pytest.mark.parametrize("yaw", [-2.4, -0.8, 0.8, 1.7, 2.4])
def test_front_and_rear_are_told_apart(yaw):
    car = Thing(26001, (13.0, 2.5, 0.75), yaw, hull=SALOON.vertices)
    hulls, targets = fit([car])
    distances, turns = errors(hulls, targets, [car])
    assert turns[0] < 5 and distances[0] < 0.3


def test_the_body_that_fits_better_is_named():
    hulls, _ = fit([SALOON_LEFT, Thing(26002, (15.0, -3.2, 0.75), 0.2, hull=HATCHBACK.vertices)])
    assert [BODIES[body] for body in hulls.bodies] == [SALOON, HATCHBACK]


def test_a_view_cut_by_the_border_does_not_spoil_it():
    poses = [*DRIVE, camera_pose(10.5, 0, heading=-0.15)]  # the left car runs out of the image
    targets = build([SALOON_LEFT], poses)
    assert targets.mask_boxes[-1, 0, 0].item() == pytest.approx(0) and not targets.trusted_sides[-1, 0, 0]
    hulls, targets = fit([SALOON_LEFT], poses)
    distances, turns = errors(hulls, targets, [SALOON_LEFT])
    assert distances[0] < 0.3 and turns[0] < 5


def test_a_thing_in_front_does_not_spoil_it():
    # a slab that stands nearer and hides one end of the car in several views
    slab = Thing(12001, (9.0, 2.6, 1.0), 0.0, (0.3, 0.5, 2.0))
    visible, seen = (build(things, labelled=(26001,)) for things in ([SALOON_LEFT], [SALOON_LEFT, slab]))
    hidden = (visible.mask_boxes != seen.mask_boxes).any(dim=-1)
    assert 1 <= hidden.sum() < len(DRIVE)
    hulls, targets = fit([SALOON_LEFT, slab], labelled=(26001,))
    distances, turns = errors(hulls, targets, [SALOON_LEFT])
    assert distances[0] < 0.4 and turns[0] < 6


def test_an_instance_does_not_hang_on_the_others_in_its_group():
    alone, _ = fit([SALOON_LEFT])
    together, _ = fit(CARS)
    torch.testing.assert_close(together.boxes.locations[0], alone.boxes.locations[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(together.yaws[0], alone.yaws[0], rtol=0, atol=1e-6)


def test_first_guesses_are_near():
    targets = build(CARS)
    truth = (np.array([car.center_world for car in CARS]) - targets.T_world_ref[:3, 3]) @ targets.T_world_ref[:3, :3]
    distances = np.linalg.norm(_locate(targets, StartSettings()).numpy() - truth, axis=-1)
    assert (distances < 0.25 * np.linalg.norm(truth, axis=-1)).all()


@pytest.fixture
def problem():
    """A problem of two cars, a state off their optimum, and hulls for each of four starts."""
    targets = build(CARS)
    hulls = torch.stack([torch.as_tensor(body.vertices) for body in BODIES]).repeat_interleave(2, dim=0)
    locations = _locate(targets, StartSettings())
    state = _initial_state(locations, num_bodies=2, num_headings=2)
    step = torch.as_tensor(np.random.default_rng(0).uniform(-0.3, 0.3, (4, 2, 7)))
    return _Problem.of(targets, locations, StartSettings()), state.moved(step), hulls


def differentiated(function, state, width=1e-6):
    """Central differences of a function of the state, one unknown at a time, along a last axis of 7."""
    columns = []
    for unknown in range(7):
        step = torch.zeros(*state.yaws.shape, 7, dtype=torch.float64)
        step[..., unknown] = width
        columns.append((function(state.moved(step)) - function(state.moved(-step))) / (2 * width))
    return torch.stack(columns, dim=-1)


@pytest.mark.parametrize("outlier", [3.0, 30.0])
def test_gradient_is_half_the_derivative_of_the_cost(problem, outlier):
    problem, state, hulls = problem
    costs, gradient, _ = problem.linearise(state, hulls, outlier=outlier)
    torch.testing.assert_close(costs, problem.costs(state, hulls, outlier=outlier))
    expected = differentiated(lambda moved: problem.costs(moved, hulls, outlier=outlier), state) / 2
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def test_matrix_is_that_of_gauss_and_newton(problem):
    problem, state, hulls = problem
    outlier = 5.0
    seen = problem._observe(state, hulls)  # residuals [V, S, N, M]
    jacobian = differentiated(lambda moved: problem._observe(moved, hulls).residuals, state)  # [V, S, N, M, 7]
    weights = seen.counts / (1 + (seen.residuals / outlier) ** 2) ** 2
    expected = torch.einsum("vsnm,vsnmp,vsnmq->snpq", weights, jacobian, jacobian)
    prior = torch.cat([problem.prior_spread**-2, torch.zeros(2, 1)], dim=-1)  # [N, 7]
    expected = expected + torch.diag_embed(prior)
    _, _, hessian = problem.linearise(state, hulls, outlier=outlier)
    torch.testing.assert_close(hessian, expected, rtol=1e-4, atol=1e-3)
    assert (torch.linalg.eigvalsh(hessian) > 0).all()


def test_extents_that_are_not_the_objects_own_only_bound_it_from_within(problem):
    problem, state, hulls = problem
    seen, extents = problem._observe(state, hulls), slice(problem.trusted.shape[-1])
    nothing_trusted = replace(problem, trusted=torch.zeros_like(problem.trusted))
    bounded = nothing_trusted._observe(state, hulls).counts[..., extents]
    assert seen.counts.all()  # nothing hides these cars
    assert torch.equal(bounded, seen.residuals[..., extents] < 0)
    assert bounded.any() and not bounded.all()


def test_hull_points_off_the_mask_pull_as_far_as_they_are_off():
    # a ramp in place of a clearance: what a point reads there is its u less the window's first
    targets = build(CARS)
    ramp = torch.arange(targets.clearances.shape[-1], dtype=torch.float64).expand_as(targets.clearances)
    ends = torch.tensor([100.0, 50.0, 100.0, 50.0]) + torch.tensor([0.0, 0.0, 63.0, 63.0])
    windows = ends.to(torch.float64).expand_as(targets.clearance_windows)
    problem = replace(
        _Problem.of(targets, _locate(targets, StartSettings()), StartSettings()),
        clearances=ramp,
        clearance_windows=windows,
    )
    pixels = torch.tensor([[110.25, 60.5], [0.0, 60.0], [500.0, 60.0]], dtype=torch.float64)
    distances, slopes = problem._clearance(pixels.expand(len(targets.K), 1, len(CARS), 3, 2))
    torch.testing.assert_close(distances[0, 0, 0], torch.tensor([10.25, 0.0, 63.0], dtype=torch.float64))
    torch.testing.assert_close(slopes[0, 0, 0, :, 0], torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    assert (slopes[..., 1] == 0).all()


def test_steps_never_raise_the_cost_at_their_threshold(problem):
    problem, state, hulls = problem
    before = problem.costs(state, hulls, outlier=3.0)
    _, few = _optimise(problem, state, hulls, StartSettings(steps=4))
    _, many = _optimise(problem, state, hulls, StartSettings(steps=20))
    assert many.sum() < few.sum() < before.sum()
