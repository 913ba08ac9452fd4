"""Groups of cars by hand, as the fit of bodies sees them: observations, and problems off their optimum."""

import numpy as np
import torch
from hand_made import Thing, camera_pose, make_group

from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.bodies import random_car
from vsrd_ray.labelers.vsrd.bodyfit import _initial, fit_bodies, locate
from vsrd_ray.labelers.vsrd.comparisons import Problem
from vsrd_ray.labelers.vsrd.observations import Expectations, observe
from vsrd_ray.labelers.vsrd.priors import load_prior

CONFIG = load_config("fast")
SETTINGS = CONFIG.start
QUICK = SETTINGS.model_copy(update={"headings": 4, "extent_steps": 10, "contour_steps": 10, "contour_points": 24})
SOFTNESS = 3.0
CPU = torch.device("cpu")

# A drive past the cars, with a slightly tilted camera.
DRIVE = [camera_pose(x, 0.02 * x, heading=0.01 * x, pitch=0.03, roll=0.02) for x in (4, 0, 2, 6, 8)]


def car_body(seed):
    return random_car(np.random.default_rng(seed))


LEFT = Thing(26001, (15.0, 3.2, 0.75), 0.2, body=car_body(0))
RIGHT = Thing(26002, (18.0, -3.5, 0.75), 2.9, (4.0, 1.75, 1.55), body=car_body(1))
CARS = (LEFT, RIGHT)


def build(things, poses=DRIVE, labelled=None, settings=SETTINGS):
    """Observations, expectations and T_world_ref of a group by hand."""
    group = make_group(things, poses, labelled=labelled)
    T_world_ref = rigid.levelled_at(poses[0])
    observations = observe(group, group.plan.instance_ids, settings, T_world_ref=T_world_ref)
    sizes = [CONFIG.box.sizes[name] for name in group.class_names]
    expectations = Expectations.of(sizes, [load_prior(size.body) for size in sizes], device=CPU)
    return observations, expectations, T_world_ref


def fit(things, poses=DRIVE, labelled=None, settings=SETTINGS):
    observations, expectations, T_world_ref = build(things, poses, labelled, settings)
    return fit_bodies(observations, expectations, settings, softness=SOFTNESS), T_world_ref


def problem_off_its_optimum():
    """A problem in double precision, two starts each of two cars off its optimum; the right one is behind a pole."""
    pole = Thing(17001, (15.0, -2.9, 1.5), 0.0, (0.15, 0.15, 3.0))
    observations, expectations, _ = build([*CARS, pole], DRIVE[:3], (26001, 26002), QUICK)
    observations, expectations = double(observations), double(expectations)
    locations = locate(observations, expectations, QUICK)
    problem = Problem.of(observations, expectations, locations, QUICK)
    step = torch.as_tensor(np.random.default_rng(0).uniform(-0.3, 0.3, (2, 2, 16)))
    return problem, problem.moved(_initial(locations, expectations, headings=2), step)


def assert_gradient(problem, x, stage, *, outlier):
    """The gradient of a problem is half the derivative of its cost, by autograd, and every unknown counts."""
    terms_of = getattr(problem, stage)
    free = x.clone().requires_grad_()
    cost = problem.cost(free, terms_of(free), outlier=outlier)
    (expected,) = torch.autograd.grad(cost.sum(), free)
    gradient, _ = problem.linearise(x, terms_of(x), outlier=outlier)
    torch.testing.assert_close(gradient, expected / 2, rtol=1e-6, atol=1e-6)
    assert expected.abs().min(dim=-1).values.max() > 1e-3


def double(rows):
    return type(rows)(*(values.double() if values.is_floating_point() else values for values in rows.tensors()))
