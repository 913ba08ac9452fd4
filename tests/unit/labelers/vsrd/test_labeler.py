import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from builders import with_maps
from hand_made import Thing, camera_pose, make_group, make_scenes
from labelled_groups import CARS, FAST, POSES, TRUTH, VOLUMETRIC, far_off, label, label_many, prepare, set_up

from vsrd_ray.data.groups import GroupTasks
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.degradation.outlines import ragged
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.geometry.cameras import box_iou, clip_boxes, project_boxes
from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.bodies import random_box_body, random_car
from vsrd_ray.labelers.vsrd.joins import whole
from vsrd_ray.labelers.vsrd.labeler import _BYTES_A_VIEW, VSRDLabeler, bearing_spread_deg
from vsrd_ray.labelers.vsrd.optimise import optimise
from vsrd_ray.labelers.vsrd.scene import plan_scene
from vsrd_ray.synthetic import StreetSettings, synthesize


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """The groups of a small synthetic street, and its true boxes by instance."""
    root = tmp_path_factory.mktemp("street")
    settings = StreetSettings(frames=20, cars=3, seed=1, image_size=(704, 188))
    synthesize(root, settings)
    sequence = open_drive(root, settings.sequence)
    index = index_frames(sequence, all_frames(sequence))
    plans = plan_scene(index, sequence=sequence.name, camera="image_00", settings=FAST.grouping, classes=("car",))
    truth = read_boxes(root, settings.sequence)
    tasks = GroupTasks(sequence, index)
    groups = [tasks.task(plan).group() for plan in plans]
    return groups, dict(zip(truth.instance_ids.tolist(), truth.boxes, strict=True))


def assert_same(fits, others, tolerance=0.0):
    assert [fit.instance_id for fit in fits] == [fit.instance_id for fit in others]
    for fit, other in zip(fits, others, strict=True):
        for name in ("centers", "dimensions_lwh", "yaws"):
            np.testing.assert_allclose(getattr(fit.box, name), getattr(other.box, name), rtol=0, atol=tolerance)
        for name in ("confidence", "silhouette_loss", "bearing_spread_deg"):
            assert getattr(fit, name) == pytest.approx(getattr(other, name), rel=0, abs=tolerance), name


def ious_3d(fits, truth):
    return [float(fit.box.iou(truth[fit.instance_id])[0]) for fit in fits]


@pytest.fixture(scope="module")
def street_labels(labeler, street):
    """Fits of each of the street's groups."""
    return [label(labeler, group, seed=0) for group in street[0]]


def test_a_synthetic_street(street, street_labels):
    """The expected IoU3D of a small scene, as a range; the masks are those of meshes, not of the prior's bodies."""
    groups, truth = street
    fits = [fit for labels in street_labels for fit in labels]
    assert [fit.instance_id for fit in fits] == [n for group in groups for n in group.plan.instance_ids]
    size = FAST.box.sizes["car"]
    for fit in fits:
        assert fit.class_name == "car" and -np.pi <= fit.box.yaws < np.pi
        assert np.isfinite([*fit.box.centers, *fit.box.dimensions_lwh, fit.silhouette_loss]).all()
        half_extents = fit.box.dimensions_lwh[[1, 2, 0]] / 2
        assert (half_extents > np.array(size.half_extents_min) - 1e-6).all()
        assert (half_extents < np.array(size.half_extents_max) + 1e-6).all()
        assert 0 <= fit.confidence <= 1 and 0 <= fit.mean_iou_2d <= 1 and 1 <= fit.num_views <= 20
    assert 0.8 < np.mean(ious_3d(fits, truth)) < 0.98


def test_two_runs_over_a_street_are_equal_byte_by_byte(street, street_labels):
    labeler = set_up(FAST)
    assert pickle.dumps([label(labeler, group, seed=0) for group in street[0]]) == pickle.dumps(street_labels)


def test_hand_made_cars(labeler, group):
    fits = label(labeler, group, seed=0)
    assert min(ious_3d(fits, TRUTH)) > 0.75
    assert min(fit.mean_iou_2d for fit in fits) > 0.8
    assert [fit.num_views for fit in fits] == [4, 4]
    assert not any(fit.is_moving for fit in fits)


def test_volumetric_steps_stay_near(volumetric, group):
    fits = label(volumetric, group, seed=0)
    assert min(ious_3d(fits, TRUTH)) > 0.6


def test_volumetric_labels_hang_on_the_group_and_the_seed_alone(volumetric, group):
    other = make_group(CARS, POSES[::-1], group_id="other")
    first, others = label(volumetric, group, seed=0), label(volumetric, other, seed=0)
    torch.rand(3)
    assert_same(label(volumetric, other, seed=0), others)
    assert_same(label(volumetric, group, seed=0), first)
    with pytest.raises(AssertionError):
        assert_same(label(volumetric, group, seed=1), first)
    with pytest.raises(AssertionError):  # the group's id takes part in the seed
        assert_same(label(volumetric, replace(group, plan=replace(group.plan, group_id="x")), seed=0), first)


def test_what_is_prepared_does_not_grow_with_the_images(group):
    """No instance map is sent on, nor anything else as large."""
    maps = np.pad(group.instance_maps, ((0, 0), (0, 1000), (0, 1000)), constant_values=7000)
    views = tuple(replace(view, image_size=(maps.shape[2], maps.shape[1])) for view in group.views)
    larger = with_maps(group, maps, views)
    small, large = (VSRDLabeler(VOLUMETRIC).prepare(one) for one in (group, larger))
    assert len(pickle.dumps(large)) < 1.5 * len(pickle.dumps(small)) < maps.nbytes / 10
    assert (large.plan, large.class_names) == (group.plan, group.class_names)


def test_volumetric_steps_need_a_labeler_that_is_set_up(group):
    with pytest.raises(RuntimeError, match="call setup"):
        label(VSRDLabeler(VOLUMETRIC), group, seed=0)


def test_setting_up_again_is_harmless(volumetric, group, monkeypatch):
    first = label(volumetric, group, seed=0)
    monkeypatch.setattr(volumetric, "_field_start", lambda: pytest.fail("it is trained again"))
    volumetric.setup()
    assert_same(label(volumetric, group, seed=0), first)


def test_a_device_that_is_not_there_shows_when_the_labeler_is_set_up():
    labeler = VSRDLabeler(FAST, device="cuda:99")
    with pytest.raises((RuntimeError, AssertionError)):
        labeler.setup()


def test_bodies_need_no_seed(labeler, group):
    assert_same(label(labeler, group, seed=1), label(labeler, group, seed=0))


def bus_group():
    bus = Thing(28003, (24.0, 4.5, 1.5), 0.1, (11.5, 2.55, 3.0), body=random_box_body(np.random.default_rng(10)))
    return make_group([bus], POSES[:2], group_id="bus")


def test_many_groups_at_once_on_the_cpu_are_labelled_as_one_by_one(labeler, group):
    groups = [group, bus_group(), make_group(CARS[:1], POSES[1:], group_id="one car")]
    for fits, one in zip(label_many(labeler, groups, seed=0), groups, strict=True):
        assert_same(fits, label(labeler, one, seed=0))


@pytest.mark.parametrize("instances_at_once", [0, 2, 1000])
def test_many_groups_at_once_on_a_gpu_are_labelled_as_one_by_one(labeler, group, instances_at_once, monkeypatch):
    """On the CPU in its stead: four instances with up to four views, as many at once as the memory takes."""
    an_instance = _BYTES_A_VIEW * FAST.start.headings * len(POSES)
    monkeypatch.setattr(labeler, "_free_bytes", lambda: instances_at_once * an_instance)
    sizes = []

    def counted(observations, expectations, trace=None):
        sizes.append(len(observations.seen))
        return VSRDLabeler._fit(labeler, observations, expectations, trace)

    monkeypatch.setattr(labeler, "_fit", counted)
    groups = [group, bus_group(), make_group(CARS[:1], POSES[1:], group_id="one car")]
    together = labeler._fit_together([labeler._on_device(prepare(FAST, one)) for one in groups])
    assert sizes == {0: [1] * 4, 2: [2, 2], 1000: [4]}[instances_at_once]
    for fit, one in zip(together, groups, strict=True):
        alone = labeler.bodies(prepare(FAST, one))
        assert fit.num_views.tolist() == alone.fit.num_views.tolist()
        for name in ("locations", "half_extents", "R_ref_obj"):
            ours, theirs = getattr(fit.boxes, name), getattr(alone.fit.boxes, name)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=3e-3, msg=name)


def test_a_group_that_fails_does_not_spoil_the_others(labeler, group):
    good, bad = bus_group(), replace(group, label_frames=())
    spoilt, fits = label_many(labeler, [bad, good], seed=0)
    assert isinstance(spoilt, ValueError)
    assert_same(fits, label(labeler, good, seed=0))
    with pytest.raises(ValueError, match=str(spoilt)):
        label(labeler, bad, seed=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_boxes_of_the_cpu(labeler, group):
    groups = [group, bus_group()]
    on_gpu = label_many(set_up(FAST, device="cuda"), groups, seed=0)
    for fits, one in zip(on_gpu, groups, strict=True):
        for fit, other in zip(fits, label(labeler, one, seed=0), strict=True):
            np.testing.assert_allclose(fit.box.centers, other.box.centers, rtol=0, atol=0.01)
            np.testing.assert_allclose(fit.box.dimensions_lwh, other.box.dimensions_lwh, rtol=0, atol=0.01)


def test_kilometres_from_the_origin_labels_are_the_same(labeler, group):
    shift = np.array([3456.0, -54321.0, 115.0])
    fits = label(labeler, far_off(group, shift), seed=0)
    fits = [replace(fit, box=replace(fit.box, centers=fit.box.centers - shift)) for fit in fits]
    assert_same(fits, label(labeler, group, seed=0), tolerance=1e-3)


def test_every_step_of_the_bodies_is_traced_where_there_is_no_other(labeler, group):
    traced = []
    fits = label(labeler, group, seed=0, trace=lambda step, values: traced.append((step, values)))
    assert [step for step, _ in traced] == list(range(FAST.start.extent_steps + FAST.start.contour_steps))
    dimensions_lwh = 2 * traced[-1][1]["half_extents"][:, [2, 0, 1]]
    np.testing.assert_allclose(dimensions_lwh, [fit.box.dimensions_lwh for fit in fits], rtol=0, atol=1e-5)


def test_every_volumetric_step_is_traced(volumetric, group):
    steps = []
    label(volumetric, group, seed=0, trace=lambda step, values: steps.append((step, sorted(values))))
    assert [step for step, _ in steps] == list(range(VOLUMETRIC.schedule.steps))


def test_the_published_method_from_the_flat_start(group):
    """Too few steps to arrive, but everything takes part: Hungarian matching, residual fields, all losses."""
    overrides = ["schedule.steps=4", "schedule.residual_from=2", "rendering.num_rays=50", "field.hyper_width=16"]
    fits = label(set_up(load_config("kitti360_vsrd", overrides)), group, seed=0)
    assert [fit.instance_id for fit in fits] == [26001, 26002]
    for fit in fits:
        assert np.isfinite([*fit.box.centers, *fit.box.dimensions_lwh, fit.box.yaws, fit.silhouette_loss]).all()
        assert np.linalg.norm(fit.box.centers - [52, 0, 0.9]) < 5  # still about 50 m ahead of the target camera
    assert fits[0].box.centers.tolist() != fits[1].box.centers.tolist()


@pytest.mark.parametrize("matching", ["hungarian", "identity"])
def test_boxes_are_given_to_the_instances_that_they_overlap(group, matching):
    """The mean IoU over the labelled frames, by hand, of each instance with the box that it gets."""
    matcher = VSRDLabeler(load_config("kitti360_vsrd", [f"losses.matching={matching}", "field.hyper_width=4"]))
    corners = UprightBoxes.stack([car.box for car in CARS[::-1]]).corners()
    ious, order = matcher._match(group, [track[0] for track in whole(group)], corners)
    assert order.tolist() == ([1, 0] if matching == "hungarian" else [0, 1])
    for n, box in enumerate(order):
        expected = []
        for frame in group.label_frames:
            corners_cam = rigid.apply(rigid.inverse(frame.view.T_world_cam), corners[box])
            clipped = clip_boxes(project_boxes(corners_cam, frame.view.K), frame.view.image_size)
            expected.append(box_iou(clipped, frame.mask_boxes_xyxy[n]).item())
        assert ious[n] == pytest.approx(np.mean(expected))
    assert (ious > 0.7).all() if matching == "hungarian" else (ious < 0.1).all()


@pytest.mark.parametrize("has_motions", [True, False])
def test_what_cannot_have_stood_still_is_called_moving_and_without_a_motion_little_believed(labeler, has_motions):
    labeler = labeler if has_motions else set_up(load_config("fast", ["masks.softness=3.0", "motion.fit=false"]))
    poses = [camera_pose(x, 0.1 * x) for x in range(6)]
    parked = replace(CARS[1], center_world=(16.0, -3.2, 0.75))
    driving = [replace(CARS[0], center_world=(14.0 + 1.5 * v, 2.6, 0.75), yaw_world=0.0) for v in range(len(poses))]
    standing_still = make_group([driving[0], parked], poses)
    in_motion = make_scenes([[car, parked] for car in driving], poses)
    assert [fit.is_moving for fit in label(labeler, standing_still, seed=0)] == [False, False]
    moving, still = label(labeler, in_motion, seed=0)
    assert moving.is_moving and not still.is_moving and still.motion is None
    assert (moving.motion is not None) == has_motions
    unclear = FAST.labels.moving_confidence
    assert still.confidence > unclear and (moving.confidence > unclear) == has_motions


def with_edges_moved(group, px):
    """The group with masks that are too small by so many px all around, or too large."""
    kernel, maps = np.ones((3, 3), np.uint8), group.instance_maps.copy()
    for instance_map, seen in zip(maps, group.instance_maps, strict=True):
        for instance_id in group.plan.instance_ids:
            mask = (seen == instance_id).astype(np.uint8)
            instance_map[mask > 0] = 0
            changed = (cv2.erode if px > 0 else cv2.dilate)(mask, kernel, iterations=abs(px)) > 0
            is_free = ~np.isin(instance_map, group.plan.instance_ids)
            instance_map[changed & is_free] = instance_id
    return with_maps(group, maps)


@pytest.mark.parametrize("px", [-2, 2, 3])
def test_masks_that_are_too_small_or_too_large_all_around_are_seen_through(px, labeler, street, street_labels):
    groups, truth = street
    insets, fits = [], []
    for group in groups:
        prepared = prepare(FAST, with_edges_moved(group, px))
        bodies = labeler.bodies(prepared)
        insets += bodies.fit.insets.tolist()
        fits += labeler.label_bodies(prepared, bodies, seed=0)
    assert 0.4 < np.mean(insets) / px < 1.1
    as_drawn = [fit for labels in street_labels for fit in labels]
    assert np.mean(ious_3d(fits, truth)) > np.mean(ious_3d(as_drawn, truth)) - 0.06 * (abs(px) - 1)


def test_rough_masks_are_not_called_motion(labeler):
    """Outlines that are ragged by 4 px, otherwise in each frame: off all bodies alike."""
    third = Thing(26003, (19.0, 3.0, 0.75), 0.1, body=random_car(np.random.default_rng(3)))
    group, random = make_group([*CARS, third], POSES), np.random.default_rng(0)
    maps = group.instance_maps.copy()
    for instance_map in maps:
        for instance_id in group.plan.instance_ids:
            mask = instance_map == instance_id
            instance_map[mask] = 0
            noise = random.standard_normal(mask.shape).astype(np.float32)
            instance_map[ragged(mask, 4.0, noise) & (instance_map == 0)] = instance_id
    fits = label(labeler, with_maps(group, maps), seed=0)
    assert len(fits) == 3 and not any(fit.is_moving for fit in fits)


def test_an_occluded_car_that_stands_is_not_called_moving(labeler):
    wall = Thing(12001, (9.0, 2.2, 0.75), 0.0, (0.5, 0.8, 2.0))
    group = make_group([CARS[0], wall], POSES, labelled=(26001,))
    assert [fit.is_moving for fit in label(labeler, group, seed=0)] == [False]


def test_an_instance_that_no_view_shows_gets_no_box(either, group):
    maps = np.where(group.instance_maps == 26001, 7000, group.instance_maps)
    (fit,) = label(either, with_maps(group, maps), seed=0)
    assert fit.instance_id == 26002
    assert ious_3d([fit], TRUTH)[0] > 0.6
    assert label(either, with_maps(group, np.full_like(maps, 7000)), seed=0) == []


def test_bodies_need_no_target_view_and_volumetric_steps_do(labeler, volumetric, group):
    maps = group.instance_maps.copy()
    maps[0] = 7000
    unseen = with_maps(group, maps)
    fits = label(labeler, unseen, seed=0)
    assert [fit.num_views for fit in fits] == [3, 3] and min(ious_3d(fits, TRUTH)) > 0.6
    assert label(volumetric, unseen, seed=0) == []


def test_one_view_is_enough_for_a_box_that_can_be(labeler):
    fits = label(labeler, make_group(CARS, POSES[:1]), seed=0)
    for fit in fits:
        assert np.linalg.norm(fit.box.centers - TRUTH[fit.instance_id].centers) < 2
        assert fit.num_views == 1 and fit.bearing_spread_deg == 0


def test_each_instance_is_fitted_in_its_own_views(labeler, group):
    own = replace(group, plan=replace(group.plan, instance_views=((0, 1, 2, 3), (1, 3))))
    first, second = label(labeler, own, seed=0)
    assert (first.num_views, second.num_views) == (4, 2)
    cameras = np.stack([group.views[frame].T_world_cam[:3, 3] for frame in (1, 3)])
    assert second.bearing_spread_deg == pytest.approx(bearing_spread_deg(second.box.centers, cameras))


def test_numbers_that_are_not_finite_are_an_error(volumetric, group, monkeypatch):
    def spoilt(*args, **kwargs):
        fit = optimise(*args, **kwargs)
        fit.boxes.locations[0, 1] = torch.nan
        return fit

    monkeypatch.setattr("vsrd_ray.labelers.vsrd.labeler.optimise", spoilt)
    with pytest.raises(FloatingPointError, match="not finite"):
        label(volumetric, group, seed=0)
    (error,) = label_many(volumetric, [group], seed=0)
    assert isinstance(error, FloatingPointError)


@pytest.mark.parametrize(
    ("cameras", "expected"),
    [
        ([(10, 0)], 0),
        ([(10, 0), (0, 10)], 90),
        ([(10, 0), (0, 10), (-10, 0)], 180),
        ([(-10, 1), (-10, -1)], 2 * np.rad2deg(np.arctan(0.1))),  # across the angle at which atan2 jumps
        ([(5, 5), (9, 9)], 0),  # height does not count, distance neither
    ],
)
def test_bearing_spread_by_hand(cameras, expected):
    center = np.array([1000.0, 2000, 30])
    positions = np.array([(1000 + x, 2000 + y, 31 + index) for index, (x, y) in enumerate(cameras)])
    assert bearing_spread_deg(center, positions) == pytest.approx(expected, abs=1e-9)
