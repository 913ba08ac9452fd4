import pickle
from pathlib import Path

import numpy as np
import pytest
from builders import make_plan

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.groups import GroupPlan, GroupTasks, check_plans
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.instances import read_instance_map
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.grouping import plan_groups
from vsrd_ray.labelers.vsrd.scene import plan_scene

SEQUENCE = "2013_05_28_drive_0042_sync"


def plan_of(**changes) -> GroupPlan:
    values = {
        "instance_ids": (26001, 27003),
        "label_frames": (2, 4),
        "instance_views": ((1, 2, 4), (2, 4)),
        "best_frames": (2, 4),
    }
    return make_plan("g", (2, 1, 4), sequence=SEQUENCE, **(values | changes))


@pytest.fixture
def root(write_sequence) -> Path:
    both = np.zeros((16, 20))
    both[2:6, 3:9] = 26001
    both[8:12, 10:20] = 27003
    other = np.zeros((16, 20))
    other[8:12, 10:15] = 27003
    other[0:3, 0:3] = 26009
    poses = {frame: np.diag([1.0, 1.0, 1.0, 1.0]) for frame in (1, 2, 4)}
    poses[4][:3, 3] = [1234.5, -99999.125, 7.0]
    return write_sequence({1: np.zeros((16, 20)), 2: both, 4: other}, poses=poses)


def test_a_group_with_its_pixels(root: Path) -> None:
    sequence = open_drive(root, SEQUENCE)
    group = GroupTasks(sequence, index_frames(sequence, all_frames(sequence))).task(plan_of()).group()
    assert group.class_names == ("car", "truck")
    assert [view.frame for view in group.views] == [2, 1, 4]
    assert group.views[2].T_world_cam[:3, 3].tolist() == [1234.5, -99999.125, 7.0]
    assert group.instance_maps.shape == (3, 16, 20)
    assert group.instance_maps.dtype == np.uint16
    for view, instance_map in zip(group.views, group.instance_maps, strict=True):
        np.testing.assert_array_equal(instance_map, read_instance_map(sequence, "image_00", view.frame))


def test_labelled_frames_know_the_instances_that_they_show(root: Path) -> None:
    sequence = open_drive(root, SEQUENCE)
    group = GroupTasks(sequence, index_frames(sequence, all_frames(sequence))).task(plan_of()).group()
    first, second = group.label_frames
    assert [first.view.frame, second.view.frame] == [2, 4]
    np.testing.assert_array_equal(first.mask_boxes_xyxy, [[3, 2, 8, 5], [10, 8, 19, 11]])
    np.testing.assert_array_equal(first.mask_areas, [24, 40])
    np.testing.assert_array_equal(second.mask_boxes_xyxy, [[np.nan] * 4, [10, 8, 14, 11]])
    np.testing.assert_array_equal(second.mask_areas, [0, 20])


def test_frames_and_instances_of_other_groups_stay_out(root: Path) -> None:
    sequence = open_drive(root, SEQUENCE)
    tasks = GroupTasks(sequence, index_frames(sequence, all_frames(sequence)))
    every, some = tasks.task(plan_of()), tasks.task(plan_of(label_frames=(4,), instance_ids=(26001, 26009)))
    assert len(every.sightings.mask_areas) == 3 and some.sightings.mask_areas.tolist() == [9]
    (label_frame,) = some.group().label_frames
    np.testing.assert_array_equal(label_frame.mask_boxes_xyxy, [[np.nan] * 4, [0, 0, 2, 2]])
    np.testing.assert_array_equal(label_frame.mask_areas, [0, 9])


def test_a_mask_that_went_away(root: Path) -> None:
    sequence = open_drive(root, SEQUENCE)
    task = GroupTasks(sequence, index_frames(sequence, all_frames(sequence))).task(plan_of())
    paths.mask_file(root, SEQUENCE, "image_00", 1).unlink()
    with pytest.raises(InputError, match="no instance mask"):
        assert task.group().instance_maps is None


def test_a_task_takes_along_what_the_group_needs_and_no_more(root: Path) -> None:
    sequence = open_drive(root, SEQUENCE)
    index = index_frames(sequence, all_frames(sequence))
    task = GroupTasks(sequence, index).task(plan_of(source_frames=(4,), label_frames=(2,)))
    assert sorted(task.drive.T_world_cam) == [2, 4]
    sent = pickle.dumps(task)
    assert len(sent) < 4000
    here, there = task.group(), pickle.loads(sent).group()
    assert len(here.views) == len(there.views) == 2
    views = zip(here.views, there.views, strict=True)
    for a, b in (*views, (here.label_frames[0].view, there.label_frames[0].view)):
        np.testing.assert_array_equal(a.T_world_cam, b.T_world_cam)
        np.testing.assert_array_equal(a.K, b.K)
    np.testing.assert_array_equal(here.label_frames[0].mask_boxes_xyxy, there.label_frames[0].mask_boxes_xyxy)
    np.testing.assert_array_equal(here.instance_maps, there.instance_maps)
    assert (here.plan, here.class_names) == (there.plan, there.class_names)


def test_a_group_without_instances_is_one_of_frames(root: Path) -> None:
    drive = open_drive(root, SEQUENCE)
    index = index_frames(drive, all_frames(drive))
    plan = GroupPlan("g", SEQUENCE, "image_00", target_frame=2, source_frames=(1, 4), label_frames=(2, 4))
    task = GroupTasks(drive, index).task(plan)
    assert len(task.sightings.mask_areas) == 0
    group = pickle.loads(pickle.dumps(task)).group()
    assert group.class_names == ()
    assert [frame.view.frame for frame in group.label_frames] == [2, 4]
    for frame in group.label_frames:
        assert frame.mask_boxes_xyxy.shape == (0, 4) and frame.mask_areas.shape == (0,)
    assert group.instance_maps.shape == (3, 16, 20)


def test_pixels_are_read_when_they_are_asked_for_and_once(root: Path, monkeypatch) -> None:
    drive = open_drive(root, SEQUENCE)
    task = GroupTasks(drive, index_frames(drive, all_frames(drive))).task(plan_of())
    read, frames = Drive.read, []

    def counted(drive: Drive, layer: str, sensor: str, frame: int) -> np.ndarray:
        frames.append((layer, sensor, frame))
        return read(drive, layer, sensor, frame)

    monkeypatch.setattr(Drive, "read", counted)
    group = task.group()
    assert frames == []
    assert group.instance_maps is group.instance_maps
    assert frames == [("masks", "image_00", frame) for frame in (2, 1, 4)]


def with_ids(*group_ids: str) -> list[GroupPlan]:
    return [make_plan(group_id, sequence="s") for group_id in group_ids]


@pytest.mark.parametrize(
    "group_id",
    ["s-image_00-0000000005", "s-CAM_FRONT-w00017", "s-n015-2018.left", "s-a b", "s-part", "s-part0001", "s--", "s-ü"],
)
def test_ids_of_groups_are_names_of_files_that_tell_whose_they_are(group_id: str) -> None:
    plans = with_ids(group_id, "s-other")
    assert check_plans(iter(plans), drive="s") == tuple(plans)


@pytest.mark.parametrize(
    "group_id",
    [
        *("", "s", "t-0", "0-s-", "S-0", "s_0"),  # not of the drive
        *("s-a/b", "s-a\\b", "s-\0", "s-/../../b", "../s-0", ".s-0", "."),  # no plain names of files
        *("s-part00001", "s-image_00-part00000", "s-CAM_FRONT-part123456"),  # names of compacted files
    ],
)
def test_ids_that_cannot_be_are_refused(group_id: str) -> None:
    with pytest.raises(InputError) as raised:
        check_plans(with_ids("s-fine", group_id), drive="s")
    assert str(raised.value) == f"group id {group_id!r}: expected a plain file name that begins with 's-'"


def test_an_id_that_two_groups_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"^group id 's-a': two groups have it; a planner must give each its own$"):
        check_plans(with_ids("s-a", "s-b", "s-a"), drive="s")


def test_a_real_group(shared: Path) -> None:
    sequence = open_drive(shared / "data" / "kitti360_real", "2013_05_28_drive_0008_sync")
    index = index_frames(sequence, all_frames(sequence))
    plans = plan_groups(index, sequence=sequence.name, camera="image_00", settings=GroupingSettings(), classes=["car"])
    assert plans
    group = GroupTasks(sequence, index).task(plans[0]).group()
    assert group.instance_maps.shape == (17, 376, 1408)
    target = group.instance_maps[0]
    for instance_id in plans[0].instance_ids:
        assert (target == instance_id).any()
    for label_frame in group.label_frames:
        assert (label_frame.mask_areas >= 128).all()
        assert np.isfinite(label_frame.mask_boxes_xyxy).all()


def test_a_real_window(shared: Path) -> None:
    sequence = open_drive(shared / "data" / "kitti360_real", "2013_05_28_drive_0008_sync")
    index = index_frames(sequence, all_frames(sequence))
    grouping = GroupingSettings(kind="scene")
    plans = plan_scene(index, sequence=sequence.name, camera="image_00", settings=grouping, classes=["car"])
    group = GroupTasks(sequence, index).task(plans[0]).group()
    frames = [view.frame for view in group.views]
    assert frames[0] == group.plan.target_frame and frames[1:] == list(group.plan.source_frames)
    for instance_id, views in zip(group.plan.instance_ids, group.plan.instance_views, strict=True):
        maps = dict(zip(frames, group.instance_maps, strict=True))
        assert all((maps[frame] == instance_id).any() for frame in views)
    areas = np.stack([label_frame.mask_areas for label_frame in group.label_frames])
    assert (areas > 0).any(axis=0).all() and (areas > 0).any(axis=1).all()
