"""Labelled points in the images of cameras.

Shapes: N points of a sweep, M points in an image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.drive import IMAGES, POINTS, Camera, Drive
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.points.classes import NO_INSTANCE
from vsrd_ray.labels.points.labelled import LabelledSweep

_MIN_DEPTH = 1.0  # m


@dataclass(frozen=True)
class InImage:
    """The labelled points that a camera shows."""

    camera: Camera
    index: np.ndarray  # [M] places in the sweep
    uv: np.ndarray  # [M, 2] px


def points_of(drive: Drive, sweep: LabelledSweep) -> np.ndarray:
    """The sweep's points [N, 3] float64 in its sensor's frame."""
    return drive.read(POINTS, sweep.sensor, sweep.frame)[:, :3].astype(np.float64)


def images_of(drive: Drive, sweep: LabelledSweep, points: np.ndarray) -> Iterator[InImage]:
    """What each camera that has an image in the sweep's frame shows of its labelled points [N, 3]."""
    own = np.flatnonzero(sweep.instances != NO_INSTANCE)
    T_world_lidar = drive.lidars[sweep.sensor].T_world_lidar[sweep.frame]
    for camera in drive.cameras.values():
        if sweep.frame not in camera.T_world_cam or not drive.has(IMAGES, camera.name, sweep.frame):
            continue
        P_cam = rigid.apply(rigid.inverse(camera.T_world_cam[sweep.frame]) @ T_world_lidar, points[own])
        ahead = np.flatnonzero(P_cam[:, 2] > _MIN_DEPTH)
        uv = P_cam[ahead] @ camera.K.T
        uv = uv[:, :2] / uv[:, 2:]
        inside = ((uv >= 0) & (uv < np.array(camera.image_size))).all(axis=1)
        yield InImage(camera, own[ahead[inside]], uv[inside])
