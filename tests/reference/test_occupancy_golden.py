"""Golden arrays of occupancy: grids, counting, posteriors of rays' ends, and the figures of Occ3D, SSCBench, RayIoU."""

import numpy as np
import pytest

from vsrd_ray.labels.voxels.classes import OCC3D
from vsrd_ray.labels.voxels.evaluation.metrics import (
    RayScores,
    cast_rays,
    iou_of,
    occ3d_histogram,
    occ3d_scores,
    ray_directions,
    ssc_histogram,
    ssc_iou,
    ssc_scores,
)
from vsrd_ray.labels.voxels.grid import OCC3D_GRID, SSCBENCH_GRID, Grid
from vsrd_ray.labels.voxels.traversal import Rays, count, posterior


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "reference" / "occupancy_golden.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name.split("_")[0] in KEPT}


KEPT = {"grid", "count", "em", "occ3d", "ssc", "rayiou"}


def test_indices_of_points(golden):
    index = OCC3D_GRID.indices(golden["grid_points"])
    np.testing.assert_array_equal(index, golden["grid_occ3d_index"])
    np.testing.assert_array_equal(OCC3D_GRID.is_inside(index), golden["grid_occ3d_inside"])
    np.testing.assert_allclose(OCC3D_GRID.centers(index), golden["grid_occ3d_center"], atol=1e-12)
    index = SSCBENCH_GRID.indices(golden["grid_sscbench_points"])
    np.testing.assert_array_equal(index, golden["grid_sscbench_index"])
    inside = SSCBENCH_GRID.is_inside(index)
    np.testing.assert_array_equal(inside, golden["grid_sscbench_inside"])
    flat = np.ravel_multi_index(tuple(index[inside].T), SSCBENCH_GRID.shape)
    np.testing.assert_array_equal(flat, golden["grid_sscbench_flat"][inside])


def test_counting(golden):
    low, size = golden["count_grid_min"], float(golden["count_voxel"])
    grid = Grid.of((*low, *(low + size * golden["count_shape"])), size)
    ranges = np.where(golden["count_range"] > 1e7, np.inf, golden["count_range"] / size)
    found = count(Rays((golden["count_origin"] - low) / size, golden["count_direction"], ranges), grid.shape)
    np.testing.assert_allclose(found.passed, golden["count_pass"], atol=1e-12)
    np.testing.assert_array_equal(found.hits, golden["count_hit"])


def test_posterior_of_ends(golden):
    found, arrivals, likelihood = posterior(
        golden["em_occupancy"], golden["em_length"], golden["em_likelihood"], outliers=4e-4
    )
    np.testing.assert_allclose(found, golden["em_posterior"], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(arrivals, golden["em_arrival"], rtol=1e-9)
    np.testing.assert_allclose(likelihood, golden["em_log_likelihood"], rtol=1e-12)


def test_occ3d_metric(golden):
    histogram = np.zeros((18, 18))
    for truth, predicted, mask in zip(
        golden["occ3d_gt"], golden["occ3d_pred"], golden["occ3d_mask_camera"], strict=True
    ):
        histogram += occ3d_histogram(truth, predicted, mask)
    np.testing.assert_array_equal(histogram, golden["occ3d_hist"])
    np.testing.assert_allclose(iou_of(histogram), golden["occ3d_iou"], rtol=1e-12)
    scores = occ3d_scores(histogram)
    assert scores["miou"] == pytest.approx(float(golden["occ3d_miou"]), rel=1e-12)
    assert scores["miou_15"] == pytest.approx(float(golden["occ3d_miou_without_others"]), rel=1e-12)
    assert scores["iou"] == pytest.approx(float(golden["occ3d_geometric_iou"]), rel=1e-12)


def test_sscbench_metric(golden):
    histogram = sum(ssc_histogram(*pair) for pair in zip(golden["ssc_gt"], golden["ssc_pred"], strict=True))
    np.testing.assert_allclose(ssc_iou(histogram), golden["ssc_iou_per_class"], rtol=1e-9)
    scores = ssc_scores(histogram)
    for name in ("iou", "precision", "recall", "miou"):
        assert scores[name] == pytest.approx(float(golden[f"ssc_{name}"]), rel=1e-9)


def test_rays_of_rayiou(golden):
    np.testing.assert_allclose(ray_directions(), golden["rayiou_directions"], atol=2e-7)
    directions = golden["rayiou_directions"].astype(np.float64)
    for grid in ("gt", "pred"):
        label, distance = cast_rays(OCC3D_GRID, golden[f"rayiou_{grid}"], golden["rayiou_origins"][0], directions)
        np.testing.assert_array_equal(label, golden[f"rayiou_{grid}_label"])
        np.testing.assert_allclose(distance, golden[f"rayiou_{grid}_distance"], atol=1e-4)


def test_rayiou(golden):
    scores = RayScores.empty()
    directions = golden["rayiou_directions"].astype(np.float64)
    scores.add(OCC3D_GRID, golden["rayiou_gt"], golden["rayiou_pred"], golden["rayiou_origins"], directions)
    np.testing.assert_allclose(scores.per_class, golden["rayiou_per_class"], rtol=1e-12)
    np.testing.assert_allclose(list(scores.values().values()), golden["rayiou"], rtol=1e-12)


def test_a_real_label(shared):
    """An Occ3D label against itself, and its mask against what the rays of RayIoU see."""
    file = next((shared / "data" / "occ3d_real").glob("*_labels.npz"))
    with np.load(file) as arrays:
        semantics, mask = arrays["semantics"], arrays["mask_camera"] > 0
    scores = occ3d_scores(occ3d_histogram(semantics, semantics, mask))
    assert scores["miou"] == scores["iou"] == 1.0
    label, _ = cast_rays(OCC3D_GRID, semantics, np.array([0.98, 0.0, 1.84]), ray_directions())
    assert np.mean(label == OCC3D.names.index("driveable_surface")) > 0.1
