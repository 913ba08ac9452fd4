"""Recordings for the viewer Rerun: occupied voxels as boxes in the colours of classes, beside the images."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.labels.voxels.formats.colors import occupied_colors
from vsrd_ray.labels.voxels.labelled import LabelledGrid
from vsrd_ray.visualization.recording import log_image


@contextmanager
def recorded(drive: Drive, path: Path) -> Iterator[Callable[[LabelledGrid], None]]:
    """A function that shows a grid at its frame in <drive>.rrd; metres from the first grid's origin."""
    rr: Any = importlib.import_module("rerun")
    recording = rr.RecordingStream("vsrd-ray", recording_id=drive.name)
    recording.save(path)
    origin: list[np.ndarray] = []

    def show(labelled: LabelledGrid) -> None:
        T_world_grid, size = labelled.voxels.T_world_grid, labelled.voxels.grid.voxel_size
        if not origin:
            origin.append(T_world_grid[:3, 3])
            recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, rr.AnyValues(origin=origin[0]), static=True)
        recording.set_time("frame", sequence=labelled.frame)
        index, colors = occupied_colors(labelled)
        boxes = rr.Boxes3D(
            centers=labelled.voxels.grid.centers(index),
            half_sizes=np.full((len(index), 3), size / 2),
            colors=colors,
            fill_mode=rr.components.FillMode.Solid,
        )
        pose = rr.Transform3D(translation=T_world_grid[:3, 3] - origin[0], mat3x3=T_world_grid[:3, :3])
        recording.log("world/voxels", pose)
        recording.log("world/voxels", boxes)
        for camera in drive.cameras.values():
            if labelled.frame in camera.T_world_cam and drive.has(IMAGES, camera.name, labelled.frame):
                log_image(recording, drive, camera, labelled.frame, origin[0])

    yield show
    recording.disconnect()
