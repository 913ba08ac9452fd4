"""Sweeps between labelled ones, of a drive that is made up: three cars' sides, one of which drives at 10 m/s."""

from dataclasses import dataclass

import numpy as np
import pytest

from vsrd_ray.data.drive import Lidar
from vsrd_ray.labels.points.classes import NO_INSTANCE, NONE
from vsrd_ray.labels.points.formats.between import frames_between, labels_between
from vsrd_ray.labels.points.labelled import LabelledSweep

SPEED, PERIOD = 10.0, 0.1  # m/s; s between frames
FRAMES = 8


@dataclass
class MadeUp:
    """What is asked of a drive: the sensor itself drives as well."""

    lidars: dict

    def frames_with(self, layer, sensor):
        return tuple(range(FRAMES))

    def read(self, layer, sensor, frame):
        world = np.concatenate(objects(frame))
        return (world - self.lidars[sensor].T_world_lidar[frame][:3, 3]).astype(np.float32)


def side(x, y, length=4.0, step=0.2):
    xs, zs = np.meshgrid(np.arange(0, length, step), np.arange(0, 1.4, step))
    return np.column_stack([x + xs.ravel(), np.full(xs.size, y), zs.ravel()])


def objects(frame):
    """Points in the world: a parked car, one that drives, and the road."""
    road = np.column_stack(
        [np.repeat(np.arange(-20, 40, 0.5), 40), np.tile(np.arange(-10, 10, 0.5), 120), np.full(4800, -0.4)]
    )
    return side(5, 4), side(SPEED * PERIOD * frame, -3), road


@pytest.fixture
def drive():
    poses = {frame: np.eye(4) for frame in range(FRAMES)}
    for frame, pose in poses.items():
        pose[:3, 3] = 100 + frame, 50, 0
    return MadeUp({"lidar": Lidar("lidar", poses)})


def labelled_sweep(frame, speeds):
    sizes = [len(one) for one in objects(frame)]
    instances = np.repeat([0, 1, NO_INSTANCE], sizes)
    classes = np.where(instances == NO_INSTANCE, NONE, 0)
    everything = np.ones(len(instances), dtype=bool)
    return LabelledSweep(frame, "lidar", classes, instances, everything, np.array([7, 9]), np.array(speeds), 0.0)


@pytest.mark.parametrize("parked_speed", [0.0, 3.0])
def test_points_take_the_labels_of_their_objects_whether_these_drive_or_not(drive, parked_speed):
    """Speeds come from middles that wander: one that does not fit is not believed."""
    sweep = labelled_sweep(6, [[parked_speed, 0], [SPEED, 0]])
    classes, tracks = labels_between(drive, sweep, 4, sweep.speeds, 2 * PERIOD)
    parked, driving, road = np.split(tracks, np.cumsum([len(one) for one in objects(4)])[:-1])
    assert set(parked) == {7}
    assert set(driving) == {9}
    assert set(road) == {NO_INSTANCE}
    assert set(classes) == {0, NONE}


def test_sweeps_are_those_since_the_last_labelled_one(drive):
    assert frames_between(drive, "lidar", 6, {2, 6}, 9) == [5, 4, 3]
    assert frames_between(drive, "lidar", 6, {6}, 2) == [5, 4]
    assert frames_between(drive, "lidar", 6, set(range(8)), 9) == []
    assert frames_between(drive, "lidar", 0, {0}, 9) == []
