import re

import pytest
from builders import make_drive, make_index, make_plan

from vsrd_ray.labelers.base import Wanted
from vsrd_ray.labelers.vsrd.config import GroupingSettings, VSRDConfig
from vsrd_ray.pipeline.plan import plan_drive, why_no_group
from vsrd_ray.runs.store import is_record_of

CARS = Wanted(classes=("car",))
PLAN = make_plan("a-image_00-0000000005", (5, 3, 4, 6), (26001, 26007), sequence="a", label_frames=(4, 5))


def index_of(*rows):
    """Index rows (frame, skipped, instance id, class), with masks of 40 x 40 px."""
    names = ("frame", "skipped", "instance_id", "class_name")
    box = {"area": 1600, "box_left": 10, "box_top": 10, "box_right": 49, "box_bottom": 49, "touches_border": False}
    return make_index(*(dict(zip(names, row, strict=True)) | (box if row[2] else {}) for row in rows))


def planned(index, **settings):
    config = VSRDConfig(grouping=GroupingSettings(**settings))
    return plan_drive(make_drive("a"), index, fingerprint="f", config=config, wanted=CARS), config


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [({}, True), ({"frames": [4, 5, 6]}, False), ({"instance_ids": [26001]}, False), ({"status": "failed"}, True)],
)
def test_records_are_of_the_same_frames_and_instances(changes, is_same):
    row = {"group_id": PLAN.group_id, "status": "ok", "frames": [4, 5], "instance_ids": [26001, 26007]}
    assert is_record_of(row | changes, PLAN) == is_same


def test_skipped_frames_are_counted_by_reason():
    index = index_of(
        (0, None, 26001, "car"),
        (0, None, 26002, "car"),
        (1, "no pose", None, None),
        (2, "unreadable mask: cut", None, None),
        (3, "unreadable mask: torn", None, None),
        (4, None, None, None),
    )
    plan, _ = planned(index)
    assert plan.num_frames == 5
    assert plan.skipped_frames == {"no pose": 1, "unreadable mask": 2}
    assert plan.empty_frames == (4,)
    assert plan.groups == ()


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        (
            index_of((0, "no pose", None, None), (1, "no mask", None, None)),
            "none of its 2 frames .*no mask: 1, no pose: 1",
        ),
        (index_of((0, None, 24001, "person"), (1, "no mask", None, None)), "no frame shows a car"),
        (index_of((0, None, 26001, "car"), (1, None, 26001, "car")), "128 px and 16 px across has 9 frames around it"),
    ],
)
def test_reason_for_no_group_is_named(index, sentence):
    plan, config = planned(index, num_sources=9)
    assert plan.groups == ()
    assert re.search(sentence, why_no_group(plan, config=config, wanted=CARS))


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        (index_of((0, None, 24001, "person")), "no frame shows a car; --classes"),
        (index_of((0, None, 26001, "car")), "no frame shows a car of at least 9999 px and 16 px across; .*min_area=N"),
    ],
)
def test_reason_for_no_window_is_named(index, sentence):
    plan, config = planned(index, kind="scene", min_area=9999)
    assert plan.groups == ()
    assert re.search(sentence, why_no_group(plan, config=config, wanted=CARS))


def test_scene_is_planned_in_windows():
    index = index_of((0, None, 26001, "car"), (1, None, 26001, "car"), (1, None, 26002, "car"), (2, None, None, None))
    plan, _ = planned(index, kind="scene", window_instances=1)
    assert [(group.group_id, group.instance_ids, group.label_frames) for group in plan.groups] == [
        ("a-image_00-w00000", (26001,), (0, 1, 2)),  # what has few masks is watched around them
        ("a-image_00-w00001", (26002,), (0, 1, 2)),
    ]
    assert plan.empty_frames == (2,)
