"""Cars that drive by hand, seen by a camera that drives too: their motions are known."""

from dataclasses import replace

import numpy as np
import torch
from hand_made import K, Thing, camera_pose, make_scenes
from hand_made_bodies import CONFIG, CPU, SETTINGS, SOFTNESS, car_body

from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.vsrd.bodyfit import fit_bodies
from vsrd_ray.labelers.vsrd.ground import Ground
from vsrd_ray.labelers.vsrd.movers import fit_motions
from vsrd_ray.labelers.vsrd.observations import Expectations, observe
from vsrd_ray.labelers.vsrd.priors import load_prior

TIMES = np.linspace(0, 3, 9)
# Twice as sharp as other scenes by hand.
SHARP = {"K": K * [[2], [2], [1]], "image_size": (704, 224)}
# 5 m/s straight ahead, with a slightly tilted camera.
POSES = [camera_pose(5 * time, 0.1 * time, heading=0.01 * time, pitch=0.03, roll=0.01) for time in TIMES]


def driven(car, times=TIMES, *, speed=0.0, braking=0.0, curvature=0.0):
    """A car [V] at some times that starts from its place; what brakes stops, and stays."""
    steps = np.linspace(0, times[-1], 3001)
    speeds = np.sign(speed) * np.maximum(np.abs(speed) - braking * steps, 0)
    ways = np.concatenate([[0], np.cumsum((speeds[1:] + speeds[:-1]) / 2 * np.diff(steps))])
    yaws = car.yaw_world + curvature * ways
    changes = np.diff(ways)[:, None] * np.stack([np.cos(yaws), np.sin(yaws)], axis=-1)[1:]
    places = np.concatenate([np.zeros((1, 2)), np.cumsum(changes, axis=0)]) + car.center_world[:2]
    rows = np.searchsorted(steps, times - 1e-9)
    return [replace(car, center_world=(*places[row], car.center_world[2]), yaw_world=yaws[row]) for row in rows]


def speeds_of(things, times=TIMES):
    """Velocities [V, 2] in the world by differences."""
    places = np.array([thing.center_world[:2] for thing in things])
    return np.gradient(places, times, axis=0)


def car(x, y, yaw=0.0, seed=0, instance_id=26001):
    return Thing(instance_id, (x, y, 0.75), yaw, body=car_body(seed))


def scenes_of(*things):
    """What there is at each time, of cars that drive [V] and things that stand."""
    return [[one[v] if isinstance(one, list) else one for one in things] for v in range(len(TIMES))]


def observed(scenes, poses=POSES, labelled=(26001,), times=TIMES, group=None):
    """Observations, expectations and the frame of a group of scenes."""
    group = group or make_scenes(scenes, poses, labelled=labelled, times_s=times, **SHARP)
    T_world_ref = rigid.levelled_at(poses[0])
    observations = observe(group, labelled, SETTINGS, T_world_ref=T_world_ref)
    sizes = [CONFIG.box.sizes[name] for name in group.class_names]
    return observations, Expectations.of(sizes, [load_prior(size.body) for size in sizes], device=CPU), T_world_ref


def road(poses=POSES):
    """The road under the camera's way, whose height is known as well as it is in most drives."""
    way = rigid.apply(rigid.inverse(rigid.levelled_at(poses[0])), np.stack([pose[:3, 3] for pose in poses]))
    return Ground.under(torch.as_tensor(way).float(), height=1.6, spread=0.06)


def motions_of(observations, expectations, ground, *, settings=CONFIG.motion):
    """The motions of instances, and their bodies as if none moved."""
    standing = fit_bodies(observations, expectations, SETTINGS, softness=SOFTNESS)
    motions = fit_motions(
        *(observations, expectations, standing),
        ground=ground,
        inset=0.0,
        start=SETTINGS,
        settings=settings,
        softness=SOFTNESS,
    )
    return motions, standing
