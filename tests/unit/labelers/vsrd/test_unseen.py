from dataclasses import replace

import numpy as np
import pytest
from builders import make_fit, make_plan, with_maps
from hand_made import Thing, camera_pose, make_scenes, paint

from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.labelers.vsrd.unseen import Sight, look, ought_to_show
from vsrd_ray.labels.boxes.rows import UNSEEN_SHARE, label_rows

CAR, HIDER = Thing(26001, (16.0, 3.0, 0.75), 0.1), Thing(26002, (9.0, 1.7, 0.75), 0.1)
POSES = [camera_pose(0.4 * step, 0) for step in range(12)]
MISSING = (4, 5)


def scene(things_in_gap, *, other=(), gap=MISSING, watched=()):
    """A car that is seen in all frames but some, in which there are other things, or none."""
    scenes = [things_in_gap if frame in gap else [CAR, *other] for frame in range(len(POSES))]
    group = make_scenes(scenes, POSES, labelled=(26001,))
    return replace(group, plan=replace(group.plan, gap_frames=(gap,), watched_frames=(watched,)))


def fit(thing=CAR):
    place = {"dimensions_lwh": thing.dimensions_lwh, "yaw_world": thing.yaw_world}
    return make_fit(thing.instance_id, thing.center_world, confidence=0.9, **place)


def unseen_in(group, thing=CAR):
    (found,) = ought_to_show([fit(thing)], group, look(group), min_area=128)
    return found.unseen_frames


def test_a_car_is_labelled_where_its_mask_is_missing():
    assert unseen_in(scene([])) == MISSING


def test_not_behind_what_hides_it():
    """Another car's mask covers its place, or a wall's does; the road does not."""
    assert unseen_in(scene([HIDER])) == ()
    group = scene([])
    for surface, expected in ((12000, ()), (7000, MISSING), (0, MISSING), (26000, MISSING)):
        maps = group.instance_maps.copy()
        maps[list(MISSING)] = surface
        assert unseen_in(with_maps(group, maps)) == expected


def test_not_outside_of_the_image():
    gone = replace(CAR, center_world=(-5.0, 3.0, 0.75))
    assert unseen_in(scene([]), gone) == ()
    beside = replace(CAR, center_world=(4.0, 14.0, 0.75))
    assert unseen_in(scene([]), beside) == ()


def test_a_mask_of_another_class_is_its_own_unless_it_stands_nearer():
    """A caravan that is seen where the car was may be the car."""
    assert unseen_in(scene([replace(CAR, instance_id=29001)])) == MISSING
    assert unseen_in(scene([replace(HIDER, instance_id=29001)])) == ()
    assert unseen_in(scene([replace(CAR, instance_id=24001)])) == ()  # a person is none


def test_a_car_of_which_little_was_seen_before_and_after_stays_hidden():
    group = scene([])
    poor = [replace(one, mask_areas=np.array([20 * (one.mask_areas[0] > 0)])) for one in group.label_frames]
    assert unseen_in(replace(group, label_frames=tuple(poor))) == ()


def test_what_is_hardly_ever_seen_where_it_ought_to_be_is_not_there():
    gap = (0, 1, 2, 3, 6, 7, 8, 9, 10, 11)
    group = scene([], gap=gap, watched=gap)
    (found,) = ought_to_show([fit()], group, look(group), min_area=128)
    assert found.confidence < 0.2 and found.unseen_frames == ()
    hidden = scene([HIDER], gap=gap, watched=gap)  # seen as often as it can be
    (found,) = ought_to_show([fit()], hidden, look(hidden), min_area=128)
    assert found.confidence == 0.9 and found.unseen_frames == ()


def test_rows_of_frames_without_a_mask():
    group = scene([])
    (found,) = ought_to_show([fit()], group, look(group), min_area=128)
    rows = label_rows([found], group, labeler="vsrd", config_hash="", seed=0)
    assert rows["frame"].to_pylist() == list(range(12))
    assert rows["observed"].to_pylist() == [frame not in MISSING for frame in range(12)]
    confidences = [0.9 * UNSEEN_SHARE if frame in MISSING else 0.9 for frame in range(12)]
    assert rows["confidence"].to_pylist() == pytest.approx(confidences)
    assert [rows["occlusion"].to_pylist()[frame] for frame in MISSING] == [3, 3]
    assert set(rows["track_id"].to_pylist()) == {26001}


def test_areas_are_those_of_the_pixels_that_a_box_covers():
    """To within the sampling of one pixel in sixteen."""
    image = paint([CAR], POSES[0])
    view = scene([]).views[0]
    whole, open_ = Sight.of(np.full_like(image, 7000), CLASSES, ["car"]).areas(CAR.box, view)
    assert whole == open_ == pytest.approx(np.count_nonzero(image == 26001), rel=0.1)
    taken = Sight.of(image, CLASSES, ["car"]).areas(CAR.box, view)
    assert taken[0] == whole and taken[1] < 0.1 * whole


def test_groups_that_ask_for_no_frame_read_none():
    assert look(make_scenes([[CAR]], POSES[:1])) == {}
    assert make_plan().gap_frames == ()
