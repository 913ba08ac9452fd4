"""A group of real KITTI-360 frames, against a box that was fitted to LiDAR."""

import json

import numpy as np
import pytest

from vsrd_ray.data.groups import GroupTasks
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.labeler import VSRDLabeler
from vsrd_ray.labelers.vsrd.scene import plan_scene


@pytest.mark.slow
def test_car_stands_where_lidar_saw_it(shared):
    root = shared / "data" / "kitti360_real"
    config = load_config("fast")
    sequence = open_drive(root, "2013_05_28_drive_0008_sync")
    index = index_frames(sequence, all_frames(sequence))
    plans = plan_scene(index, sequence=sequence.name, camera="image_00", settings=config.grouping, classes=("car",))
    (plan,) = [plan for plan in plans if 26001 in plan.instance_ids]
    labeler = VSRDLabeler(config)
    labeler.setup()
    fits = labeler.label(labeler.prepare(GroupTasks(sequence, index).task(plan).group()), seed=0)
    (fit,) = [fit for fit in fits if fit.instance_id == 26001]
    boxes = json.loads((root / "derived_boxes.json").read_text())["boxes"]
    (box,) = [box for box in boxes if box["instance_id"] == 26001]
    assert np.linalg.norm(fit.box.centers - box["center_world"]) < 0.3
    turn = np.rad2deg(abs((fit.box.yaws - box["yaw_world_mod_pi"] + np.pi / 2) % np.pi - np.pi / 2))
    assert turn < 10
    assert not fit.is_moving
