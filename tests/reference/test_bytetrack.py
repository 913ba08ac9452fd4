"""ByteTrack as published against golden arrays, and the default tracker against the figures of the best variant of it.

HOTA, IDF1 and switches are counted by TrackEval, which is not ours.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from vsrd_ray.data.drive import Camera
from vsrd_ray.tracking import kalman
from vsrd_ray.tracking.assignment import assign
from vsrd_ray.tracking.drive import Detections, track
from vsrd_ray.tracking.settings import PUBLISHED, TrackerSettings
from vsrd_ray.tracking.tracker import Tracker

MOT17 = TrackerSettings(threshold=0.6, match_limit=0.9, buffer=30, uses_poses=False)
VARIANTS = {"vsrd": PUBLISHED, "mot17": MOT17}
# The drive and the first frame of each case.
CASES = {"easy": ("0059", 0), "dropout": ("0009", 0), "gaps": ("0059", 100), "hard": ("0009", 150)}
# HOTA, IDF1 and switches of ByteTrack with ego motion and tuned thresholds, boxes filtered: the default has to pass.
TUNED = {"easy": (0.87, 0.95, 0), "dropout": (0.62, 0.78, 17), "gaps": (0.78, 0.88, 12), "hard": (0.50, 0.66, 21)}
MOTS = {"0001": "0009", "0011": "0059"}  # sequence of the tracking benchmark -> drive


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "reference" / "tracking_golden.npz")


def case_of(golden, name):
    drive, first = CASES[name]
    count = int(golden[f"bt_{name}_frames"])
    rows = golden[f"bt_{name}_det"]
    return SimpleNamespace(
        detections=Detections(rows[:, 0].astype(int), rows[:, 1:5], rows[:, 5]),
        truth=golden[f"bt_{name}_gt"],
        frames=range(count),
        camera=camera_of(golden, drive, range(first, first + count)),
    )


def camera_of(golden, drive, frames):
    poses = golden[f"pose_{drive}_T_world_cam2"][frames.start : frames.stop]
    return Camera("image_02", golden["pose_intrinsic"], (1242, 375), dict(enumerate(poses)))


def score(truth, tracks, count):
    """HOTA, IDF1 and switches of rows (frame, id, box), as TrackEval counts them."""
    metrics = pytest.importorskip("trackeval.metrics", reason="no trackeval: pip install 'vsrd-ray[test]'")
    data = {"num_timesteps": count, "gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for key, rows in (("gt", truth), ("tracker", tracks)):
        numbers, places = np.unique(rows[:, 1], return_inverse=True)
        data |= {f"num_{key}_dets": len(rows), f"num_{key}_ids": len(numbers)}
        data[f"{key}_ids"] = [places[rows[:, 0] == frame] for frame in range(count)]
    for frame in range(count):
        a, b = (rows[rows[:, 0] == frame, 2:6] for rows in (truth, tracks))
        data["similarity_scores"].append(plain_overlaps(a, b))
    found = {
        "HOTA": metrics.HOTA().eval_sequence(data)["HOTA"].mean(),
        "IDF1": metrics.Identity({"PRINT_CONFIG": False}).eval_sequence(data)["IDF1"],
        "IDSW": metrics.CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)["IDSW"],
    }
    return SimpleNamespace(**{name.lower(): float(value) for name, value in found.items()})


def plain_overlaps(a, b):
    """IoU without the last pixel, as TrackEval has it."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.prod(np.maximum(sides, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def rows_of(detections, ids):
    kept = ids > 0
    return np.column_stack([detections.frames[kept], ids[kept], detections.boxes_xyxy[kept]])


def default_score(golden, name):
    case = case_of(golden, name)
    ids = track(case.detections, frames=case.frames, camera=case.camera, settings=TrackerSettings())
    return score(case.truth, rows_of(case.detections, ids), len(case.frames))


def test_the_filter_is_the_published_one(golden):
    def check(states, at):
        covariance = np.zeros((8, 8))
        for diagonal, row in ((np.diag_indices(4), 2), ((range(4), range(4, 8)), 3)):
            covariance[diagonal] = states[0, row]
        covariance[range(4, 8), range(4)] = states[0, 3]
        covariance[range(4, 8), range(4, 8)] = states[0, 4]
        np.testing.assert_allclose(states[0, :2].ravel(), golden["kf_means"][at], rtol=0, atol=1e-9)
        np.testing.assert_allclose(covariance, golden["kf_covs"][at], rtol=0, atol=1e-9)

    first, *others = golden["kf_measurements"]
    states = kalman.started(first[None])
    check(states, 0)
    at = 1
    for measured in others:
        states = kalman.predicted(states)
        check(states, at)
        at += 1
        if not np.isnan(measured).any():
            states = kalman.updated(states, measured[None])
            check(states, at)
            at += 1
    assert at == len(golden["kf_means"])
    np.testing.assert_allclose(states[0, 0], golden["kf_projected_mean"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        np.diag(kalman.measured_variances(states)[0]), golden["kf_projected_cov"], rtol=0, atol=1e-9
    )


def test_assignments_are_those_of_lapjv_with_a_limit(golden):
    for costs, (limit, rows, columns), expected in zip(
        golden["lap_costs"], golden["lap_shape"], golden["lap_match"], strict=True
    ):
        found = assign(costs[: int(rows), : int(columns)], limit)
        np.testing.assert_array_equal(found, expected[: int(rows)])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CASES)
def test_tracks_are_the_published_ones(golden, name, variant):
    case = case_of(golden, name)
    tracker = Tracker(VARIANTS[variant])
    found, rows = [], np.arange(len(case.detections.frames))
    for frame in case.frames:
        here = rows[case.detections.frames == frame]
        boxes, scores = case.detections.boxes_xyxy[here], case.detections.scores[here]
        found += [[frame, one.id, *one.box_xyxy, scores[one.detection]] for one in tracker.step(boxes, scores)]
    expected = golden[f"bt_{name}_{variant}_tracks"]
    np.testing.assert_array_equal(np.array(found)[:, [0, 1, 6]], expected[:, [0, 1, 6]])
    np.testing.assert_allclose(np.array(found)[:, 2:6], expected[:, 2:6], rtol=0, atol=1e-9)


def test_the_published_tracker_by_its_name_gives_the_published_detections(golden):
    case = case_of(golden, "hard")
    ids = track(case.detections, frames=case.frames, camera=case.camera, settings=PUBLISHED)
    rows = golden["bt_hard_vsrd_tracks"]
    found = np.column_stack([case.detections.frames, ids, case.detections.scores])[ids > 0]
    # Ours are numbered without those that were never confirmed; who belongs together is the same.
    assert parts_of(found) == parts_of(rows[:, [0, 1, 6]])
    assert ids.max() == len(np.unique(rows[:, 1]))


def parts_of(rows):
    """Frames and scores of each track."""
    return sorted(sorted(rows[rows[:, 1] == one][:, [0, 2]].tolist()) for one in np.unique(rows[:, 1]))


@pytest.mark.parametrize("name", CASES)
def test_our_count_of_metrics_is_the_recorded_one(golden, name):
    found = score(golden[f"bt_{name}_gt"], golden[f"bt_{name}_vsrd_tracks"], int(golden[f"bt_{name}_frames"]))
    recorded = dict(zip(golden["bt_metric_names"].tolist(), golden[f"bt_{name}_vsrd_metrics"], strict=True))
    assert (found.hota, found.idf1, found.idsw) == pytest.approx(
        (recorded["HOTA"], recorded["IDF1"], recorded["IDSW"]), abs=1e-9
    )


@pytest.mark.parametrize("name", CASES)
def test_the_default_passes_the_tuned_bytetrack(golden, name):
    found = default_score(golden, name)
    hota, idf1, idsw = TUNED[name]
    assert found.hota > hota + 0.08
    assert found.idf1 > idf1 + 0.04
    assert found.idsw <= idsw


def test_the_default_is_much_better_on_hard_cases(golden):
    found = default_score(golden, "hard")
    assert found.hota > 0.64
    assert found.idf1 > 0.81
    assert found.idsw <= 11  # of ByteTrack with ego motion, at thresholds that lose more


@pytest.mark.parametrize(("sequence", "least"), [("0001", 0.97), ("0011", 0.965)])
def test_masks_drawn_by_people_get_the_ids_that_people_gave(golden, sequence, least):
    rows = golden[f"mots_{sequence}_rows"]
    count = len(golden[f"pose_{MOTS[sequence]}_T_world_cam2"])
    rows = rows[(rows[:, 2] == 1) & (rows[:, 0] < count)]
    boxes = np.column_stack([rows[:, 4:6], rows[:, 4:6] + rows[:, 6:8]]).astype(float)
    detections = Detections(rows[:, 0], boxes, np.ones(len(rows)))
    camera = camera_of(golden, MOTS[sequence], range(count))
    ids = track(detections, frames=range(count), camera=camera, settings=TrackerSettings())
    found = score(np.column_stack([rows[:, :2], boxes]), rows_of(detections, ids), count)
    assert found.hota > least
    assert found.idf1 > least


def test_nothing_depends_on_the_order_of_detections(golden):
    case = case_of(golden, "dropout")

    def ids_of(detections):
        return track(detections, frames=case.frames, camera=case.camera, settings=TrackerSettings())

    mixed = np.random.default_rng(0).permutation(len(case.detections.frames))
    detections = Detections(*(column[mixed] for column in vars(case.detections).values()))
    np.testing.assert_array_equal(ids_of(detections), ids_of(case.detections)[mixed])
