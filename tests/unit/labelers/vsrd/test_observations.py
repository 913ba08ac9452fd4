from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from builders import with_maps
from hand_made import ROAD, Thing, camera_pose, make_group

from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.vsrd.config import BoxSettings, StartSettings
from vsrd_ray.labelers.vsrd.observations import NUM_DIRECTIONS, Expectations, observe, stacked
from vsrd_ray.labelers.vsrd.outlines import CLEARANCE_SAMPLES, DepthOrder, directions, trace_outline
from vsrd_ray.labelers.vsrd.priors import load_prior

SETTINGS = StartSettings(contour_points=20)
CPU = torch.device("cpu")
CARS = (Thing(26001, (12.0, 2.5, 0.75), 0.3), Thing(26002, (14.0, -3.0, 0.75), 2.0))
POSES = (camera_pose(0, 0, pitch=0.05, roll=0.03), camera_pose(2, 0.5, heading=0.05), camera_pose(4, 0))


def seen_in(group, *views):
    """The group with the frames in which each instance is fitted."""
    return replace(group, plan=replace(group.plan, instance_views=views))


@pytest.fixture(scope="module")
def group():
    return make_group(CARS, POSES)


def observed(group, instance_ids=(26001, 26002)):
    T_world_ref = rigid.levelled_at(group.views[0].T_world_cam)
    return observe(group, instance_ids, SETTINGS, T_world_ref=T_world_ref)


def test_every_view_is_as_its_outline_says(group):
    observations = observed(group)
    for v, instances in enumerate(group.instance_maps):
        for n, instance_id in enumerate((26001, 26002)):
            outline = trace_outline(
                instances == instance_id,
                instance_id=instance_id,
                order=DepthOrder.of(instances, CLASSES),
                units=directions(NUM_DIRECTIONS),
                num_points=20,
            )
            for name in ("supports", "trusted", "points", "normals", "hidden", "clearances"):
                ours = getattr(observations, name)[n, v]
                np.testing.assert_allclose(ours, getattr(outline, name), rtol=1e-6, atol=1e-5, err_msg=name)
            np.testing.assert_allclose(observations.crops[n, v], outline.crop_xyxy)
    assert observations.seen.all() and observations.sampled.all()


def test_mask_boxes_are_those_of_the_pixels(group):
    boxes = observed(group).mask_boxes
    for v, instances in enumerate(group.instance_maps):
        for n, instance_id in enumerate((26001, 26002)):
            rows, columns = np.nonzero(instances == instance_id)
            expected = [columns.min(), rows.min(), columns.max(), rows.max()]
            np.testing.assert_allclose(boxes[n, v], expected, rtol=0, atol=1e-4)


def test_sides_are_trusted_as_their_directions_are(group):
    observations = observed(group)
    assert observations.trusted_sides.all()  # nothing hides these cars
    trusted = torch.as_tensor(np.random.default_rng(0).random(observations.trusted.shape) < 0.5)
    right, down, left, up = (trusted[..., quarter] for quarter in (0, 4, 8, 12))
    sides = replace(observations, trusted=trusted).trusted_sides
    assert torch.equal(sides, torch.stack([left, up, right, down], dim=-1))


def test_cameras_are_in_the_reference_frame(group):
    observations = observed(group)
    T_world_ref = rigid.levelled_at(POSES[0])
    for v, pose in enumerate(POSES):
        T_world_cam = T_world_ref @ np.linalg.inv(observations.T_cam_ref[1, v].double().numpy())
        np.testing.assert_allclose(T_world_cam, pose, rtol=0, atol=1e-5)
        np.testing.assert_allclose(observations.K[1, v], group.views[v].K)
    assert all(values.dtype in (torch.float32, torch.bool) for values in observations.tensors())


def test_instances_have_views_of_their_own(group):
    """The first is fitted in frames 0 and 2, the second in 1 alone, which leaves a view that shows nothing."""
    observations, every = observed(seen_in(group, (0, 2), (1,))), observed(group)
    assert observations.seen.tolist() == [[True, True], [True, False]]
    for field in fields(observations):
        ours, theirs = getattr(observations, field.name), getattr(every, field.name)
        assert torch.equal(ours[0], theirs[0, [0, 2]]) and torch.equal(ours[1, 0], theirs[1, 1])
    assert not observations.sampled[1, 1].any() and not observations.trusted[1, 1].any()


def test_some_instances_of_a_group_may_be_asked_for(group):
    swapped, every = observed(group, (26002, 26001)), observed(group)
    assert torch.equal(swapped.supports, every.supports[[1, 0]])
    only = observed(seen_in(group, (0, 2), (1,)), (26002,))
    assert torch.equal(only.points, every.points[1:, 1:2])


def test_views_that_do_not_show_an_instance_are_blank(group):
    maps = group.instance_maps.copy()
    maps[1][maps[1] == 26001] = ROAD
    observations = observed(with_maps(group, maps))
    assert observations.seen.tolist() == [[True, False, True], [True, True, True]]
    blank = ("supports", "trusted", "points", "normals", "hidden", "sampled", "clearances")
    assert all((getattr(observations, name)[0, 1] == 0).all() for name in blank)
    assert torch.linalg.det(observations.K[0, 1]) != 0  # cameras are there all the same


def test_small_masks_have_fewer_points(group):
    maps = np.full_like(group.instance_maps, ROAD)
    maps[0, 40:42, 100:104] = 26001  # 8 px, all of them on the contour
    maps[0, 40, 200] = 26002
    observations = observed(with_maps(group, maps))
    assert observations.seen.tolist() == [[True, False, False]] * 2
    assert observations.sampled[0, 0].sum() == 8
    assert not observations.sampled[1].any()  # a single pixel has no normals
    assert all(torch.isfinite(values).all() for values in observations.tensors())


def test_parts_that_are_no_specks_take_part(group):
    """A gap in the mask, as a pole leaves it, adds contour points; a stray pixel changes nothing."""
    maps = group.instance_maps.copy()
    _, columns = np.nonzero(maps[0] == 26001)
    maps[0, 3, 3] = 26001
    assert torch.equal(observed(with_maps(group, maps)).supports, observed(group).supports)
    middle = int(columns.mean())
    maps[0, :, middle : middle + 3][maps[0, :, middle : middle + 3] == 26001] = 17000
    cut = observed(with_maps(group, maps))
    assert torch.equal(cut.mask_boxes, observed(group).mask_boxes)
    u = cut.points[0, 0, :, 0]
    assert (u < middle).any() and (u > middle + 2).any()


def test_added_views_show_nothing(group):
    observations = observed(group)
    padded = observations.with_views(5)
    for ours, theirs in zip(padded.tensors(), observations.tensors(), strict=True):
        assert ours.shape == (2, 5, *theirs.shape[2:])
        assert torch.equal(ours[:, :3], theirs)
    assert not padded.seen[:, 3:].any() and not padded.sampled[:, 3:].any() and not padded.trusted[:, 3:].any()
    assert observations.with_views(2).seen.shape == (2, 3)


def test_parts_and_stacks_are_inverse(group):
    observations = observed(group)
    again = stacked([observations.part(slice(0, 1)), observations.part(slice(1, 2))])
    assert all(torch.equal(*pair) for pair in zip(again.tensors(), observations.tensors(), strict=True))
    assert again.clearances.shape == (2, 3, CLEARANCE_SAMPLES, CLEARANCE_SAMPLES)


def test_expectations_hang_on_the_class():
    sizes = [BoxSettings().sizes[name] for name in ("car", "bus")]
    expectations = Expectations.of(sizes, [load_prior(size.body) for size in sizes], device=CPU)
    np.testing.assert_allclose(expectations.half_extents_mean[1], sizes[1].half_extents_mean)
    np.testing.assert_allclose(expectations.half_extents_spread[0], sizes[0].half_extents_spread)
    assert torch.equal(expectations.mean_body[1], torch.as_tensor(load_prior("box").mean))
    assert torch.equal(expectations.shapes[0], torch.as_tensor(load_prior("car").basis))
