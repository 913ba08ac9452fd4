"""Which id each mask gets, on a made-up drive of many tracks."""

import numpy as np
import pytest
from scipy import stats

from vsrd_ray.data.classes import ClassTable, ObjectClass
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.degradation.blobs import blobs_of
from vsrd_ray.degradation.chance import Dice
from vsrd_ray.degradation.scan import Seen
from vsrd_ray.degradation.settings import DegradeSettings
from vsrd_ray.degradation.tracks import Identities, Numbers, identities_of, neighbours, pairs_of
from vsrd_ray.errors import InputError

TRACKS, FRAMES = 300, 12  # of each track
DICE = Dice(7, "s", "image_00")


@pytest.fixture(scope="module")
def seen() -> Seen:
    """A car every 2 frames, which is seen in 12 frames and moves to the left."""
    rows = [
        (2 * car + k, 26001 + car, 400 - 30 * k, 100, 450 - 30 * k, 140) for car in range(TRACKS) for k in range(FRAMES)
    ]
    table = np.array(sorted(rows))
    frames = tuple(np.unique(table[:, 0]).tolist())
    return Seen(table[:, 0], table[:, 1], table[:, 2:], frames)


def made(seen: Seen, dice: Dice = DICE, **settings: float) -> Identities:
    numbers = Numbers(seen.tracks, CLASSES)
    return identities_of(seen, DegradeSettings(**settings), dice, CLASSES, numbers)  # pyright: ignore


def likely(count: int, of: int, share: float) -> bool:
    """Whether a count is within the interval that holds all but one in a million."""
    low, high = stats.binom.interval(1 - 1e-6, of, share)
    return bool(low <= count <= high)


def test_no_fault_keeps_every_id(seen):
    none = made(seen)
    for frame, track in zip(seen.frames.tolist(), seen.ids.tolist(), strict=True):
        assert none.id_of(track, frame) == track and not none.is_missing(track, frame)


def test_cut_tracks_go_on_under_an_id_of_their_own(seen):
    cut = made(seen, cut=0.3)
    assert likely(len(cut.cuts), TRACKS, 0.3)
    seconds = [second for _, second in cut.cuts.values()]
    assert len(set(seconds)) == len(seconds) and set(seconds).isdisjoint(seen.tracks)
    for track in seen.tracks:
        frames = seen.frames_of(track).tolist()
        ids = [cut.id_of(track, frame) for frame in frames]
        if track not in cut.cuts:
            assert set(ids) == {track}
            continue
        first, second = cut.cuts[track]
        assert frames[0] < first <= frames[-1]
        assert ids == [second if frame >= first else track for frame in frames]


def test_swapped_pairs_exchange_their_ids_while_both_are_seen(seen):
    swapped, pairs = made(seen, swap=0.4), pairs_of(seen)
    assert likely(len(swapped.swaps) // 2, len(pairs), 0.4)
    for a, b in pairs:
        both = np.intersect1d(seen.frames_of(a), seen.frames_of(b)).tolist()
        ids = [(swapped.id_of(a, frame), swapped.id_of(b, frame)) for frame in both]
        assert ids[0] == (a, b)
        assert ids[-1] == ((b, a) if a in swapped.swaps else (a, b))


def test_merged_pairs_share_an_id(seen):
    merged, pairs = made(seen, merge=0.4), pairs_of(seen)
    assert likely(len(merged.merges), len(pairs), 0.4)
    for a, b in pairs:
        ids = {merged.id_of(one, frame) for one in (a, b) for frame in seen.frames_of(one).tolist()}
        assert ids == ({a} if b in merged.merges else {a, b})


def test_pairs_are_neighbours_of_one_class():
    # Two cars nearby, a third one far off, and a truck between them; the last car is alone.
    places = {26001: 100, 26002: 160, 26003: 400, 27001: 130}
    rows = [(frame, one, u, 50, u + 20, 70) for frame in (0, 1) for one, u in sorted(places.items())]
    table = np.array([*rows, (2, 26004, 100, 50, 120, 70)])
    seen = Seen(table[:, 0], table[:, 1], table[:, 2:], (0, 1, 2))
    assert pairs_of(seen) == [(26001, 26002)]


def test_masks_are_missing_and_change_class_by_their_shares(seen):
    bad = made(seen, miss=0.15, flicker=0.1)
    masks = list(zip(seen.frames.tolist(), seen.ids.tolist(), strict=True))
    assert likely(sum(bad.is_missing(track, frame) for frame, track in masks), len(masks), 0.15)
    flickered = {(frame, track): bad.id_of(track, frame) for frame, track in masks if bad.flickers_in(track, frame)}
    assert likely(len(flickered), len(masks), 0.1)
    assert {one // 1000 for one in flickered.values()} == set(neighbours(CLASSES, 26))
    assert all(one % 1000 == track % 1000 for (_, track), one in flickered.items())


def test_an_instance_number_that_is_taken_is_left_to_its_owner():
    rows = [(frame, one, 0, 0, 9, 9) for frame in range(40) for one in (26005, 27005, 28005, 29005)]
    table = np.array(rows)
    seen = Seen(table[:, 0], table[:, 1], table[:, 2:], tuple(range(40)))
    flickers = made(seen, flicker=0.5).flickers
    assert flickers and set(flickers.values()).isdisjoint(seen.tracks)
    assert len(set(flickers.values())) == len(flickers)


def test_faults_go_together(seen):
    bad = made(seen, cut=0.5, swap=0.5, merge=0.5, flicker=0.2)
    for a, b in pairs_of(seen):
        for frame in np.intersect1d(seen.frames_of(a), seen.frames_of(b)).tolist():
            assert (bad.tracked_id(a, frame) == bad.tracked_id(b, frame)) == (b in bad.merges)


def test_each_fault_has_random_numbers_of_its_own(seen):
    assert made(seen, cut=0.3).cuts == made(seen, cut=0.3, swap=0.5, merge=0.5, miss=0.5, flicker=0.5).cuts
    assert made(seen, cut=0.3).cuts.keys() < made(seen, cut=0.6).cuts.keys()
    others = [Dice(8, "s", "image_00"), Dice(7, "t", "image_00"), Dice(7, "s", "image_01")]
    assert all(made(seen, other, cut=0.3).cuts.keys() != made(seen, cut=0.3).cuts.keys() for other in others)


def test_random_numbers_depend_on_their_keys_alone():
    assert DICE.uniform("miss", 3, 26001) == Dice(7, "s", "image_00").uniform("miss", 3, 26001)
    assert DICE.uniform("miss", 3, 26001) != DICE.uniform("miss", 32, 6001)
    numbers = [DICE.uniform("miss", frame) for frame in range(2000)]
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


def test_numbers_run_out_with_a_word(seen):
    table = np.array([(frame, 26001 + one, 0, 0, 9, 9) for frame in (0, 1) for one in range(999)])
    full = Seen(table[:, 0], table[:, 1], table[:, 2:], (0, 1))
    with pytest.raises(InputError, match=r"all 999 instance numbers of class 'car' are taken: give lower .* --cut"):
        made(full, cut=1.0)


def test_classes_are_taken_for_what_is_called_alike():
    names = {CLASSES.by_number[number].name for number in neighbours(CLASSES, 26)}
    assert names == {"caravan", "truck", "bus"}
    assert [CLASSES.by_number[number].name for number in neighbours(CLASSES, 24)] == ["rider"]
    assert [CLASSES.by_number[number].name for number in neighbours(CLASSES, 31)] == ["trailer"]  # the next one
    alone = ClassTable((ObjectClass("unlabeled", 0), ObjectClass("lamp", 1, is_thing=True)))
    assert neighbours(alone, 1) == []


def test_false_objects_are_where_no_object_is(seen):
    size = (1242, 375)
    blobs = blobs_of(seen, 0.2, DICE, Numbers(seen.tracks, CLASSES), size)
    assert len(blobs) == round(0.2 * TRACKS)
    assert {blob.instance_id for blob in blobs}.isdisjoint(seen.tracks)
    for blob in blobs:
        assert 2 <= len(blob.frames) <= 6
        for frame in blob.frames:
            mask = blob.mask(frame, size)
            assert mask.any()
            assert not any(
                mask[v0 : v1 + 1, u0 : u1 + 1].any() for u0, v0, u1, v1 in seen.boxes_xyxy[seen.rows_in(frame)]
            )
        assert not blob.mask(blob.frames[-1] + 1, size).any()


def test_false_objects_that_find_no_place_are_left_out():
    table = np.array([(frame, 26001, 0, 0, 99, 49) for frame in range(4)])
    seen = Seen(table[:, 0], table[:, 1], table[:, 2:], tuple(range(4)))
    assert blobs_of(seen, 5.0, DICE, Numbers(seen.tracks, CLASSES), (100, 50)) == []
    none = Seen(table[:0, 0], table[:0, 1], table[:0, 2:], (0,))
    assert blobs_of(none, 5.0, DICE, Numbers([], CLASSES), (100, 50)) == []
