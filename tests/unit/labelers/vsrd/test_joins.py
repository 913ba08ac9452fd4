from dataclasses import replace

import numpy as np
import pytest
from hand_made import Thing, camera_pose, make_group, make_scenes
from hand_made_drives import POSES as DRIVE
from hand_made_drives import SHARP, TIMES, driven
from hand_made_drives import car as car_at

from vsrd_ray.labelers.base import Provenance
from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.bodies import random_car
from vsrd_ray.labelers.vsrd.joins import Piece, Suggestion, TrackViews, believed, suggestions, whole
from vsrd_ray.labelers.vsrd.labeler import VSRDLabeler

FAST = load_config("fast", ["grouping.min_area=40", "grouping.min_box_side=6"])
CARS = tuple(
    Thing(instance_id, place, yaw, body=random_car(np.random.default_rng(instance_id)))
    for instance_id, place, yaw in ((26001, (16.0, 2.8, 0.75), 0.2), (26002, (15.0, -3.2, 0.75), 2.9))
)
POSES = [camera_pose(0.7 * step, 0) for step in range(14)]
CUT = 6


def renamed(id_of):
    """The street with other ids in some frames: what `id_of` makes of a frame and an id."""
    frames = range(len(POSES))
    scenes = [[replace(car, instance_id=id_of(frame, car.instance_id)) for car in CARS] for frame in frames]
    return make_scenes(scenes, POSES)


@pytest.fixture(scope="module")
def labeler():
    one = VSRDLabeler(FAST)
    one.setup()
    return one


@pytest.fixture(scope="module")
def trusted(labeler):
    group = make_group(CARS, POSES)
    return {fit.instance_id: fit for fit in labeler.label(labeler.prepare(group), seed=0)}


def cut_ids(frame, instance_id):
    return 26009 if instance_id == 26001 and frame >= CUT else instance_id


def swapped_ids(frame, instance_id):
    return 52003 - instance_id if frame >= CUT else instance_id


def assert_near(box, other, tolerance=0.05):
    np.testing.assert_allclose(box.centers, other.centers, rtol=0, atol=tolerance)
    np.testing.assert_allclose(box.dimensions_lwh, other.dimensions_lwh, rtol=0, atol=tolerance)


def test_halves_of_a_cut_track_are_one_object(labeler, trusted):
    group = renamed(cut_ids)
    prepared = labeler.prepare(group)
    fits = {fit.instance_id: fit for fit in labeler.label(prepared, seed=0)}
    assert {number: fit.track_id for number, fit in fits.items()} == {26001: 26001, 26002: 26002, 26009: 26001}
    for number in (26001, 26009):
        assert_near(fits[number].box, trusted[26001].box)
        assert fits[number].num_views == trusted[26001].num_views == len(POSES)
        assert fits[number].confidence == pytest.approx(trusted[26001].confidence, abs=0.02)
    rows = labeler.output(list(fits.values()), prepared, Provenance("vsrd", "", 0))["boxes"]
    of_track = [row for row in rows.to_pylist() if row["track_id"] == 26001]
    assert [(row["frame"], row["instance_id"]) for row in of_track] == [
        (frame, 26001 if frame < CUT else 26009) for frame in range(len(POSES))
    ]


def test_ids_that_change_places_keep_their_objects(labeler, trusted):
    """The ids are exchanged while both cars are seen; suggested by hand, since they are far from each other."""
    group = renamed(swapped_ids)
    last = len(POSES) - 1
    pieces = [(Piece(row, 0, CUT - 1), Piece(row, CUT, last)) for row in (0, 1)]
    exchange = Suggestion(((pieces[0][0], pieces[1][1]), (pieces[1][0], pieces[0][1])), (0, 1))
    prepared = labeler.prepare(group)
    prepared.payload.suggestions.append(exchange)
    fits = labeler.label(prepared, seed=0)
    assert sorted((fit.instance_id, fit.track_id, fit.span) for fit in fits) == [
        (26001, 26001, (0, CUT - 1)),
        (26001, 26002, (CUT, last)),
        (26002, 26001, (CUT, last)),
        (26002, 26002, (0, CUT - 1)),
    ]
    for fit in fits:
        assert_near(fit.box, trusted[fit.track_id].box)


def test_two_objects_are_not_joined(labeler):
    """One car is seen first, another one elsewhere after it; a suggestion to join them is not believed."""
    scenes = [[CARS[0]] if frame < CUT else [CARS[1]] for frame in range(len(POSES))]
    prepared = labeler.prepare(make_scenes(scenes, POSES))
    assert prepared.payload.suggestions == []
    last = len(POSES) - 1
    prepared.payload.suggestions.append(Suggestion(((Piece(0, 0, CUT - 1), Piece(1, CUT, last)),), (0, 1)))
    assert [fit.track_id for fit in labeler.label(prepared, seed=0)] == [26001, 26002]


def test_a_cut_track_of_a_car_that_drives_is_joined(labeler):
    ahead = driven(car_at(14.0, 0.3), speed=6.0)
    scenes = [[replace(one, instance_id=26001 if frame < 4 else 26009)] for frame, one in enumerate(ahead)]
    prepared = labeler.prepare(make_scenes(scenes, DRIVE, times_s=TIMES, **SHARP))
    fits = labeler.label(prepared, seed=0)
    assert [(fit.instance_id, fit.track_id) for fit in fits] == [(26001, 26001), (26009, 26001)]
    places = [float(fit.motion.boxes.centers[-1, 0]) for fit in fits]
    assert places == pytest.approx([ahead[-1].center_world[0]] * 2, abs=1.5)
    assert fits[0].num_views == len(DRIVE)


def test_ids_that_are_trusted_suggest_nothing_and_are_fitted_as_they_are(labeler, trusted):
    group = make_group(CARS, POSES)
    assert suggestions(group) == [] and labeler.prepare(group).payload.suggestions == []
    assert [fit.track_id for fit in trusted.values()] == [26001, 26002]
    assert all(fit.span is None and fit.unseen_frames == () for fit in trusted.values())


def test_suggestions_of_a_chain():
    """A track in three parts: all of them at first, then two by two; their pieces leave no frame out."""
    group = renamed(lambda frame, number: number if number == 26002 else (26001, 26005, 26009)[frame // 5])
    found = suggestions(group)
    assert [suggestion.rows for suggestion in found] == [(0, 2, 3), (0, 2), (2, 3)]
    assert found[0].tracks == ((Piece(0, 0, 4), Piece(2, 5, 9), Piece(3, 10, 13)),)


def test_views_of_tracks():
    group = renamed(cut_ids)
    seen = np.array([[frame < CUT for frame in range(14)], [True] * 14, [frame >= CUT for frame in range(14)]])
    track = (Piece(0, 0, CUT - 1), Piece(2, CUT, 13))
    views = TrackViews.of(group, [*whole(group), track], seen, count=24)
    assert views.frames == [list(range(CUT)), list(range(14)), list(range(CUT, 14)), list(range(14))]
    assert views.places[3] == [(0 if frame < CUT else 2, frame) for frame in range(14)]
    assert TrackViews.of(group, [track], seen, count=4).frames == [[2, 6, 9, 12]]
    observations = VSRDLabeler(FAST).prepare(group).payload.observations
    gathered = views.gather(observations)
    assert gathered.seen.sum(dim=1).tolist() == [CUT, 14, 14 - CUT, 14]
    np.testing.assert_array_equal(gathered.supports[3, :CUT], observations.supports[0, :CUT])
    np.testing.assert_array_equal(gathered.supports[3, CUT:], observations.supports[2, CUT:])


def test_what_is_believed():
    pair, other = (Suggestion(((Piece(a, 0, 4), Piece(b, 5, 9)),), (a, b)) for a, b in ((0, 1), (1, 2)))
    exchange = Suggestion(((Piece(3, 0, 4), Piece(4, 5, 9)), (Piece(4, 0, 4), Piece(3, 5, 9))), (3, 4))
    own = dict.fromkeys(range(5), 0.6)
    assert believed([pair, other], [[0.4], [0.1]], own, limit=0.8) == [pair]  # each instance once
    assert believed([pair, other], [[0.9], [0.7]], own, limit=0.8) == [other]
    assert believed([pair], [[0.7]], own, limit=0.65) == []
    assert believed([exchange], [[0.3, 0.4]], own, limit=0.8) == [exchange]
    assert believed([exchange], [[0.3, 0.5]], own, limit=0.8) == []
    assert believed([pair, exchange], [[0.6], [0.4, 0.45]]) == [exchange]  # before those of the instances are known
