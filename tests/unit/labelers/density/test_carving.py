"""Carving, fields and stereo on scenes that are known exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vsrd_ray.errors import InputError
from vsrd_ray.labelers.density.carving import carve, grid_along
from vsrd_ray.labelers.density.measurements import Ranges, disparities, sweep_ranges
from vsrd_ray.labelers.density.refinement import Posed, refine
from vsrd_ray.labels.depth.field import Field, densities_at, field_of, kept_density, profile, seen_depth
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import Voxels

K = np.array([[40.0, 0, 31.5], [0, 40.0, 15.5], [0, 0, 1]])
SIZE = (64, 32)
# Looks along the world's +x: x right = -y, y down = -z.
LOOKING_ALONG_X = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
GRID = Grid.of([0, -4, -2, 10, 4, 2], 0.2)


def wall_at(x):
    """A field that is filled from a wall across the way on."""
    centers = torch.arange(GRID.shape[0]) * 0.2 + 0.1
    values = ((centers - x) / 0.5).clamp(-1, 1)[:, None, None].expand(GRID.shape).contiguous()
    return Field(GRID, np.eye(4), values)


def test_a_wall_is_seen_where_it_stands():
    depth, spread, stopped = seen_depth(wall_at(6.03), K, LOOKING_ALONG_X, SIZE)
    assert stopped[8:24, 16:48].min() > 0.99
    np.testing.assert_allclose(depth[8:24, 16:48], 6.03, atol=0.25)
    assert spread[8:24, 16:48].max() < 0.5


def test_free_space_is_not_seen():
    field = Field(GRID, np.eye(4), torch.full(GRID.shape, -1.0))
    assert seen_depth(field, K, LOOKING_ALONG_X, SIZE)[2].max() < 1e-3


def test_density_survives_its_table():
    field = wall_at(6.03)
    kept = kept_density(field.values).numpy()
    back = field_of(Voxels(GRID, np.eye(4), density=kept))
    near = (field.values > -0.9) & (field.values < 0.9)
    np.testing.assert_allclose(back.values[near], field.values[near], atol=0.01)
    points = np.column_stack([np.arange(5.0, 7.0, 0.07), np.full(29, 0.3), np.full(29, -0.4)])
    np.testing.assert_array_equal(densities_at(back, points) > 0.5, points[:, 0] > 6.03)
    assert densities_at(back, np.array([[50.0, 0, 0]])) == 0
    with pytest.raises(InputError, match="without a density"):
        field_of(Voxels(GRID, np.eye(4)))


def test_profile_sees_the_wall():
    pose = LOOKING_ALONG_X.copy()
    pose[:3, 3] = (-4, 0, 0.6)
    found = profile(wall_at(6.03), pose)
    middle = found[:, 44:46].mean(axis=1)  # from 21 to 3 m ahead: the wall stands at 10 m
    ahead = np.linspace(21, 3, len(middle))
    assert middle[(ahead < 9.5) & (ahead > 5)].min() > 0.9
    assert middle[(ahead > 10.5) & (ahead < 13)].max() < 0.3


def test_carving_finds_a_wall_and_what_it_hides():
    depth = np.full(SIZE[::-1], 6.0, dtype=np.float32)
    depth[:, :32] = 0  # nothing is known to the left
    ranges = Ranges(depth, np.full_like(depth, 0.05), LOOKING_ALONG_X, K)
    carved = carve([ranges], GRID, np.eye(4), truncation=0.5, least_evidence=0.02, device="cpu")
    ahead = carved.values[:, 18, 10].numpy()  # to the right: y = -0.3
    x = (np.arange(len(ahead)) + 0.5) * 0.2
    assert (ahead[(x > 1.2) & (x < 5.9)] < 0).all()
    assert (ahead[(x > 6.1) & (x < 6.4)] > 0).all()
    assert (carved.evidence[:, 18, 10].numpy()[x > 6.6] == 0).all()
    assert (ahead[x > 6.6] > 0).all()  # hidden: weakly occupied
    assert (carved.values[:, 22, 10].numpy()[(x > 1.2) & (x < 9)] < 0).all()  # open


def test_two_measurements_weigh_by_their_errors():
    def of(distance, error):
        depth = np.full(SIZE[::-1], distance, dtype=np.float32)
        return Ranges(depth, np.full_like(depth, error), LOOKING_ALONG_X, K)

    carved = carve([of(6.0, 0.1), of(6.4, 1.0)], GRID, np.eye(4), truncation=2.0, least_evidence=0, device="cpu")
    x = (np.arange(GRID.shape[0]) + 0.5) * 0.2
    crossing = np.interp(0, carved.values[25:35, 20, 10].numpy(), x[25:35])
    assert 6.0 <= crossing < 6.05


def test_a_sweep_becomes_a_range_image():
    points = np.array([[5.0, 0, 0], [7.0, 0, 0], [0, 3.0, -0.5], [0, 0, 9.0], [0.1, 0, 0]])
    ranges = sweep_ranges(points, np.eye(4))
    known = np.sort(ranges.values[ranges.values > 0])
    np.testing.assert_allclose(known, [np.hypot(3, 0.5), 5], rtol=1e-6)  # the nearest; what is above or too near is not


def test_disparities_of_a_shifted_image():
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 255, (48, 120, 3), dtype=np.uint8)
    left, right = wide[:, 6:102], wide[:, 10:106]  # what is at u in the right image is at u + 4 in the left one
    of_left, of_right = disparities(np.ascontiguousarray(left), np.ascontiguousarray(right), focal_baseline=30.0)
    assert np.median(of_left[8:40, 16:80]) == pytest.approx(4, abs=0.1)
    assert np.median(of_right[8:40, 16:80]) == pytest.approx(4, abs=0.1)
    assert (of_left[:, 16:] > 0).mean() > 0.8


def test_refinement_moves_a_wall_to_where_images_agree():
    """A textured wall at 6 m, carved at 6.3 m: the photographs of two cameras bring it back."""
    rng = np.random.default_rng(1)
    texture = np.kron(rng.integers(40, 215, (40, 60, 3)), np.ones((2, 2, 1)))
    views = []
    for shift in (0.0, 0.5):
        pose = LOOKING_ALONG_X.copy()
        pose[1, 3] = -shift
        u = np.arange(SIZE[0])[None] + 40.0 * shift / 6.0  # 3.33 px
        v = np.arange(SIZE[1])[:, None] + 0.0 * u
        u = u + 0.0 * v
        low = np.floor(u).astype(int)
        share = (u - low)[..., None]
        rows = v.astype(int)
        image = texture[rows, low + 10] * (1 - share) + texture[rows, low + 11] * share
        views.append(Posed(np.rint(image).astype(np.uint8), K, pose, np.full(SIZE[::-1], 6.3, dtype=np.float32)))
    start = wall_at(6.35)
    kwargs = {"steps": 40, "window": 0.8, "seed": 0}
    found = refine(start, views, [[1], [0]], **kwargs)
    before, after = (seen_depth(one, K, LOOKING_ALONG_X, SIZE)[0][8:24, 16:48].mean() for one in (start, found))
    assert abs(after - 6.0) < 0.85 * abs(before - 6.0)
    again = refine(start, views, [[1], [0]], **kwargs)
    torch.testing.assert_close(found.values, again.values, rtol=0, atol=0)
    assert refine(start, views, [[], []], **kwargs).values.equal(start.values)


def test_the_grid_follows_the_way():
    poses = []
    for step in range(5):
        pose = LOOKING_ALONG_X.copy()
        pose[:3, 3] = (100 + 2 * step, 200 + 2 * step, 3)
        poses.append(pose)
    sides = {"ahead": 10.0, "beside": 5.0, "below": 2.0, "above": 1.0}
    grid, T_world_grid = grid_along(poses, voxel_size=0.5, **sides)
    np.testing.assert_allclose(T_world_grid[:2, 0], [np.sqrt(0.5)] * 2)
    assert grid.range[1] <= -5
    assert grid.range[4] >= 5
    assert grid.range[2] == -2
    with pytest.raises(InputError, match="expected at most"):
        grid_along(poses, voxel_size=0.01, **sides)
    still = [replace_translation(pose, (0, 0, 0)) for pose in poses]
    assert np.isfinite(grid_along(still, voxel_size=0.5, **sides)[1]).all()
    assert replace(wall_at(6), T_world_grid=T_world_grid).grid == GRID


def replace_translation(pose, place):
    moved = pose.copy()
    moved[:3, 3] = place
    return moved
