"""Annotations of VSRD's published tools: a JSON a frame with camera, masks and boxes, to train on with their code.

Masks are the drive's, under the ids of the labels' tracks; boxes are the labels.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.classes import IS_INSTANCE
from vsrd_ray.data.drive import MASKS, Drive, View
from vsrd_ray.data.masks import encode_rle
from vsrd_ray.errors import UnreadableFrameError
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.boxes.columns import boxes_of, track_ids
from vsrd_ray.labels.boxes.selection import LabelledSequence


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write <date>/<drive>/annotations_02/data/%010d.json of KITTI's raw data, <drive>/annotations_00/data of others.

    A frame in which nothing is seen has a file without masks.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.
    """
    for labelled in sequences:
        drive = labelled.sequence
        ids = labelled.rows["instance_id"].to_pylist()
        tracks = dict(zip(ids, track_ids(labelled.rows).tolist(), strict=True))
        way = drive.detail("annotation_file") or _way(drive)
        for view, rows in labelled.by_frame():
            file = folder / way(view.frame)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(_annotation(drive, view, rows, tracks)) + "\n")
            done()


def _way(drive: Drive) -> Callable[[int], str]:
    camera = drive.camera.name.removeprefix("image")
    return lambda frame: f"{drive.name}/annotations{camera}/data/{frame:010d}.json"


def _annotation(drive: Drive, view: View, rows: pa.Table, tracks: dict[int, int]) -> dict[str, Any]:
    T_cam_world = rigid.inverse(view.T_world_cam)
    masks: dict[str, dict[str, Any]] = {}
    for track, inside in _masks(drive, view.frame, tracks).items():
        masks.setdefault(drive.classes.name_of(track), {})[str(track)] = encode_rle(inside)
    boxes_3d: dict[str, dict[str, Any]] = {name: {} for name in masks}
    corners_cam = rigid.apply(T_cam_world, boxes_of(rows).corners().reshape(-1, 3)).reshape(-1, 8, 3)
    for track, name, corners in zip(track_ids(rows).tolist(), rows["class_name"].to_pylist(), corners_cam, strict=True):
        boxes_3d.setdefault(name, {})[str(track)] = corners.tolist()
    return {
        "intrinsic_matrix": view.K.tolist(),
        "extrinsic_matrix": T_cam_world.tolist(),
        "masks": masks,
        "boxes_3d": boxes_3d,
    }


def _masks(drive: Drive, frame: int, tracks: dict[int, int]) -> dict[int, np.ndarray]:
    """Masks [H, W] bool of a frame by track; none where its file is torn."""
    if frame not in drive.mask_frames:
        return {}
    try:
        instance_map = drive.read(MASKS, drive.camera.name, frame)
    except UnreadableFrameError:
        return {}
    found: dict[int, np.ndarray] = {}
    for value in np.flatnonzero(np.bincount(instance_map.ravel())).tolist():
        if IS_INSTANCE[value]:
            track, inside = tracks.get(value, value), instance_map == value
            found[track] = found[track] | inside if track in found else inside
    return found
