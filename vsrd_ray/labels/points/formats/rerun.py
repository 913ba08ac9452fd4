"""Recordings for the viewer Rerun: points by object, boxes of clusters, and the images of all cameras.

Shapes: N points of a sweep.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.points.classes import NO_INSTANCE
from vsrd_ray.labels.points.labelled import LabelledSweep
from vsrd_ray.labels.points.shown import images_of, points_of
from vsrd_ray.visualization.drawing import GREY, instance_color
from vsrd_ray.visualization.recording import log_image


class Recording:
    """<drive>.rrd, whose timeline `frame` has the labelled sweeps.

    Rerun computes in single precision: coordinates are metres from `world:origin`, the sensor's first position.
    """

    def __init__(self, drive: Drive, path: Path) -> None:
        self._rr = importlib.import_module("rerun")
        self._drive, self._origin = drive, None
        self._recording = self._rr.RecordingStream("vsrd-ray", recording_id=drive.name)
        self._recording.save(path)

    def add(self, sweep: LabelledSweep, rows: pa.Table, boxes: UprightBoxes) -> None:
        """Show a sweep and its clusters."""
        rr, drive = self._rr, self._drive
        T_world_lidar = drive.lidars[sweep.sensor].T_world_lidar[sweep.frame]
        if self._origin is None:
            self._origin = T_world_lidar[:3, 3]
            axes = rr.ViewCoordinates.RIGHT_HAND_Z_UP
            self._recording.log("world", axes, rr.AnyValues(origin=self._origin), static=True)
        self._recording.set_time("frame", sequence=sweep.frame)
        points = points_of(drive, sweep)
        world = rigid.apply(T_world_lidar, points) - self._origin
        shown = np.isfinite(world).all(axis=1)
        colors = _colors(sweep.tracks[shown])
        self._recording.log(f"world/{sweep.sensor}", rr.Points3D(world[shown], colors=colors, radii=0.03))
        self._log_boxes(rows, boxes)
        for found in images_of(drive, sweep, points):
            name, camera = found.camera.name, found.camera
            log_image(self._recording, drive, camera, sweep.frame, self._origin)
            dots = rr.Points2D(found.uv, colors=_colors(sweep.tracks[found.index]), radii=1.5)
            self._recording.log(f"world/{name}/image/points", dots)

    def close(self) -> None:
        """Let the file be whole."""
        self._recording.disconnect()

    def _log_boxes(self, rows: pa.Table, boxes: UprightBoxes) -> None:
        rr = self._rr
        if not rows.num_rows:
            self._recording.log("world/clusters", rr.Clear(recursive=False))  # of those of the frame before
            return
        half, zeros = boxes.yaws / 2, np.zeros(len(boxes))
        tracks, sure = rows["track_id"].to_numpy(), rows["confidence"].to_numpy()
        names = rows["class_name"].to_pylist()
        shown = rr.Boxes3D(
            centers=boxes.centers - self._origin,
            half_sizes=boxes.dimensions_lwh / 2,
            quaternions=np.stack([zeros, zeros, np.sin(half), np.cos(half)], axis=-1),  # x, y, z, w
            colors=_colors(tracks),
            labels=[f"{name} {one} {share:.2f}" for name, one, share in zip(names, tracks, sure, strict=True)],
            show_labels=False,
        )
        self._recording.log("world/clusters", shown, rr.AnyValues(confidence=sure, track_id=tracks))


def _colors(tracks: np.ndarray) -> np.ndarray:
    """Colours [N, 3] uint8, RGB, of tracks; grey without one."""
    ids, place = np.unique(tracks, return_inverse=True)
    colors: list[Any] = [GREY if one == NO_INSTANCE else instance_color(one) for one in ids.tolist()]
    return np.array(colors, dtype=np.uint8).reshape(-1, 3)[place.ravel(), ::-1]
