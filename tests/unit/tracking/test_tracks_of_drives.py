import time

import numpy as np
import pytest
from streets import camera_along, street

from vsrd_ray.data.drive import Camera
from vsrd_ray.tracking.drive import Detections, track
from vsrd_ray.tracking.settings import PUBLISHED, TrackerSettings

FRAMES = range(100)


def ids_of(detections, *, frames=FRAMES, camera=None, settings=None):
    camera = camera_along(frames) if camera is None else camera
    return track(
        detections,
        frames=frames,
        camera=camera,
        settings=TrackerSettings() if settings is None else settings,
    )


def mistakes(ids, cars):
    """Cars that have several ids, ids that have several cars, and the share of the cars' detections without an id."""
    pairs = np.unique(np.column_stack([ids, cars])[(ids > 0) & (cars >= 0)], axis=0)
    split, merged = (len(pairs) - len(np.unique(pairs[:, side])) for side in (1, 0))
    return split, merged, float((ids[cars >= 0] == 0).mean())


def share_right(ids, cars):
    """Share of the cars' detections that have the most frequent id of their car, if it is most frequent there."""
    counts = np.zeros((ids.max() + 1, cars.max() + 1), dtype=int)
    is_car = cars >= 0
    np.add.at(counts, (ids[is_car], cars[is_car]), 1)
    counts[0] = 0
    main = counts.argmax(axis=0)
    is_right = (ids == main[cars]) & (counts.argmax(axis=1)[ids] == cars) & (ids > 0)
    return float(is_right[is_car].mean())


def test_clean_detections_have_one_id_a_car():
    detections, cars = street(FRAMES)
    split, merged, missing = mistakes(ids_of(detections), cars)
    assert (split, merged) == (0, 0)
    assert missing < 0.03


@pytest.mark.parametrize(("seed", "least", "more"), [(1, 0.85, 0.1), (2, 0.85, 0.25)])
def test_noise_gaps_and_false_boxes_mix_few_cars(seed, least, more):
    detections, cars = street(FRAMES, seed=seed, noise=0.04, drop=0.2, false=1.0)
    ids = ids_of(detections)
    assert share_right(ids, cars) > least
    assert share_right(ids, cars) > share_right(ids_of(detections, settings=PUBLISHED), cars) + more
    assert (ids[cars < 0] > 0).mean() < 0.15


def test_ids_count_from_one_in_the_order_of_appearance():
    detections, _ = street(FRAMES, noise=0.02)
    ids = ids_of(detections)
    firsts = [detections.frames[ids == one].min() for one in range(1, ids.max() + 1)]
    assert firsts == sorted(firsts)


def test_a_car_that_is_hidden_for_three_seconds_keeps_its_id():
    detections, cars = street(FRAMES)
    car = int(np.bincount(cars).argmax())
    seen = np.unique(detections.frames[cars == car])
    hidden = (cars == car) & np.isin(detections.frames, seen[8:38])
    kept = Detections(*(column[~hidden] for column in vars(detections).values()))
    split, merged, _ = mistakes(ids_of(kept), cars[~hidden])
    assert (split, merged) == (0, 0)


def test_a_driving_car_is_one():
    detections, cars = street(FRAMES, length=80.0, speed=-0.6, noise=0.02)
    ids = ids_of(detections)[cars == cars.max()]
    assert (np.unique(ids[ids > 0], return_counts=True)[1] > 0.9 * len(ids)).sum() == 1


def test_frames_that_are_missing_between_are_counted():
    frames = [frame for frame in FRAMES if frame not in range(40, 44)]
    detections, cars = street(frames)
    assert mistakes(ids_of(detections, frames=frames), cars)[:2] == (0, 0)


def test_every_fifth_frame_of_a_slow_drive_will_do():
    detections, cars = street(range(0, 100, 2))
    assert mistakes(ids_of(detections, frames=range(0, 100, 2)), cars)[:2] == (0, 0)


def test_frames_without_a_pose_have_no_tracks():
    detections, cars = street(FRAMES)
    camera = camera_along([frame for frame in FRAMES if frame not in (30, 31)])
    ids = ids_of(detections, camera=camera)
    assert not ids[np.isin(detections.frames, (30, 31))].any()
    posed = ~np.isin(detections.frames, (30, 31))
    assert mistakes(ids[posed], cars[posed])[:2] == (0, 0)


def test_no_camera_need_have_a_pose_for_the_published_tracker():
    detections, _ = street(FRAMES)
    assert ids_of(detections, camera=camera_along([]), settings=PUBLISHED).any()


@pytest.mark.parametrize("settings", [TrackerSettings(), PUBLISHED])
@pytest.mark.parametrize("frames", [[], range(3)])
def test_nothing_seen_is_no_track(frames, settings):
    nothing = Detections(np.empty(0, dtype=int), np.empty((0, 4)), np.empty(0))
    assert ids_of(nothing, frames=frames, settings=settings).tolist() == []


def test_one_detection_alone_is_no_track():
    one = Detections(np.array([3]), np.array([[100.0, 100.0, 150.0, 150.0]]), np.array([0.9]))
    assert ids_of(one, frames=range(6)).tolist() == [0]


def test_two_detections_are_a_track():
    boxes = np.array([[100.0, 100.0, 150.0, 150.0], [101.0, 100.0, 152.0, 151.0]])
    two = Detections(np.array([3, 4]), boxes, np.array([0.9, 0.9]))
    camera = camera_along([0] * 6)
    camera = Camera(camera.name, camera.K, camera.image_size, dict.fromkeys(range(6), camera.T_world_cam[0]))
    assert ids_of(two, frames=range(6), camera=camera).tolist() == [1, 1]


def test_detections_of_no_confidence_make_no_track():
    detections, _ = street(FRAMES)
    faint = Detections(detections.frames, detections.boxes_xyxy, np.full(len(detections.frames), 0.3))
    assert not ids_of(faint).any()


@pytest.mark.parametrize("height", [1.0, 1.7, 3.0])
def test_objects_need_not_be_as_high_as_cars(height):
    detections, objects = street(FRAMES, height=height)
    assert share_right(ids_of(detections), objects) > 0.98


def test_a_long_dense_drive_takes_seconds():
    frames = range(450)
    detections, cars = street(frames, seed=2, noise=0.03, drop=0.1, false=1.0, length=500.0, farthest=70.0)
    assert len(detections.frames) > 20 * len(frames)
    start = time.process_time()
    ids = ids_of(detections, frames=frames)
    assert time.process_time() - start < 10  # 2 s on a core that does nothing else
    assert share_right(ids, cars) > 0.85
