"""Places on the ground, made by hand: tracks that stand in two places, and tracks that lead to each other."""

import numpy as np
import pytest

from vsrd_ray.data.drive import Camera
from vsrd_ray.tracking.courses import Places
from vsrd_ray.tracking.sightings import Sightings


def places_of(feet, steps, *, seed=0, is_cut=None):
    """Seen from a camera that drives along x at 0.8 m a step, with depths off by 4 %."""
    feet, steps = np.asarray(feet, dtype=float), np.asarray(steps)
    cameras = np.column_stack([0.8 * steps - 25, np.zeros(len(steps))])
    rays = feet - cameras
    rays *= 1 + np.random.default_rng(seed).normal(0, 0.04, (len(feet), 1))
    cut = np.zeros(len(feet), dtype=bool) if is_cut is None else np.asarray(is_cut)
    return Places(cameras + rays, rays, cut, steps)


def standing(place, count):
    return [place] * count


def driving(start, speed, steps):
    return [(start + speed * step, 3.0) for step in steps]


def test_a_track_of_two_parked_cars_is_parted_where_it_changes():
    places = places_of(standing((0, 3), 10) + standing((6, 3), 12), range(22))
    assert [part.tolist() for part in places.parted(np.arange(22))] == [list(range(10)), list(range(10, 22))]


def test_a_track_is_parted_as_often_as_it_changes():
    feet = standing((0, 3), 14) + standing((7, 3), 11) + standing((14, 3), 13) + standing((21, 3), 12)
    places = places_of(feet, range(50))
    found, whole = places.parted(np.arange(50)), [np.arange(50)]
    assert [part[0] for part in found] == [0, 14, 25, 38] and found[-1][-1] == 49
    while True:  # the same by parting parts again, each from scratch
        times = [range(5, len(part) - 4) for part in whole]
        gains = [
            [places._gain(part[max(at - 12, 0) : at], part[at : at + 12]) for at in some]
            for part, some in zip(whole, times, strict=True)
        ]
        best = [max(some, default=0.0) for some in gains]
        n = int(np.argmax(best))
        if best[n] < 20:
            break
        at = times[n][int(np.argmax(gains[n]))]
        whole[n : n + 1] = [whole[n][:at], whole[n][at:]]
    assert [part.tolist() for part in found] == [part.tolist() for part in whole]


@pytest.mark.parametrize(
    ("feet", "steps"),
    [
        (standing((0, 3), 20), range(20)),
        (driving(0, 1.0, range(20)), range(20)),
        (driving(0, 0.3, range(20)), range(20)),
        (standing((0, 3), 5) + standing((6, 3), 4), range(9)),
        (standing((0, 3), 10) + standing((0.8, 3), 10), range(20)),
    ],
    ids=["stands", "drives", "creeps", "too short", "too near"],
)
def test_other_tracks_stay_whole(feet, steps):
    places = places_of(feet, steps)
    assert [part.tolist() for part in places.parted(np.arange(len(feet)))] == [list(range(len(feet)))]


def test_detections_that_the_border_cuts_tell_little():
    feet = standing((0, 3), 10) + standing((6, 3), 10)
    assert len(places_of(feet, range(20)).parted(np.arange(20))) == 2
    assert len(places_of(feet, range(20), is_cut=[True] * 20).parted(np.arange(20))) == 1


def test_a_car_that_drives_on_is_found_behind_a_gap_and_another_one_is_not():
    steps = [*range(10), *range(14, 24)]
    before, after = np.arange(10), np.arange(10, 20)
    assert places_of(driving(0, 1.2, steps), steps).leads_to(before, after) > 0.5
    stopped = driving(0, 1.2, range(10)) + standing((10.8, 3), 10)
    turned_back = driving(0, 1.2, range(10)) + driving(60, -1.2, steps[10:])
    assert places_of(stopped, steps).leads_to(before, after) < 0.5
    assert places_of(turned_back, steps).leads_to(before, after) == 0
    assert places_of(driving(0, 1.2, steps), steps).leads_to(before[:3], after) == 0  # too short to tell


def test_what_lies_far_off_in_time_is_left_out_and_tells_nothing():
    """A car that is followed for 700 frames, with a hole of 300: as by all of its detections at once."""
    frames = [*range(400), *range(700, 1000)]
    K = np.array([[700.0, 0, 600], [0, 700, 180], [0, 0, 1]])
    T_world_cam = {frame: np.eye(4) for frame in frames}
    for frame, pose in T_world_cam.items():
        pose[:3, :3], pose[:3, 3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [frame, 0, 1.6]
    camera = Camera("front", K, (1200, 375), T_world_cam)
    heights = 700 * 1.5 / (20 + 3 * np.sin(np.arange(700) / 30))
    boxes = np.column_stack([600 - heights, 230 - heights, 600 + heights, np.full(700, 230.0)])
    sightings = Sightings(np.arange(700), boxes, frames=frames, camera=camera)
    rows = np.flatnonzero(np.random.default_rng(0).random(700) < 0.8)
    near, every = (one(rows, np.arange(700), from_past=False) for one in (sightings.predicted, sightings._predicted))
    np.testing.assert_allclose(near, every, rtol=0, atol=1e-4)
    (early,) = sightings.predicted(rows[rows >= 400], np.array([300]))
    assert np.isnan(early).all()
