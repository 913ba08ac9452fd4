"""Figures of depth and occupancy, on what one can work out by hand."""

import math

import numpy as np
import pytest

from vsrd_ray.labels.depth.evaluation import baselines, occupancy
from vsrd_ray.labels.depth.evaluation.depth import depth_scores, lidar_depth, within_range
from vsrd_ray.labels.depth.evaluation.hidden import area_under_curve, truth_scores
from vsrd_ray.labels.depth.evaluation.novel_views import psnr, ssim

K = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1]])
# LiDAR axes (x ahead, y left, z up) at the camera's place.
T_CAM_LIDAR = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def ring(radius, *, except_deg=(), nearer_deg=()):
    """A sweep that returns from a wall all around, 0.375 m below the camera along the street; halved where nearer."""
    azimuths_deg = np.arange(-180, 180, 0.25) + 0.1
    ranges = np.where(np.isin(np.floor(azimuths_deg), nearer_deg), radius / 2, radius)
    x, y = ranges * np.cos(np.radians(azimuths_deg)), ranges * np.sin(np.radians(azimuths_deg))
    z = -(0.375 - occupancy.T_EVAL_CAM[1, 2] * x) / occupancy.T_EVAL_CAM[1, 1]
    kept = ~np.isin(np.floor(azimuths_deg), except_deg)
    return occupancy.Sweep(np.stack([x, y, z], axis=1)[kept], T_CAM_LIDAR)


@pytest.fixture(scope="module")
def wall():
    """Query points, and what twenty sweeps of a wall at 10 m say of them, strictly."""
    points = np.array([[0, 0.3, 5.0], [0, 0.3, 9.5], [0, 0.3, 10.5], [0, 0.3, 15.0], [0, 0.3, 2.0]])
    return points, occupancy.measure(points, [ring(10.0)] * 20, published=False)


def test_points_behind_the_wall_and_in_the_blind_ring_are_occupied(wall):
    _, measured = wall
    assert measured.occupied.tolist() == [False, False, True, True, True]
    assert measured.free_now.tolist() == [True, True, False, False, False]


def test_two_sweeps_may_see_an_occupied_point():
    points = np.array([[0, 0.3, 12.0]])
    for seen, expected in ((2, True), (3, False)):
        sweeps = [ring(10.0)] * (20 - seen) + [ring(14.0)] * seen
        assert occupancy.measure(points, sweeps, published=False).occupied.tolist() == [expected]


def test_an_empty_bin_takes_the_range_before_it():
    _, ranges = occupancy.nearest_returns(ring(10.0, except_deg=[-180, -179, 30, 31, 32], nearer_deg=[29, -178]))
    assert ranges[1:-1][208:214] == pytest.approx([10, 5, 5, 5, 5, 10])
    assert ranges[1:5] == pytest.approx([5, 5, 5, 10])  # nothing before: the range of the least azimuth


def test_no_return_in_the_band_is_an_error():
    with pytest.raises(ValueError, match=r"no return of the sweep"):
        occupancy.nearest_returns(occupancy.Sweep(np.array([[5.0, 0, 3.0]]), T_CAM_LIDAR))
    with pytest.raises(ValueError, match=r"there are none"):
        occupancy.measure(np.zeros((1, 3)), [], published=True)


def test_too_large_a_depth_games_the_published_protocol_and_not_the_strict_one(wall):
    points, measured = wall
    far = np.full((4, 8), 100.0)
    table = baselines.compared(
        np.zeros(5, bool), points, far, K, published=measured, strict=measured, strict_depth=np.full((4, 8), 10.0)
    )
    assert set(table) == {"method", *baselines.NAMES}
    assert table["method"]["published"]["o_acc"] == 1.0
    assert table["method"]["strict"]["ie_acc"] == 0.0
    assert math.isnan(table["method"]["published"]["ie_acc"])


def test_baselines_fill_what_lies_behind_the_depth(wall):
    points, _ = wall
    fields = baselines.baselines(points, np.full((4, 8), 9.6), K)
    assert {name: field.tolist() for name, field in fields.items()} == {
        "all free": [False] * 5,
        "1 m shell": [False, False, True, False, False],
        "4 m shell": [False, False, True, False, False],
        "all behind": [False, False, True, True, False],
    }


def test_means_leave_out_what_has_no_denominator():
    mean = occupancy.mean_scores([{"a": 1.0, "b": math.nan}, {"a": 0.0, "b": math.nan}, {"a": math.nan, "b": math.nan}])
    assert mean["a"] == 0.5
    assert math.isnan(mean["b"])
    assert occupancy.mean_scores([]) == {}


def test_truth_scores_and_the_area_under_the_curve():
    inside = np.array([True, True, False, False])
    scores = truth_scores(np.array([True, False, True, False]), inside, np.array([True, True, False, False]))
    assert scores == {"iou": 1 / 3, "accuracy": 0.5, "hidden_accuracy": 0.5}
    assert area_under_curve(np.array([3.0, 1.0, 2.0, 0.0]), inside) == 0.75
    assert area_under_curve(np.zeros(4), inside) == 0.5
    assert math.isnan(area_under_curve(np.zeros(4), np.zeros(4, bool)))


def test_the_nearest_point_of_a_pixel_counts_and_points_behind_blank_only_as_published():
    P = np.array([[2.0, 0, 2, 0], [0, 2.0, 2, 0], [0, 0, 1, 0]])
    points = np.array([[0, 0, 7.0], [0, 0, 5.0], [0.0, 0, -6.0], [0, 0, 90.0]])
    assert lidar_depth(points, P, (4, 4))[2, 2] == 5.0
    assert not lidar_depth(points, P, (4, 4), behind_too=True).any()
    assert not within_range(lidar_depth(points[3:], P, (4, 4))).any()


def test_depth_scores_of_a_tenth_too_much_and_of_nothing():
    true = np.full((4, 4), 10.0)
    scores = depth_scores(np.full((2, 2), 11.0), true)
    assert scores["abs_rel"] == pytest.approx(0.1)
    assert (scores["rmse"], scores["a1"]) == (pytest.approx(1.0), 1.0)
    assert math.isnan(depth_scores(true, np.zeros((4, 4)))["a1"])


def test_images_are_compared_without_their_border():
    image = np.random.default_rng(0).random((40, 60, 3))
    framed = image.copy()
    framed[:2], framed[:, :3] = 0, 0
    assert psnr(framed, image) == math.inf
    assert ssim(framed, image) == pytest.approx(1.0)
    assert psnr(np.clip(image, 0, 1) + 0.1, image) == pytest.approx(20.0)
    assert ssim(image[::-1, ::-1], image) < 0.2
    assert ssim(image[..., :1], image[..., :1]) == pytest.approx(1.0)
