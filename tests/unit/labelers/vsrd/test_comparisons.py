"""What bodies are compared with, against slow twins and automatic derivatives."""

from dataclasses import replace

import numpy as np
import pytest
import slow_bodyfit
import torch
from hand_made import Thing, make_group
from hand_made_bodies import (
    CARS,
    CONFIG,
    DRIVE,
    LEFT,
    QUICK,
    SETTINGS,
    assert_gradient,
    build,
    double,
    problem_off_its_optimum,
)

from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.vsrd.bodies import random_box_body, random_car
from vsrd_ray.labelers.vsrd.bodyfit import locate
from vsrd_ray.labelers.vsrd.comparisons import Problem


@pytest.fixture(scope="module")
def problem():
    return problem_off_its_optimum()


both_stages = pytest.mark.parametrize("stage", ["extents", "contours"])


def jacobian_by_autograd(terms_of, x):
    """Derivatives [S, N, V, M, D] of the residuals; those of an instance hang on its own unknowns alone."""
    columns = []
    for unknown in range(x.shape[-1]):
        along = torch.zeros_like(x)
        along[..., unknown] = 1
        columns.append(torch.autograd.functional.jvp(lambda moved: terms_of(moved).comparisons.residuals, x, along)[1])
    return torch.stack(columns, dim=-1)


@both_stages
@pytest.mark.parametrize("outlier", [3.0, 30.0])
def test_gradient_is_half_the_derivative_of_the_cost(problem, stage, outlier):
    problem, x = problem
    assert_gradient(problem, x, stage, outlier=outlier)


@both_stages
def test_matrix_is_that_of_gauss_and_newton(problem, stage):
    problem, x = problem
    outlier = 5.0
    terms = getattr(problem, stage)(x)
    residuals, weights = terms.comparisons[:2]
    jacobian = jacobian_by_autograd(getattr(problem, stage), x)
    weights = weights / (1 + (residuals / outlier) ** 2) ** 2
    expected = torch.einsum("snvm,snvmp,snvmq->snpq", weights, jacobian, jacobian)
    yaw_precision = torch.full((2, 1), 1e-4)
    expected = expected + torch.diag_embed(torch.cat([problem.spread**-2, yaw_precision], dim=-1))
    _, hessian = problem.linearise(x, terms, outlier=outlier)
    torch.testing.assert_close(hessian, expected, rtol=1e-6, atol=1e-6)
    assert (torch.linalg.eigvalsh(hessian) > 0).all()


def test_clearances_take_part_in_both_stages(problem):
    """A body off its mask is told so by its own vertices: the last comparisons of a view, one for each of them."""
    problem, x = problem
    num_vertices = problem.expectations.mean_body.shape[1]
    for stage in (problem.extents, problem.contours):
        residuals, weights, vertices = stage(x).comparisons[:3]
        assert (residuals[..., -num_vertices:] > 0.1).any() and (weights[..., -num_vertices:] == 1).all()
        assert torch.equal(vertices[0, 0, 0, -num_vertices:], torch.arange(num_vertices))
    unclear = replace(problem, clearance_weight=0.0)
    assert (unclear.contours(x).comparisons.residuals[..., -num_vertices:] == 0).all()


def test_clearances_are_read_between_their_samples():
    # a ramp in place of a clearance: what a vertex reads there is twice its u less the crop's first
    observations, expectations, _ = build(CARS)
    ramp = 2 * torch.arange(observations.clearances.shape[-1], dtype=torch.float32).expand_as(observations.clearances)
    crop = torch.tensor([100.0, 50.0, 163.0, 113.0]).expand_as(observations.crops)
    observations = replace(observations, clearances=ramp, crops=crop)
    problem = Problem.of(observations, expectations, locate(observations, expectations, SETTINGS), SETTINGS)
    pixels = torch.tensor([[110.25, 60.5], [0.0, 60.0], [500.0, 60.0]])
    distances, slopes = problem._clearances(pixels.expand(1, *observations.seen.shape, 3, 2))
    torch.testing.assert_close(distances[0, 1, 0], torch.tensor([20.5, 0.0, 126.0]))
    torch.testing.assert_close(slopes[0, 1, 0, :, 0], torch.tensor([2.0, 0.0, 0.0]))
    assert (slopes[..., 1] == 0).all()


def test_extents_that_are_not_the_objects_own_only_bound_it_from_within(problem):
    problem, x = problem
    first = slice(problem.units.shape[0])
    hidden = replace(problem.observations, trusted=torch.zeros_like(problem.observations.trusted))
    seen, bounded = (replace(problem, observations=o).extents(x).comparisons for o in (problem.observations, hidden))
    assert seen.weights[:, 0, :, first].all()  # nothing hides the left car
    assert torch.equal(bounded.weights[..., first] > 0, seen.residuals[..., first] < 0)


def test_hidden_points_pull_only_outward(problem):
    """And less than others: where the silhouette ends short of them (positive residuals), and nowhere else."""
    problem, x = problem
    first = slice(problem.observations.points.shape[2])
    hidden = problem.observations.hidden
    residuals, weights = (values[..., first] for values in problem.contours(x).comparisons[:2])
    weights = weights / problem.point_weights
    torch.testing.assert_close(weights[~hidden.expand_as(weights)].unique(), torch.ones(1).double())
    short_of = residuals[hidden.expand_as(weights)] > 0
    torch.testing.assert_close(weights[hidden.expand_as(weights)], QUICK.hidden_weight * short_of.double())
    assert short_of.any() and not short_of.all()
    assert hidden[1].any() and not hidden[0].any()  # the pole stands before the right car


def test_steps_keep_bodies_in_their_ranges(problem):
    problem, x = problem
    wild = torch.as_tensor(np.random.default_rng(1).normal(scale=50, size=x.shape))
    moved = problem.moved(x, wild)
    size = CONFIG.box.sizes["car"]
    assert (moved[..., 3:6] >= torch.tensor(size.half_extents_min) - 1e-6).all()
    assert (moved[..., 3:6] <= torch.tensor(size.half_extents_max) + 1e-6).all()
    assert (moved[..., 6:-2].abs() <= 3).all() and (moved[..., -2].abs() <= 5).all()
    assert (moved[..., :3] - x[..., :3]).abs().max() <= 5 + 1e-9
    assert (moved[..., -1] - x[..., -1]).abs().max() <= 0.5 + 1e-9


def seen_by_chance(seed):
    """A random body's solids in one view, [P, 2] px each; random points; the normals of the nearest edges; the size."""
    rng = np.random.default_rng(seed)
    body = random_car(rng) if seed % 3 else random_box_body(rng)
    thing = Thing(26001, (rng.uniform(9, 25), rng.uniform(-4, 4), 0.75), rng.uniform(-np.pi, np.pi), body=body)
    T_cam_world, K = rigid.inverse(DRIVE[0]), make_group([thing], DRIVE[:1]).views[0].K
    homogeneous = [rigid.apply(T_cam_world, solid) @ K.T for solid in thing.solids_world()]
    solids = [points[:, :2] / points[:, 2:] for points in homogeneous]
    pixels = np.concatenate(solids)
    size = np.ptp(pixels, axis=0).max()
    points = rng.uniform(pixels.min(axis=0) - 0.15 * size, pixels.max(axis=0) + 0.15 * size, (24, 2))
    return solids, points, np.array([normal_at(point, solids) for point in points]), size


def normal_at(point, solids, width=0.05):
    """The direction in which the slow distance grows, by central differences."""
    steps = width * np.eye(2)
    ends = [[slow_bodyfit.silhouette_distance(point + sign * step, solids) for sign in (1, -1)] for step in steps]
    slope = np.array([forward - backward for forward, backward in ends])
    return slope / np.linalg.norm(slope)


def distances_of(solids, points, normals, *, keep=slice(None)):
    """`silhouette_distances` of one body in one view, with some of its solids."""
    observations, expectations, _ = build([LEFT], DRIVE[:1], settings=QUICK)
    observations = replace(
        double(observations), points=torch.as_tensor(points)[None, None], normals=torch.as_tensor(normals)[None, None]
    )
    problem = Problem.of(observations, double(expectations), torch.zeros(1, 3).double(), QUICK)
    problem = replace(problem, solids=problem.solids[keep])
    pixels = torch.as_tensor(np.concatenate(solids))[None, None, None]
    return [values[0, 0, 0] for values in problem.silhouette_distances(pixels)]


@pytest.mark.parametrize("seed", range(6))
def test_distances_from_one_solid_are_exact_along_their_own_normals(seed):
    solids, points, _, _ = seen_by_chance(seed)
    for which in (0, 1, 2):
        normals = np.array([normal_at(point, solids[which : which + 1]) for point in points])
        ours, nearest, _ = distances_of(solids, points, normals, keep=slice(which, which + 1))
        expected = [slow_bodyfit.solid_distance(point, solids[which]) for point in points]
        # Inside, near the middle, the normal by differences may be that of a farther edge.
        np.testing.assert_allclose(ours, expected, rtol=0, atol=0.02)
        first = sum(map(len, solids[:which]))
        assert ((nearest >= first) & (nearest < first + len(solids[which]))).all()


@pytest.mark.parametrize("turned_deg", [0, 10, 180])
def test_distances_from_silhouettes_are_never_too_long_and_little_too_short(turned_deg):
    """By at most 8 % of the size, as fixed directions stand in for those that no normal gives.

    So a point that seems outside is; one that seems inside may be outside by 6 % of the size, and hardly one is.
    """
    rng = np.random.default_rng(turned_deg)
    short, expected = [], []
    for seed in range(30):
        solids, points, normals, size = seen_by_chance(seed)
        angles = np.deg2rad(rng.uniform(-turned_deg, turned_deg, len(normals)))
        turns = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=-1).reshape(-1, 2, 2)
        ours, _, _ = distances_of(solids, points, (turns @ normals[..., None])[..., 0])
        slow = np.array([slow_bodyfit.silhouette_distance(point, solids) for point in points])
        short.append((slow - ours.numpy()) / size)
        expected.append(slow / size)
    short, expected = np.concatenate(short), np.concatenate(expected)
    assert short.min() > -1e-5
    assert short.max() < 0.08 and np.median(short) < (0.001 if turned_deg == 0 else 0.005)
    taken_for_inside = (expected > 0) & (expected - short < 0)
    assert expected[taken_for_inside].max(initial=0) < 0.06 and taken_for_inside.mean() < 0.03
    assert 0.2 < (expected < 0).mean() < 0.8
