from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import with_maps
from hand_made import IMAGE_SIZE, ROAD, Thing, camera_pose, make_group
from scipy.stats import chisquare

from vsrd_ray.data.classes import UNKNOWN
from vsrd_ray.data.masks import refine_mask, soft_mask
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.vsrd.config import MaskSettings
from vsrd_ray.labelers.vsrd.targets import build_targets, draw_rays

SETTINGS = MaskSettings()
THINGS = (
    Thing(26001, (12.0, 2.5, 0.75), 0.3),
    Thing(26002, (11.0, -3.0, 0.75), 2.0),
    Thing(26003, (60.0, 0.0, 0.75)),  # 4 px high in the target view
)
# the last camera has driven past the first two
POSES = (
    camera_pose(0, 0, pitch=0.05, roll=0.03),
    camera_pose(2, 0.5, heading=0.05, pitch=-0.02),
    camera_pose(35, 0, roll=-0.02),
)


@pytest.fixture(scope="module")
def group():
    return make_group(THINGS[:2], POSES[:2])


@pytest.fixture(scope="module")
def three():
    """Three instances, the third too small to be fitted; the third view shows none but that one."""
    first, last = make_group(THINGS, POSES[:2]), make_group(THINGS[2:], POSES[2:])
    instance_maps = np.concatenate([first.instance_maps, last.instance_maps])
    return with_maps(first, instance_maps, (*first.views, replace(last.views[0], frame=2)))


def build(group, settings=SETTINGS, dtype=torch.float64):
    return build_targets(group, settings, dtype=dtype)


def test_shapes_and_who_is_seen_where(three):
    targets = build(three)
    assert targets.instance_ids == (26001, 26002)
    assert targets.class_names == ("car", "car")
    assert targets.image_size == IMAGE_SIZE
    assert targets.visible.tolist() == [[True, True], [True, True], [False, False]]
    assert targets.K.shape == (3, 3, 3) and targets.T_ref_cam.shape == (3, 4, 4)
    assert targets.mask_boxes.shape == (3, 2, 4)
    assert targets.mask_boxes.dtype == targets.K.dtype == torch.float64
    assert [[soft is not None for soft in row] for row in targets.soft_masks()] == targets.visible.tolist()
    assert (targets.mask_boxes[2] == 0).all()


def test_instances_too_small_in_the_target_view_come_back_with_lower_limits(three):
    small = MaskSettings(min_target_area=1, min_target_side=0)
    targets = build(three, small)
    assert targets.instance_ids == (26001, 26002, 26003)
    assert targets.visible[:, 2].all()
    assert build(three, MaskSettings(min_target_area=10**5)).instance_ids == ()


def test_source_views_need_fewer_pixels():
    group = make_group(THINGS[:2], [POSES[1], POSES[0]])  # the source stands farther away than the target
    seen = np.count_nonzero(refine_mask(group.instance_maps[1] == 26001))
    assert build(group, MaskSettings(min_source_area=seen)).visible[:, 0].tolist() == [True, True]
    assert build(group, MaskSettings(min_source_area=seen + 1)).visible[:, 0].tolist() == [True, False]


def test_mask_boxes_are_those_of_the_pixels(three):
    targets = build(three)
    for v in range(2):
        for n, instance_id in enumerate(targets.instance_ids):
            rows, columns = np.nonzero(three.instance_maps[v] == instance_id)
            expected = [columns.min(), rows.min(), columns.max(), rows.max()]
            np.testing.assert_allclose(targets.mask_boxes[v, n], expected, atol=1e-9)


def test_masks_are_refined_first(group):
    maps = group.instance_maps.copy()
    rows, columns = np.nonzero(maps[0] == 26001)
    maps[0, 2:5, 2:5] = 26001  # a stray patch
    maps[0, int(rows.mean()), int(columns.mean())] = ROAD  # a hole
    untouched, spoilt = build(group), build(with_maps(group, maps))
    assert torch.equal(untouched.mask_boxes, spoilt.mask_boxes)
    np.testing.assert_array_equal(untouched.soft_masks()[0][0].values, spoilt.soft_masks()[0][0].values)
    raw = build(with_maps(group, maps), MaskSettings(refine=False))
    np.testing.assert_allclose(raw.mask_boxes[0, 0, :2], [2, 2])


def test_the_reference_frame_stands_level_at_the_target_camera(group):
    targets = build(group)
    np.testing.assert_allclose(targets.T_world_ref, rigid.levelled_at(POSES[0]))
    np.testing.assert_allclose(targets.T_ref_cam[0, :3, 3], 0, atol=1e-12)
    for pose, T_ref_cam in zip(POSES, targets.T_ref_cam.numpy(), strict=False):
        np.testing.assert_allclose(targets.T_world_ref @ T_ref_cam, pose, atol=1e-12)
    np.testing.assert_allclose(targets.T_cam_ref @ targets.T_ref_cam, np.stack([np.eye(4)] * 2), atol=1e-12)


def test_kilometres_from_the_origin_nothing_is_lost():
    shift = np.eye(4)
    shift[:3, 3] = 1234.5, -54321.0, 100.25
    near = build(make_group(THINGS[:2], POSES[:2]), dtype=torch.float32)
    moved = [Thing(t.instance_id, tuple(t.center_world + shift[:3, 3]), t.yaw_world) for t in THINGS[:2]]
    far = build(make_group(moved, [shift @ pose for pose in POSES[:2]]), dtype=torch.float32)
    torch.testing.assert_close(far.T_ref_cam, near.T_ref_cam, rtol=0, atol=1e-6)
    np.testing.assert_allclose(far.T_world_ref, shift @ near.T_world_ref, atol=1e-9)


def full_soft_masks(group, instance_ids, settings=SETTINGS):
    """[V, N, H, W], by the plain function."""
    return np.array(
        [
            [soft_mask(refine_mask(m == i), settings.softness, settings.distance) for i in instance_ids]
            for m in group.instance_maps
        ]
    )


def test_rays_carry_the_soft_masks_of_their_pixels(three):
    targets = build(three)
    rays = draw_rays(targets, num_steps=3, num_rays=200, generator=np.random.default_rng(0))
    assert rays.views.shape == (3, 200) and rays.pixels.shape == (3, 200, 2) and rays.soft_masks.shape == (3, 200, 2)
    assert rays.pixels.dtype == rays.soft_masks.dtype == targets.K.dtype
    full = full_soft_masks(three, targets.instance_ids)
    u, v = rays.pixels.long().unbind(dim=-1)
    expected = full[rays.views, :, v, u]  # [T, R, N]
    np.testing.assert_allclose(rays.soft_masks, expected, atol=1e-7)
    assert (expected.max(axis=-1) > 0).all()  # no ray where nothing is
    assert set(rays.views.unique().tolist()) == {0, 1}


def test_no_ray_is_held_against_what_is_unknown(group):
    maps = group.instance_maps.copy()
    _, top, right, bottom = (int(side) for side in build(group).mask_boxes[0, 0])
    crowd = np.s_[0, top - 4 : bottom + 5, right + 1 : right + 9]
    maps[crowd] = np.where(maps[crowd] % 1000 > 0, maps[crowd], UNKNOWN)
    drawn = {}
    for name, one in (("without", group), ("with", with_maps(group, maps, group.views))):
        rays = draw_rays(build(one), num_steps=20, num_rays=500, generator=np.random.default_rng(0))
        u, v = rays.pixels.long().unbind(dim=-1)
        drawn[name] = int((maps[rays.views, v, u] == UNKNOWN).sum())
    assert drawn["without"] > 20 and drawn["with"] == 0


def test_no_pixel_twice_in_a_step(group):
    rays = draw_rays(build(group), num_steps=4, num_rays=3000, generator=np.random.default_rng(1))
    for step in range(4):
        triples = torch.cat([rays.views[step, :, None].double(), rays.pixels[step]], dim=-1)
        assert len(triples.unique(dim=0)) == 3000


def in_blocks(values):
    """Sums [V * blocks] over blocks of 16 x 16 pixels."""
    views, height, width = values.shape
    return values.reshape(views, height // 16, 16, width // 16, 16).sum(axis=(2, 4)).ravel()


def test_rays_are_drawn_in_proportion_to_the_largest_soft_mask(group):
    targets = build(group)
    # Few rays a step, so that drawing without repetition does not show.
    rays = draw_rays(targets, num_steps=4000, num_rays=5, generator=np.random.default_rng(2))
    density = full_soft_masks(group, targets.instance_ids).max(axis=1)  # [V, H, W]
    counts = np.zeros_like(density)
    u, v = rays.pixels.long().reshape(-1, 2).numpy().T
    np.add.at(counts, (rays.views.reshape(-1).numpy(), v, u), 1)
    observed, expected = in_blocks(counts), in_blocks(density) / density.sum() * 20000
    many = expected > 10
    assert many.sum() > 20
    rest = observed[~many].sum(), expected[~many].sum()
    assert chisquare([*observed[many], rest[0]], [*expected[many], rest[1]]).pvalue > 0.01


def test_rays_hang_on_the_generator_alone(group):
    first, again, other = (
        draw_rays(build(group), num_steps=2, num_rays=50, generator=np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    for name in ("views", "pixels", "soft_masks"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.pixels, other.pixels)


def test_views_that_show_little_give_fewer_rays(group):
    sharp = MaskSettings(softness=0.1)
    rays = draw_rays(build(group, sharp), num_steps=2, num_rays=10**6, generator=np.random.default_rng(5))
    shown = np.count_nonzero(full_soft_masks(group, (26001, 26002), sharp).max(axis=1))
    assert rays.views.shape == (2, shown // 2)
