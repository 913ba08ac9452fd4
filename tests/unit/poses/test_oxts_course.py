"""Positions that a GPS lets drift sideways, put back where the vehicle heads."""

import numpy as np
import pytest

from vsrd_ray.poses import oxts

AHEAD = 0.05  # metres of the IMU before the rear axle
TURNED = 0.01  # radians by which the IMU is turned against the vehicle


def around(yaw):
    return np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])


def bend(num_frames=200):
    """`T_world_imu` of a car that drives an S, a metre a frame, without slip of its rear axle."""
    poses, axle, yaw = [], np.zeros(3), 0.0
    for frame in range(num_frames):
        pose = np.eye(4)
        pose[:3, :3] = around(yaw - TURNED)
        pose[:3, 3] = axle + around(yaw) @ [AHEAD, 0, 0]
        poses.append(pose)
        turn = 0.02 * np.sin(frame / 20)
        axle = axle + around(yaw + turn / 2) @ [1.0, 0, 0]
        yaw += turn
    return np.stack(poses)


def test_a_car_without_slip_stays_where_it_is():
    true = bend()
    np.testing.assert_allclose(oxts.steadied(true, range(len(true))), true, atol=0.05)


def test_drift_sideways_and_up_goes():
    true = bend()
    drifting = true.copy()
    frames = np.arange(len(true))
    drifting[:, :3, 3] += np.stack([0 * frames, np.sin(frames / 15), 0.5 * np.sin(frames / 25)], axis=-1)
    steady = oxts.steadied(drifting, frames)

    def course(poses):
        steps = np.einsum("nji,nj->ni", poses[:-1, :3, :3], np.diff(poses[:, :3, 3], axis=0))
        return np.degrees(np.arctan2(steps[:, 1:], steps[:, :1]))

    before, after = (np.std(course(poses) - course(true), axis=0) for poses in (drifting, steady))
    assert (before > (2, 0.7)).all()
    assert (after < before / 4).all()
    np.testing.assert_array_equal(steady[:, :3, :3], drifting[:, :3, :3])


@pytest.mark.parametrize("frames", [range(10), range(0, 400, 2)], ids=["few", "every second alone"])
def test_few_steps_tell_nothing(frames):
    poses = bend(len(frames))
    poses[:, 1, 3] += np.sin(np.arange(len(frames)) / 3)
    np.testing.assert_array_equal(oxts.steadied(poses, frames), poses)
