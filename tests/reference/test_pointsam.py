"""Golden arrays of PointSAM's published stage B, of nuScenes-panoptic's metric, and of what MixSup makes of labels."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vsrd_ray.labelers.points.clustering import Points, components
from vsrd_ray.labelers.points.clusters import clusters_of
from vsrd_ray.labelers.points.keyframe import Seen, published
from vsrd_ray.labelers.points.projection import between, project
from vsrd_ray.labelers.points.refinement import Labels, blocks, margins, merge_ids, merge_views, refine
from vsrd_ray.labels.points.classes import CHALLENGE_OF, NO_INSTANCE, NONE
from vsrd_ray.labels.points.evaluation.panoptic import CLASS_STEP, Panoptic
from vsrd_ray.labels.points.formats.export import mixsup_labels, nuscenes_labels

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
ROUNDING = 0.02  # px, by which the published chain of float32 is off
CUT_CLASSES = (7, 9)  # pedestrian and barrier


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "reference" / "pointsam_golden.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if not name.startswith("samtiny")}


@pytest.fixture(scope="module")
def sweep(shared):
    files = sorted((shared / "data" / "nuscenes_keyframe" / "samples" / "LIDAR_TOP").glob("*.bin"))
    return np.fromfile(files[0], np.float32).reshape(-1, 5)[:, :3].astype(np.float64)


def transform(golden, name):
    """A pose of the arrays `<name>_rotation` (w x y z) and `<name>_translation`."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_quat(np.roll(golden[f"proj/{name}_rotation"], -1)).as_matrix()
    T[:3, 3] = golden[f"proj/{name}_translation"]
    return T


def labels_at(golden, name):
    return Labels(golden[f"{name}semantic"].astype(np.int64), golden[f"{name}instance"].astype(np.int64))


def assert_same(found, golden, name):
    np.testing.assert_array_equal(found.classes, golden[f"{name}semantic"])
    np.testing.assert_array_equal(found.instances, golden[f"{name}instance"])


def with_step(labels):
    """Labels class * 1000 + instance as the metric takes them."""
    labels = labels.astype(np.int64)
    return labels // 1000 * CLASS_STEP + labels % 1000


def test_points_fall_on_the_pixels_of_the_published_chain(golden):
    T_world_lidar = transform(golden, "ego_lidar") @ transform(golden, "lidar")
    T_world_cam = transform(golden, "ego_cam") @ transform(golden, "cam")
    height, width = golden["proj/image_size_hw"].tolist()
    found = project(
        golden["proj/points"], between(T_world_cam, T_world_lidar), golden["proj/intrinsic"], (width, height)
    )
    np.testing.assert_array_equal(found.index, np.flatnonzero(golden["proj/visible"]))
    np.testing.assert_allclose(found.uv, golden["proj/uv"][found.index], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found.depth, golden["proj/points_cam"][found.index, 2], rtol=0, atol=1e-3)


@pytest.mark.parametrize("case", range(3))
def test_components_and_ids_are_those_of_the_published_refinement(golden, case):
    points, labels = golden[f"sar/{case}/points"], labels_at(golden, f"sar/{case}/")
    index = np.flatnonzero(labels.instances >= 0)
    some = labels.at(index)
    part = np.where(np.isin(some.classes, CUT_CLASSES), some.instances, 0)
    found = components(
        Points(
            xyz=points[index].astype(np.float64),
            margin=margins(some.classes),
            block=blocks(some.classes),
            scope=some.classes,
            part=part,
        )
    )
    np.testing.assert_array_equal(found, golden[f"sar/{case}/components"])
    assert_same(merge_ids(some, found), golden, f"sar/{case}/merged_")
    refined = refine(points, labels)
    mask = golden[f"sar/{case}/sar_mask"]
    np.testing.assert_array_equal(refined.instances != NO_INSTANCE, mask)
    assert_same(refined.at(np.flatnonzero(mask)), golden, f"sar/{case}/sar_")


@pytest.mark.parametrize("case", range(4))
def test_ties_between_ids_are_decided_as_published(golden, case):
    found = merge_ids(labels_at(golden, f"ties/{case}/"), golden[f"ties/{case}/component"])
    assert_same(found, golden, f"ties/{case}/merged_")


@pytest.mark.parametrize("case", range(4))
def test_cameras_are_merged_as_published(golden, case):
    name = f"merge/{case}/"
    found = merge_views(labels_at(golden, f"{name}reference_"), labels_at(golden, f"{name}edition_"))
    assert_same(found, golden, name)


@pytest.mark.parametrize("masks", ["body", "hull"])
def test_a_real_keyframe_gets_the_published_labels_and_scores(golden, sweep, masks):
    views, running = [], Labels.none(len(sweep))
    for camera in CAMERAS:
        index, uv = golden[f"keyframe/{camera}/index"], golden[f"keyframe/{camera}/uv"].astype(np.int64)
        mask = labels_at(golden, f"keyframe/{masks}/{camera}/mask_")
        labels = Labels(mask.classes[uv[:, 1], uv[:, 0]], mask.instances[uv[:, 1], uv[:, 0]])
        unused = np.zeros(len(index))
        views.append(Seen(index=index, labels=labels, depth=unused, across=unused, tallness=unused))
        refined = refine(sweep, labels.spread(index, len(sweep)))
        assert_same(refined, golden, f"keyframe/{masks}/{camera}/refined_")
        running = merge_views(running, refined)
        assert_same(running, golden, f"keyframe/{masks}/{camera}/merged_")
    found = published(sweep, views)
    assert_same(found, golden, f"keyframe/{masks}/final_")

    predicted = nuscenes_labels(found.classes, found.instances)
    np.testing.assert_array_equal(predicted, golden[f"keyframe/{masks}/npz"])
    np.testing.assert_array_equal(mixsup_labels(found.classes, found.instances), golden[f"keyframe/{masks}/bin"])
    scores = Panoptic()
    challenge_of = golden["classes/lidarseg_to_challenge"]
    truth = golden["keyframe/panoptic_truth"].astype(np.int64)
    true = np.where(challenge_of[truth // 1000] > 0, challenge_of[truth // 1000] * 1000 + truth % 1000, 0)
    scores.add(with_step(predicted), with_step(true))
    for name in ("tp", "fp", "fn", "iou_sum", "pq", "sq", "rq", "confusion"):
        np.testing.assert_allclose(getattr(scores, name), golden[f"keyframe/{masks}/eval/{name}"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores.iou[1:], golden[f"keyframe/{masks}/eval/iou_class"][1:], rtol=0, atol=1e-12)
    means = [values[1:11].mean() for values in (scores.pq, scores.sq, scores.rq)]
    np.testing.assert_allclose(means, golden[f"keyframe/{masks}/eval/th_mean_pq_sq_rq"], rtol=0, atol=1e-12)


def test_panoptic_quality_over_a_set_is_that_of_nuscenes(golden):
    scores = Panoptic()
    for case in range(3):
        scores.add(with_step(golden[f"pq/{case}/prediction"]), with_step(golden[f"pq/{case}/truth_challenge"]))
    for name in ("tp", "fp", "fn", "confusion"):
        np.testing.assert_array_equal(getattr(scores, name), golden[f"pq/{name}"])
    for name in ("iou_sum", "pq", "sq", "rq"):
        np.testing.assert_allclose(getattr(scores, name), golden[f"pq/{name}"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores.iou, golden["pq/iou_class"], rtol=0, atol=1e-12)
    assert scores.iou[1:].mean() == pytest.approx(float(golden["pq/miou"]), abs=1e-12)
    means = [values[1:].mean() for values in (scores.pq, scores.sq, scores.rq)]
    np.testing.assert_allclose(means, golden["pq/mean_pq_sq_rq"], rtol=0, atol=1e-12)


def test_classes_have_the_published_numbers(golden):
    np.testing.assert_array_equal(CHALLENGE_OF, golden["classes/bin_to_npz"])
    np.testing.assert_array_equal(CHALLENGE_OF[golden["classes/npz_to_bin"]], np.arange(11))
    assert NONE == 10


def test_files_for_mixsup_become_the_published_ones_without_the_shift_of_ids(golden):
    """The published conversion from npz to bin forgets that ids begin at 1."""
    labels = labels_at(golden, "keyframe/body/final_")
    shifted = golden["convert/published_npz_to_bin"].copy()
    has_id = shifted[:, 0] != np.iinfo(np.uint16).max
    found = mixsup_labels(labels.classes, labels.instances)
    np.testing.assert_array_equal(found[:, 1], shifted[:, 1])
    np.testing.assert_array_equal(found[labels.instances >= 0, 0] + 1, shifted[has_id & (shifted[:, 1] < NONE), 0])
    np.testing.assert_array_equal(
        nuscenes_labels(labels.classes, labels.instances), golden["convert/published_bin_to_npz"]
    )


def test_clusters_are_those_that_mixsup_makes_of_the_labels(golden, sweep):
    found = clusters_of(sweep, labels_at(golden, "keyframe/body/final_"))
    np.testing.assert_array_equal(found.classes + 1, golden["mixsup/label_of_cluster"])
    np.testing.assert_array_equal(found.counts, golden["mixsup/count_of_cluster"])
    np.testing.assert_allclose(found.centers, golden["mixsup/center_of_cluster"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.radii + 0.25, golden["mixsup/radius_of_cluster"], rtol=0, atol=1e-5)
