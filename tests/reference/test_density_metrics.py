"""Depth and occupancy as the published programs measure them: figures of `density_golden.npz`."""

import numpy as np
import pytest

from vsrd_ray.labels.depth.evaluation import occupancy
from vsrd_ray.labels.depth.evaluation.depth import FIGURES, depth_scores, eigen_depth, lidar_depth, within_range

PIXELS = 160 * 80


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "reference" / "density_golden.npz")


@pytest.fixture(scope="module")
def sweeps(golden):
    """The twenty sweeps; the dataset's files hold float32."""
    points = (golden["occ_sweeps_cm"] / 100).astype(np.float32).astype(float)
    T_world_pose = golden["occ_T_world_pose"]
    T_cam_world = np.linalg.inv(T_world_pose[0] @ golden["k360_T_pose_cam00"])
    return [
        occupancy.Sweep(one, T_cam_world @ pose @ golden["k360_T_pose_velo"])
        for one, pose in zip(np.split(points, golden["occ_sweep_lengths"].cumsum()[:-1]), T_world_pose, strict=False)
    ]


def bits(golden, name):
    return np.unpackbits(golden[name])[:PIXELS].astype(bool)


def z_of(golden):
    """The predicted depth along the axis, from that along rays through the corners' grid."""
    distance = golden["occ_pred_distance"].astype(float)
    u, v = np.meshgrid(np.linspace(-1, 1, distance.shape[1]), np.linspace(-1, 1, distance.shape[0]))
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(golden["k360_K_norm"]).T
    return distance / np.linalg.norm(rays, axis=-1)


def test_query_points(golden):
    points = occupancy.query_points().reshape(*occupancy.GRID, 3)
    np.testing.assert_allclose(points[::16, ::16][:, :5], golden["occ_query_points"], atol=1e-9)


def test_nearest_returns_of_each_sweep(golden, sweeps):
    for sweep, expected in zip(sweeps, golden["occ_slices"], strict=True):
        azimuths, ranges = occupancy.nearest_returns(sweep)
        np.testing.assert_allclose(azimuths, golden["occ_slice_angles"], atol=1e-9)
        np.testing.assert_allclose(ranges, expected, atol=1e-9)


def test_occupancy_and_its_scores(golden, sweeps):
    points_cam = occupancy.in_camera(occupancy.query_points())
    measured = occupancy.measure(points_cam, sweeps, published=True)
    np.testing.assert_array_equal(measured.occupied, bits(golden, "occ_lidar_occupied"))
    np.testing.assert_array_equal(measured.free_now, bits(golden, "occ_lidar_visible"))
    reached = occupancy.behind_depth(points_cam, z_of(golden), golden["k360_K_norm"]) <= 0
    np.testing.assert_array_equal(reached, bits(golden, "occ_pred_visible"))
    predicted = golden["occ_pred_sigma"].ravel() > occupancy.OCCUPIED_DENSITY
    scores = occupancy.scores(predicted, measured, reached)
    assert list(scores) == golden["occ_metric_names"].tolist()
    # The golden figures were kept in single precision.
    np.testing.assert_array_equal(np.array(list(scores.values()), np.float32), golden["occ_metrics"].astype(np.float32))


def test_depth_of_kitti_raw_by_eigens_protocol(golden):
    points = (golden["raw_points_cm"] / 100).astype(np.float32).astype(float)
    P = golden["raw_P_velo_to_left"]
    uncropped = within_range(lidar_depth(points[points[:, 0] >= 0], P, (1242, 375), first_pixel=1))
    np.testing.assert_allclose([(uncropped > 0).sum(), uncropped.sum()], golden["raw_depth_uncropped_count_sum"])
    depth = eigen_depth(points, P, (1242, 375))
    np.testing.assert_array_equal(np.argwhere(depth), golden["raw_depth_rc"])
    np.testing.assert_allclose(depth[depth > 0], golden["raw_depth"], atol=1e-9)
    scores = depth_scores(golden["metric_pred"], depth)
    np.testing.assert_allclose([scores[name] for name in FIGURES], golden["metric_depth"], atol=1e-9)


def test_depth_of_kitti360_with_points_behind_the_camera(golden):
    points = (golden["raw_points_cm"] / 100).astype(np.float32).astype(float)
    into_pixels = np.array([[320, 0, 320], [0, 96, 96], [0, 0, 1]])
    P = into_pixels @ golden["k360_K_norm"] @ golden["k360_T_cam00_velo"][:3]
    depth = within_range(lidar_depth(points, P, (640, 192), behind_too=True))
    np.testing.assert_array_equal(np.argwhere(depth), golden["k360_depth_rc"])
    np.testing.assert_allclose(depth[depth > 0], golden["k360_depth"], atol=1e-9)
