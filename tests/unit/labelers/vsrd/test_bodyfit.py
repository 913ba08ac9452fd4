"""Fits of bodies to outlines. Instance maps are made by hand of random bodies, none of which the prior has seen."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from builders import with_maps
from hand_made import Thing, boxes_world, camera_pose, ious_3d, make_group
from hand_made_bodies import (
    CARS,
    CONFIG,
    DRIVE,
    LEFT,
    QUICK,
    SETTINGS,
    SOFTNESS,
    build,
    car_body,
    fit,
    problem_off_its_optimum,
)
from scipy import ndimage

from vsrd_ray.data.masks import without_specks
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.labelers.vsrd.bodies import random_box_body
from vsrd_ray.labelers.vsrd.bodyfit import _descend, fit_bodies, locate
from vsrd_ray.labelers.vsrd.observations import observe, stacked


def errors(fitted, things, T_world_ref):
    """Distances in metres and turns in degrees between fits and things."""
    boxes = boxes_world(fitted.boxes, T_world_ref)
    distances = np.linalg.norm(boxes.centers - [thing.center_world for thing in things], axis=-1)
    return distances, np.rad2deg(np.abs(wrap_angle(boxes.yaws - [thing.yaw_world for thing in things])))


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
    dimensions = boxes_world(fitted.boxes, T_world_ref).dimensions_lwh
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
    dimensions = boxes_world(fitted.boxes, T_world_ref).dimensions_lwh
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
    assert seen.hidden[0].float().mean() > 0.05 and not visible.hidden.any()


def test_a_pole_that_cuts_masks_in_two_does_not_bias_it():
    pole = Thing(17001, (12.0, 2.4, 1.5), 0.0, (0.15, 0.15, 3.0))
    maps = make_group([LEFT, pole], DRIVE).instance_maps
    assert sum(ndimage.label(without_specks(instances == 26001))[1] == 2 for instances in maps) >= 3
    (free, T_world_ref), (behind, _) = (fit(things, labelled=(26001,)) for things in ([LEFT], [LEFT, pole]))
    assert ious_3d(behind.boxes, [LEFT], T_world_ref) > ious_3d(free.boxes, [LEFT], T_world_ref) - 0.08
    torch.testing.assert_close(behind.locations, free.locations, rtol=0, atol=0.15)
    torch.testing.assert_close(behind.half_extents, free.half_extents, rtol=0, atol=0.1)
    assert behind.misfits[0] < CONFIG.labels.moving_misfit / 2


def test_a_view_counts_as_much_as_its_mask_is_sure():
    group = make_group([LEFT], DRIVE)
    maps = group.instance_maps.copy()
    for view in (1, 3):
        columns = np.flatnonzero((maps[view] == 26001).any(axis=0))
        maps[view][:, columns[len(columns) // 2] :] = 0  # half a car, as bad masks are
    T_world_ref = rigid.levelled_at(group.views[0].T_world_cam)
    observations = observe(with_maps(group, maps), (26001,), SETTINGS, T_world_ref=T_world_ref)
    expectations = build([LEFT])[1]

    def fitted(*scores):
        scored = replace(observations, scores=torch.tensor([scores]))
        return fit_bodies(scored, expectations, SETTINGS, softness=SOFTNESS)

    sure, alike, weighed = fitted(*[1.0] * 5), fitted(*[0.6] * 5), fitted(0.9, 0.1, 0.9, 0.1, 0.9)
    assert all(torch.equal(*pair) for pair in zip(sure.tensors(), alike.tensors(), strict=True))
    overlaps = [ious_3d(one.boxes, [LEFT], T_world_ref).item() for one in (sure, weighed)]
    assert overlaps[1] > overlaps[0] + 0.1


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
    assert both.misfits[1] == both.silhouette_losses[1] == 0


def test_what_moves_fits_worse_than_what_stands():
    poses = [camera_pose(x, 0.1 * x) for x in range(6)]
    driving = [replace(LEFT, center_world=(14.0 + 1.5 * v, 2.6, 0.75)) for v in range(len(poses))]
    group = make_group(driving[:1], poses)
    seen = [make_group([car], [pose]).instance_maps[0] for car, pose in zip(driving, poses, strict=True)]
    _, expectations, T_world_ref = build(driving[:1], poses)
    moving = observe(with_maps(group, np.stack(seen)), (26001,), SETTINGS, T_world_ref=T_world_ref)
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


def test_views_too_small_are_not_used_unless_there_is_no_other():
    near, far = camera_pose(4, 0), camera_pose(-50, 0)
    assert build([LEFT], [near, far])[0].seen.all()
    assert fit([LEFT], [near, far], settings=QUICK)[0].num_views.tolist() == [1]
    assert fit([LEFT], [far, far], settings=QUICK)[0].num_views.tolist() == [2]


@pytest.mark.parametrize("stage", ["extents", "contours"])
def test_steps_never_raise_the_cost_at_their_threshold(stage):
    problem, x = problem_off_its_optimum()
    terms_of = getattr(problem, stage)
    descent = list(_descend(problem, terms_of, x, steps=15, slack=1.0))
    costs = [problem.cost(x, terms_of(x), outlier=problem.outlier), *(costs for _, costs in descent)]
    assert all((after <= before).all() for before, after in pairwise(costs))
    assert (costs[-1] < 0.9 * costs[0]).all()
    for moved, told in descent[::5]:
        torch.testing.assert_close(problem.cost(moved, terms_of(moved), outlier=problem.outlier), told)
