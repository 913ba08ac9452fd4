"""Fits of bodies to outlines. Instance maps are made by hand of random bodies, none of which the prior has seen."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
import slow_bodyfit
import torch
from hand_made import Thing, boxes_world, camera_pose, ious_3d, make_group
from scipy import ndimage

from vsrd_ray.config import load_config
from vsrd_ray.data.masks import without_specks
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.labelers.vsrd.bodies import random_box_body, random_car
from vsrd_ray.labelers.vsrd.bodyfit import Problem, _descend, _initial, fit_bodies, locate
from vsrd_ray.labelers.vsrd.observations import Expectations, observe, stacked
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
    observations = observe(group, group.plan.instance_ids, settings, T_world_ref=T_world_ref, device=CPU)
    sizes = [CONFIG.box.sizes[name] for name in group.class_names]
    expectations = Expectations.of(sizes, [load_prior(size.body) for size in sizes], device=CPU)
    return observations, expectations, T_world_ref


def fit(things, poses=DRIVE, labelled=None, settings=SETTINGS):
    observations, expectations, T_world_ref = build(things, poses, labelled, settings)
    return fit_bodies(observations, expectations, settings, softness=SOFTNESS), T_world_ref


def errors(fitted, things, T_world_ref):
    """Distances in metres and turns in degrees between fits and things."""
    centers, _, yaws = boxes_world(fitted.boxes, T_world_ref)
    distances = np.linalg.norm(centers - [thing.center_world for thing in things], axis=-1)
    return distances, np.rad2deg(np.abs(wrap_angle(yaws - [thing.yaw_world for thing in things])))


def assert_same(fitted, other, *, rows=slice(None), tolerance=1e-4):
    """Boxes within the tolerance, all else within some more of it; costs grow steeply."""
    for field in fields(fitted):
        ours, theirs = getattr(fitted, field.name)[rows], getattr(other, field.name)
        torch.testing.assert_close(ours, theirs, rtol=10 * tolerance, atol=tolerance, msg=f"{field.name} differs")


def test_cars_come_back_from_their_outlines():
    fitted, T_world_ref = fit(CARS)
    distances, turns = errors(fitted, CARS, T_world_ref)
    assert distances.max() < 0.25
    assert turns.max() < 4  # over the full circle: front and rear are told apart
    assert ious_3d(fitted.boxes, CARS, T_world_ref).min() > 0.8
    _, dimensions, _ = boxes_world(fitted.boxes, T_world_ref)
    np.testing.assert_allclose(dimensions, [car.dimensions_lwh for car in CARS], atol=0.3)
    np.testing.assert_allclose(fitted.yaws.sin(), fitted.boxes.R_ref_obj[:, 0, 2], atol=1e-6)


def test_headings_all_around_and_bodies_of_many_kinds():
    """Of 12 cars, one by one in the same place, all but one come back, front and rear told apart."""
    cars = [Thing(26001, (13.0, 2.5, 0.75), -3 + 0.53 * n, body=car_body(n)) for n in range(12)]
    built = [build([car]) for car in cars]
    observations, expectations = (stacked(parts) for parts in list(zip(*built, strict=True))[:2])
    fitted = fit_bodies(observations, expectations, SETTINGS, softness=SOFTNESS)
    distances, turns = errors(fitted, cars, built[0][2])
    assert ((distances < 0.3) & (turns < 6)).sum() >= 11
    assert np.sort(ious_3d(fitted.boxes, cars, built[0][2]))[1] > 0.7
    assert fitted.misfits.max() < CONFIG.labels.moving_misfit / 2


@pytest.mark.parametrize(
    ("instance_id", "body", "dimensions_lwh"),
    [(28001, 10, (11.8, 2.55, 3.0)), (27001, 13, (7.4, 2.4, 3.0)), (29001, 12, (6.2, 2.3, 2.6))],
    ids=["bus", "truck", "caravan"],
)
def test_other_classes_come_back_with_their_own_sizes(instance_id, body, dimensions_lwh):
    center = (26.0, 5.0, dimensions_lwh[2] / 2)
    thing = Thing(instance_id, center, 0.3, dimensions_lwh, body=random_box_body(np.random.default_rng(body)))
    fitted, T_world_ref = fit([thing])
    assert ious_3d(fitted.boxes, [thing], T_world_ref).item() > 0.7
    _, dimensions, _ = boxes_world(fitted.boxes, T_world_ref)
    np.testing.assert_allclose(dimensions[0], dimensions_lwh, rtol=0.15)


def test_a_view_cut_by_the_border_does_not_spoil_it():
    poses = [*DRIVE, camera_pose(10.5, 0, heading=-0.15)]  # the left car runs out of the image
    observations, _, _ = build([LEFT], poses)
    assert observations.mask_boxes[0, -1, 0].item() == pytest.approx(0) and not observations.trusted_sides[0, -1, 0]
    assert 0.05 < observations.hidden[0, -1].float().mean() < 0.6
    fitted, T_world_ref = fit([LEFT], poses)
    distances, turns = errors(fitted, [LEFT], T_world_ref)
    assert distances[0] < 0.25 and turns[0] < 4


def test_a_thing_in_front_does_not_spoil_it():
    # a slab that stands nearer and hides one end of the car in several views
    slab = Thing(12001, (9.0, 2.6, 1.0), 0.0, (0.3, 0.5, 2.0))
    visible, seen = (build(things, labelled=(26001,))[0] for things in ([LEFT], [LEFT, slab]))
    cut = (visible.mask_boxes != seen.mask_boxes).any(dim=-1)
    assert 1 <= cut.sum() < len(DRIVE)
    fitted, T_world_ref = fit([LEFT, slab], labelled=(26001,))
    distances, turns = errors(fitted, [LEFT], T_world_ref)
    assert distances[0] < 0.3 and turns[0] < 5
    assert fitted.own_share[0] < 0.95 and fit([LEFT])[0].own_share[0] == 1


def test_a_pole_that_cuts_masks_in_two_does_not_bias_it():
    pole = Thing(17001, (12.0, 2.4, 1.5), 0.0, (0.15, 0.15, 3.0))
    maps = make_group([LEFT, pole], DRIVE).instance_maps
    assert sum(ndimage.label(without_specks(instances == 26001))[1] == 2 for instances in maps) >= 3
    (free, T_world_ref), (behind, _) = (fit(things, labelled=(26001,)) for things in ([LEFT], [LEFT, pole]))
    assert ious_3d(behind.boxes, [LEFT], T_world_ref) > ious_3d(free.boxes, [LEFT], T_world_ref) - 0.08
    torch.testing.assert_close(behind.locations, free.locations, rtol=0, atol=0.15)
    torch.testing.assert_close(behind.half_extents, free.half_extents, rtol=0, atol=0.1)
    assert behind.misfits[0] < CONFIG.labels.moving_misfit / 2


@pytest.mark.parametrize("pose", DRIVE)
def test_one_view_gives_a_box_that_can_be(pose):
    """Its heading may be turned around; where and how large it is hang on what is known of cars."""
    fitted, T_world_ref = fit([LEFT], [pose])
    distances, _ = errors(fitted, [LEFT], T_world_ref)
    assert distances[0] < 3
    size = CONFIG.box.sizes["car"]
    assert (fitted.half_extents[0] >= torch.tensor(size.half_extents_min) - 1e-6).all()
    assert (fitted.half_extents[0] <= torch.tensor(size.half_extents_max) + 1e-6).all()
    assert fitted.num_views.tolist() == [1]
    several, _ = fit([LEFT])
    assert fitted.spreads[0, [0, 2]].norm() > 1.5 * several.spreads[0, [0, 2]].norm()


def test_an_instance_that_no_view_shows_leaves_the_others_alone():
    both, T_world_ref = fit(CARS[:1], labelled=(26001, 26002))
    assert both.num_views.tolist() == [5, 0]
    assert all(torch.isfinite(values[1]).all() for values in both.tensors())
    assert errors(both.part(slice(1)), CARS[:1], T_world_ref)[0][0] < 0.25
    assert both.own_share[1] == both.misfits[1] == both.silhouette_losses[1] == 0


def test_what_moves_fits_worse_than_what_stands():
    poses = [camera_pose(x, 0.1 * x) for x in range(6)]
    driving = [replace(LEFT, center_world=(14.0 + 1.5 * v, 2.6, 0.75)) for v in range(len(poses))]
    group = make_group(driving[:1], poses)
    seen = [make_group([car], [pose]).instance_maps[0] for car, pose in zip(driving, poses, strict=True)]
    _, expectations, T_world_ref = build(driving[:1], poses)
    moving = observe(
        replace(group, instance_maps=np.stack(seen)), (26001,), SETTINGS, T_world_ref=T_world_ref, device=CPU
    )
    misfit = fit_bodies(moving, expectations, SETTINGS, softness=SOFTNESS).misfits[0]
    assert misfit > 3 * fit(driving[:1], poses)[0].misfits[0]


def test_a_fit_is_independent_of_its_company():
    """To 1e-4: rounding may differ with the number of instances, and grows over the steps."""
    third = Thing(26003, (22.0, 1.0, 0.75), 1.2, body=car_body(2))
    built = [build([car], settings=QUICK)[:2] for car in (*CARS, third)]
    together = fit_bodies(*map(stacked, zip(*built, strict=True)), QUICK, softness=SOFTNESS)
    for row, (observations, expectations) in enumerate(built):
        alone = fit_bodies(observations, expectations, QUICK, softness=SOFTNESS)
        assert_same(together, alone, rows=slice(row, row + 1))


def test_views_that_show_nothing_change_nothing():
    observations, expectations, _ = build(CARS, settings=QUICK)
    padded = observations.with_views(8)
    assert padded.seen.shape == (2, 8) and not padded.seen[:, 5:].any()
    fits = [fit_bodies(seen, expectations, QUICK, softness=SOFTNESS) for seen in (observations, padded)]
    assert_same(*fits)


def test_two_fits_are_equal_to_the_last_bit():
    observations, expectations, _ = build(CARS, settings=QUICK)
    first, again = (fit_bodies(observations, expectations, QUICK, softness=SOFTNESS) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first.tensors(), again.tensors(), strict=True))


def test_steps_are_traced_and_change_nothing():
    observations, expectations, _ = build(CARS, settings=QUICK)
    traced = []
    fitted = fit_bodies(
        observations, expectations, QUICK, softness=SOFTNESS, trace=lambda step, values: traced.append((step, values))
    )
    untraced = fit_bodies(observations, expectations, QUICK, softness=SOFTNESS)
    assert all(torch.equal(*pair) for pair in zip(fitted.tensors(), untraced.tensors(), strict=True))
    assert [step for step, _ in traced] == list(range(20))
    for name in ("locations", "half_extents", "yaws"):
        np.testing.assert_array_equal(traced[-1][1][name], getattr(fitted, name))
    assert traced[-1][1]["cost/total"] == pytest.approx(traced[-1][1]["costs"].sum())


def test_first_guesses_are_near():
    observations, expectations, T_world_ref = build(CARS)
    truth = (np.array([car.center_world for car in CARS]) - T_world_ref[:3, 3]) @ T_world_ref[:3, :3]
    distances = np.linalg.norm(locate(observations, expectations, SETTINGS).numpy() - truth, axis=-1)
    assert (distances < 0.15 * np.linalg.norm(truth, axis=-1)).all()


def double(rows):
    return type(rows)(*(values.double() if values.is_floating_point() else values for values in rows.tensors()))


@pytest.fixture(scope="module")
def problem():
    """A problem in double precision, two starts each of two cars off its optimum; the right one is behind a pole."""
    pole = Thing(17001, (15.0, -2.9, 1.5), 0.0, (0.15, 0.15, 3.0))
    observations, expectations, _ = build([*CARS, pole], DRIVE[:3], (26001, 26002), QUICK)
    observations, expectations = double(observations), double(expectations)
    locations = locate(observations, expectations, QUICK)
    problem = Problem.of(observations, expectations, locations, QUICK)
    step = torch.as_tensor(np.random.default_rng(0).uniform(-0.3, 0.3, (2, 2, 15)))
    return problem, problem.moved(_initial(locations, expectations, headings=2), step)


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
    terms_of = getattr(problem, stage)
    free = x.clone().requires_grad_()
    cost = problem.cost(free, terms_of(free), outlier=outlier)
    (expected,) = torch.autograd.grad(cost.sum(), free)
    gradient, _ = problem.linearise(x, terms_of(x), outlier=outlier)
    torch.testing.assert_close(gradient, expected / 2, rtol=1e-6, atol=1e-6)
    assert expected.abs().min(dim=-1).values.max() > 1e-3  # every unknown counts


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
        residuals, weights, vertices, _ = stage(x).comparisons
        assert (residuals[..., -num_vertices:] > 0.1).any() and (weights[..., -num_vertices:] == 1).all()
        assert torch.equal(vertices[0, 0, 0, -num_vertices:], torch.arange(num_vertices))
    unclear = replace(problem, clearance_weight=0.0)
    assert (unclear.contours(x).comparisons.residuals[..., -num_vertices:] == 0).all()


def test_clearances_are_read_between_their_samples():
    # a ramp in place of a clearance: what a vertex reads there is twice its u less the window's first
    observations, expectations, _ = build(CARS)
    ramp = 2 * torch.arange(observations.clearances.shape[-1], dtype=torch.float32).expand_as(observations.clearances)
    window = torch.tensor([100.0, 50.0, 163.0, 113.0]).expand_as(observations.windows)
    observations = replace(observations, clearances=ramp, windows=window)
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


def test_views_too_small_are_not_used_unless_there_is_no_other():
    near, far = camera_pose(4, 0), camera_pose(-50, 0)
    assert build([LEFT], [near, far])[0].seen.all()
    assert fit([LEFT], [near, far], settings=QUICK)[0].num_views.tolist() == [1]
    assert fit([LEFT], [far, far], settings=QUICK)[0].num_views.tolist() == [2]


@both_stages
def test_steps_never_raise_the_cost_at_their_threshold(problem, stage):
    problem, x = problem
    terms_of = getattr(problem, stage)
    descent = list(_descend(problem, terms_of, x, steps=15, slack=1.0))
    costs = [problem.cost(x, terms_of(x), outlier=problem.outlier), *(costs for _, costs in descent)]
    assert all((after <= before).all() for before, after in pairwise(costs))
    assert (costs[-1] < 0.9 * costs[0]).all()
    for moved, told in descent[::5]:
        torch.testing.assert_close(problem.cost(moved, terms_of(moved), outlier=problem.outlier), told)


def test_steps_keep_bodies_in_their_ranges(problem):
    problem, x = problem
    wild = torch.as_tensor(np.random.default_rng(1).normal(scale=50, size=x.shape))
    moved = problem.moved(x, wild)
    size = CONFIG.box.sizes["car"]
    assert (moved[..., 3:6] >= torch.tensor(size.half_extents_min) - 1e-6).all()
    assert (moved[..., 3:6] <= torch.tensor(size.half_extents_max) + 1e-6).all()
    assert (moved[..., 6:-1].abs() <= 3).all()
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
