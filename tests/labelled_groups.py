"""Labelers of boxes and hand-made groups for their tests: quick settings, two cars, and labelling as workers do it."""

import pickle
from dataclasses import replace

import numpy as np
from hand_made import Thing, camera_pose

from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.bodies import random_car
from vsrd_ray.labelers.vsrd.labeler import VSRDLabeler

# Boxes of bodies, as `vsrd-ray label` has them by default; the street is small.
FAST = load_config("fast", ["grouping={min_area: 40, min_box_side: 6}", "masks.softness=3.0"])
# Volumetric steps from there, quick: few steps, few rays, and a smaller network.
VOLUMETRIC = load_config(
    "demo",
    [
        "schedule.steps=8",
        "rendering.num_rays=100",
        "masks.softness=3.0",
        "field.hyper_width=32",
        "field.hyper_layers=1",
        "start.headings=4",
    ],
)
CARS = tuple(
    Thing(instance_id, center_world, yaw_world, body=random_car(np.random.default_rng(instance_id)))
    for instance_id, center_world, yaw_world in ((26001, (14.0, 2.6, 0.75), 0.3), (26002, (12.0, -3.2, 0.75), 2.0))
)
TRUTH = {car.instance_id: car.box for car in CARS}
POSES = [camera_pose(2, 0, pitch=0.02), camera_pose(0, 0.5), camera_pose(4, -0.3, roll=0.02), camera_pose(5, 0)]


def set_up(config, device="cpu"):
    """A labeler that can label."""
    labeler = VSRDLabeler(config, device)
    labeler.setup()
    return labeler


def prepare(config, group):
    """What a labeler that is not set up sends of a group to one that labels."""
    return pickle.loads(pickle.dumps(VSRDLabeler(config).prepare(group)))


def label(labeler, group, **options):
    """Fits of a group that was prepared elsewhere."""
    return labeler.label(prepare(labeler.config, group), **options)


def label_many(labeler, groups, **options):
    """Fits of groups that were prepared elsewhere."""
    return labeler.label_many([prepare(labeler.config, group) for group in groups], **options)


def far_off(group, shift):
    """The group somewhere else in the world."""

    def moved(T_world_cam):
        return np.block([[T_world_cam[:3, :3], (T_world_cam[:3, 3] + shift)[:, None]], [T_world_cam[3:]]])

    def moved_view(view):
        return replace(view, T_world_cam=moved(view.T_world_cam))

    (camera,) = group.drive.cameras.values()
    camera = replace(camera, T_world_cam={frame: moved(pose) for frame, pose in camera.T_world_cam.items()})
    return replace(
        group,
        views=tuple(moved_view(view) for view in group.views),
        label_frames=tuple(replace(frame, view=moved_view(frame.view)) for frame in group.label_frames),
        drive=replace(group.drive, cameras={camera.name: camera}),
    )
