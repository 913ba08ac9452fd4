"""ASAM OpenLABEL 1.0 JSON: objects, their cuboids in the world and their boxes in the image, frame by frame."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import View
from vsrd_ray.labels.boxes.columns import BOX_2D, VELOCITY_WORLD, boxes_of, track_ids
from vsrd_ray.labels.boxes.selection import LabelledSequence

_WORLD = "world"
# Columns that are attributes of a cuboid, by OpenLABEL's kinds of value.
_ATTRIBUTES = {
    "num": ("confidence", "instance_id", "truncation", "occlusion"),
    "boolean": ("is_moving", "observed"),
    "text": ("source", "labeler"),
}


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write <sequence>.json.

    Cuboids are x, y, z, a quaternion x, y, z, w and length, width, height in metres of the world; boxes in the image
    are centre, width and height in px. Objects go by tracks.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.
    """
    for labelled in sequences:
        content = {"openlabel": _content(labelled, done)}
        (folder / f"{labelled.sequence.name}.json").write_text(json.dumps(content, indent=1) + "\n")


def _content(labelled: LabelledSequence, done: Callable[[], None]) -> dict[str, Any]:
    drive = labelled.sequence
    camera = drive.camera
    width, height = camera.image_size
    matrix = np.hstack([camera.K, np.zeros((3, 1))]).ravel().tolist()
    return {
        "metadata": {"schema_version": "1.0.0", "name": drive.name, "annotator": "vsrd-ray"},
        "coordinate_systems": {
            _WORLD: {"type": "scene_cs", "parent": "", "children": [camera.name]},
            camera.name: {"type": "sensor_cs", "parent": _WORLD, "children": []},
        },
        "streams": {
            camera.name: {
                "type": "camera",
                "stream_properties": {
                    "intrinsics_pinhole": {"width_px": width, "height_px": height, "camera_matrix_3x4": matrix}
                },
            }
        },
        "objects": _objects(labelled),
        "frames": dict(_frames(labelled, done)),
        "frame_intervals": _intervals(labelled.frames),
    }


def _objects(labelled: LabelledSequence) -> dict[str, Any]:
    """Each track with its class and the runs of frames that show it."""
    rows = labelled.rows
    frames: dict[int, list[int]] = {}
    classes: dict[int, str] = {}
    for track, frame, name in zip(
        track_ids(rows).tolist(), rows["frame"].to_pylist(), rows["class_name"].to_pylist(), strict=True
    ):
        frames.setdefault(track, []).append(frame)
        classes.setdefault(track, name)
    return {
        str(track): {
            "name": f"{classes[track]} {track}",
            "type": classes[track],
            "coordinate_system": _WORLD,
            "frame_intervals": _intervals(of_track),
        }
        for track, of_track in frames.items()
    }


def _frames(labelled: LabelledSequence, done: Callable[[], None]) -> Iterator[tuple[str, Any]]:
    camera = labelled.sequence.camera
    for view, rows in labelled.by_frame():
        properties: dict[str, Any] = {"transforms": _transform(view, camera.name)}
        if view.frame in camera.times_s:
            properties["timestamp"] = f"{camera.times_s[view.frame]:.9f}"
        yield str(view.frame), {"objects": _seen(rows, camera.name), "frame_properties": properties}
        done()


def _transform(view: View, camera: str) -> dict[str, Any]:
    matrix = {"matrix4x4": view.T_world_cam.ravel().tolist()}
    return {f"{camera}_to_{_WORLD}": {"src": camera, "dst": _WORLD, "transform_src_to_dst": matrix}}


def _seen(rows: pa.Table, camera: str) -> dict[str, Any]:
    """The objects of a frame."""
    if not rows.num_rows:
        return {}
    boxes = boxes_of(rows)
    cuboids = np.hstack([boxes.centers, boxes.quaternions(), boxes.dimensions_lwh])
    return {
        str(track): {"object_data": _data(cuboid, row, camera)}
        for track, cuboid, row in zip(track_ids(rows).tolist(), cuboids.tolist(), rows.to_pylist(), strict=True)
    }


def _data(cuboid: list[float], row: dict[str, Any], camera: str) -> dict[str, Any]:
    attributes: dict[str, list[dict[str, Any]]] = {
        kind: [{"name": name, "val": row[name]} for name in names if row[name] is not None]
        for kind, names in _ATTRIBUTES.items()
    }
    velocity = [row[name] for name in VELOCITY_WORLD]
    if None not in velocity:
        attributes["vec"] = [{"name": "velocity_world", "val": velocity}]
    box_3d = {"name": "box", "val": cuboid, "coordinate_system": _WORLD, "attributes": attributes}
    data: dict[str, Any] = {"cuboid": [box_3d]}
    left, top, right, bottom = (row[name] for name in BOX_2D)
    if right > left and bottom > top:
        box_2d = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        data["bbox"] = [{"name": "outline", "val": box_2d, "coordinate_system": camera}]
    return data


def _intervals(frames: Sequence[int]) -> list[dict[str, int]]:
    """Ascending frames as runs without a gap."""
    runs = (list(run) for _, run in groupby(enumerate(frames), key=lambda pair: pair[1] - pair[0]))
    return [{"frame_start": run[0][1], "frame_end": run[-1][1]} for run in runs]
