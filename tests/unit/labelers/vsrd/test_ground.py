"""The road under a camera's way, by hand. Frame: x right, y down, z forward; y = -.1 z climbs by a tenth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vsrd_ray.labelers.vsrd.ground import CAMERA_HEIGHT, CAMERA_HEIGHT_SPREAD, Ground, camera_height

CLIMB = 0.1


def climbing(dtype=torch.float64, metres=40):
    """Positions of a camera that drives straight up a hill, a metre at a time."""
    z = torch.arange(metres + 1, dtype=dtype)
    return torch.stack([torch.zeros_like(z), -CLIMB * z, z], dim=-1)


def turning(dtype=torch.float64, radius=30.0):
    """Those of one that drives a quarter of a circle to the right, and climbs by a twentieth."""
    angles = torch.linspace(0, torch.pi / 2, 95, dtype=dtype)
    return torch.stack([radius * (1 - angles.cos()), -0.05 * radius * angles, radius * angles.sin()], dim=-1)


def at(ground, *points):
    return [values.tolist() for values in ground.at(torch.tensor(points).to(ground.way))]


def test_under_the_way_the_road_is_a_cameras_height_lower():
    ground = Ground.under(climbing(), height=1.5, spread=0.1)
    heights, slopes, spreads = at(ground, (0.0, 0.0), (0.0, 10.25), (0.0, 40.0))
    np.testing.assert_allclose(heights, [1.5, 0.475, -2.5], atol=1e-9)
    np.testing.assert_allclose(slopes, [[0, -CLIMB]] * 3, atol=1e-9)
    np.testing.assert_allclose(spreads, 0.1, rtol=1e-6)


def test_beside_the_way_the_road_is_as_high_but_less_sure():
    ground = Ground.under(climbing(), height=1.5, spread=0.1)
    heights, slopes, spreads = at(ground, (-6.0, 10.25), (6.0, 10.25), (20.0, 10.25))
    np.testing.assert_allclose(heights, 0.475, atol=1e-9)
    np.testing.assert_allclose(slopes, [[0, -CLIMB]] * 3, atol=1e-9)
    np.testing.assert_allclose(spreads, np.hypot(0.1, 0.003 * np.array([36, 36, 400])), rtol=1e-6)


def test_beyond_its_ends_the_road_goes_on_as_it_was_and_is_ever_less_sure():
    ground = Ground.under(climbing(), height=1.5, spread=0.1)
    heights, slopes, spreads = at(ground, (0.0, 60.0), (0.0, -20.0), (0.0, 41.0))
    np.testing.assert_allclose(heights, [-4.5, 3.5, -2.6], atol=1e-9)
    np.testing.assert_allclose(slopes, [[0, -CLIMB]] * 3, atol=1e-9)
    np.testing.assert_allclose(spreads, np.hypot(0.1, 0.01 * np.array([20, 20, 1])), rtol=0.01)


def test_a_road_that_ends_in_a_dip_goes_on_as_its_last_metres_do():
    """Not as the last step alone does, which may be a bump."""
    way = climbing()
    way[-1, 1] += 0.3
    (height,), _, _ = at(Ground.under(way, height=1.5, spread=0.1), (0.0, 50.0))
    last = -CLIMB * 40 + 0.3
    assert height == pytest.approx(1.5 + last + 10 * (last + CLIMB * 32) / 8)


@pytest.mark.parametrize("offset", [-5.0, 0.0, 5.0])
def test_around_a_bend_the_nearest_point_of_the_way_counts(offset):
    ground = Ground.under(turning(), height=1.6, spread=0.1)
    angle = 0.8
    point = 30 - (30 - offset) * np.cos(angle), (30 - offset) * np.sin(angle)
    (height,), (slope,), (spread,) = at(ground, point)
    assert height == pytest.approx(1.6 - 0.05 * 30 * angle, abs=0.01)
    np.testing.assert_allclose(slope, -0.05 * np.array([np.sin(angle), np.cos(angle)]), atol=1e-3)
    assert spread == pytest.approx(np.hypot(0.1, 0.003 * offset**2), abs=1e-3)


def test_slopes_are_derivatives_of_heights():
    ground = Ground.under(turning(), height=1.6, spread=0.1)
    points = torch.as_tensor(np.random.default_rng(0).uniform(-10, 40, (200, 2))).requires_grad_()
    heights, slopes, _ = ground.at(points)
    (expected,) = torch.autograd.grad(heights.sum(), points)
    at_corner = (expected == 0).all(dim=-1)  # on the outside of a bend many points have the same nearest one
    torch.testing.assert_close(slopes[~at_corner], expected[~at_corner], rtol=1e-6, atol=1e-6)
    assert at_corner.double().mean() < 0.3
    assert 0.0499 < slopes.norm(dim=-1).min() <= slopes.norm(dim=-1).max() < 0.0503


def test_points_may_have_any_axes():
    ground = Ground.under(turning(), height=1.6, spread=0.1)
    points = torch.as_tensor(np.random.default_rng(0).uniform(-10, 40, (3, 4, 5, 2)))
    many, flat = ground.at(points), ground.at(points.reshape(-1, 2))
    assert [values.shape for values in many] == [(3, 4, 5), (3, 4, 5, 2), (3, 4, 5)]
    for ours, theirs in zip(many, flat, strict=True):
        assert torch.equal(ours.reshape(theirs.shape), theirs)


def test_stops_on_the_way_change_nothing():
    """A camera that waits at a light sways by centimetres; those steps tell no slope."""
    way = climbing()
    sway = torch.as_tensor(np.random.default_rng(0).normal(scale=0.03, size=(20, 3)))
    waiting = torch.cat([way, way[-1] + sway])
    points = torch.tensor([[0.0, 20.0], [3.0, 45.0], [0.0, 60.0]]).double()
    moved, stopped = (Ground.under(one, height=1.5, spread=0.1).at(points) for one in (way, waiting))
    for ours, theirs in zip(moved, stopped, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_camera_that_hardly_moves_stands_on_a_level_road(count):
    way = torch.tensor([3.0, -1.0, 2.0]).double() + 0.01 * torch.arange(count)[:, None]
    ground = Ground.under(way, height=1.5, spread=0.1)
    heights, slopes, spreads = at(ground, (3.0, 2.0), (3.0, 30.0), (10.0, -40.0))
    np.testing.assert_allclose(heights, 0.5, atol=1e-6)
    assert np.abs(slopes).max() < 1e-6 and np.isfinite(spreads).all()
    assert spreads[0] < spreads[1] < spreads[2]


def feet(way, places, offsets, above):
    """Points of a road 1.5 m under places of a way, so far beside it and so far above the road."""
    points = way[places].clone()
    points[:, 0] += torch.as_tensor(offsets)
    points[:, 1] += 1.5 - torch.as_tensor(above)
    return points


def test_parked_cars_tell_how_high_the_camera_is():
    way = climbing()
    height, spread = camera_height(way, feet(way, range(2, 38, 3), 3.0, np.tile([-0.03, 0.03], 6)))
    assert height == pytest.approx(1.5, abs=0.01)
    assert spread == pytest.approx(0.05)  # it is never surer than that


def test_without_parked_cars_the_camera_is_as_high_as_usual():
    assert camera_height(climbing(), torch.zeros(0, 3).double()) == (CAMERA_HEIGHT, CAMERA_HEIGHT_SPREAD)


def test_one_parked_car_is_believed_in_part():
    way = climbing()
    height, spread = camera_height(way, feet(way, [20], 2.0, 0.0))
    foot_spread = np.hypot(0.06, 0.003 * 2**2)
    share = foot_spread**-2 / (foot_spread**-2 + CAMERA_HEIGHT_SPREAD**-2)
    assert height == pytest.approx(share * 1.5 + (1 - share) * CAMERA_HEIGHT, abs=2e-3)
    assert spread == pytest.approx((foot_spread**-2 + CAMERA_HEIGHT_SPREAD**-2) ** -0.5, rel=0.05)


def test_feet_that_are_off_the_road_are_let_go():
    way = climbing()
    above = np.array([0, 0, 0, 0, 0, 0.8, -1.5, 2.0, 0])
    height, _ = camera_height(way, feet(way, range(3, 30, 3), 3.0, above))
    assert height == pytest.approx(1.5, abs=0.02)


def test_feet_far_beside_the_way_weigh_little():
    """Two cars 14 m beside it, on a rise of .4 m, against one beside the kerb."""
    way = climbing()
    one, _ = camera_height(way, feet(way, [20], 3.0, 0.0))
    three, _ = camera_height(way, feet(way, [20, 10, 30], [3.0, 14.0, -14.0], [0.0, 0.4, 0.4]))
    near, _ = camera_height(way, feet(way, [20, 10, 30], [3.0, 3.0, -3.0], [0.0, 0.4, 0.4]))
    assert three == pytest.approx(one, abs=0.01)
    assert near < one - 0.2


@pytest.mark.parametrize("way_of", [climbing, turning])
def test_single_precision_is_enough(way_of):
    rng = np.random.default_rng(0)
    points = torch.as_tensor(rng.uniform(-10, 60, (100, 2)))
    places = torch.as_tensor(rng.uniform(-5, 5, (8, 3)))
    single, double = (
        (
            Ground.under(way_of(dtype), height=1.5, spread=0.1).at(points.to(dtype)),
            camera_height(way_of(dtype), (way_of(dtype)[::5][:8] + places).to(dtype)),
        )
        for dtype in (torch.float32, torch.float64)
    )
    for ours, theirs in zip(single[0], double[0], strict=True):
        assert ours.dtype == torch.float32
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-3)
    np.testing.assert_allclose(single[1], double[1], atol=1e-4)


def test_where_a_way_is_does_not_matter():
    """Moved by 300 m: heights move along, slopes and spreads stay."""
    ground, shift = Ground.under(turning(), height=1.6, spread=0.1), torch.tensor([300.0, -20.0, 100.0]).double()
    moved = replace(ground, way=ground.way + shift)
    points = torch.as_tensor(np.random.default_rng(0).uniform(-10, 40, (100, 2)))
    heights, slopes, spreads = ground.at(points)
    other_heights, other_slopes, other_spreads = moved.at(points + shift[[0, 2]])
    torch.testing.assert_close(other_heights, heights + shift[1])
    torch.testing.assert_close(other_slopes, slopes, rtol=0, atol=1e-3)  # of which of two steps as near
    torch.testing.assert_close(other_spreads, spreads)
