"""MCAP recordings for Foxglove and whatever reads its schemas: images, calibration, the camera's way and boxes."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.spatial.transform import Rotation

from vsrd_ray.data.drive import IMAGES, Camera, Drive, View
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.columns import boxes_of, track_ids
from vsrd_ray.labels.boxes.selection import LabelledSequence
from vsrd_ray.storage import read_bytes
from vsrd_ray.visualization.drawing import instance_color

_WORLD = "world"
_NEEDED = ("mcap_protobuf", "foxglove_schemas_protobuf")
_NANOSECONDS = 1_000_000_000
_OF_A_FRAME = _NANOSECONDS // 10  # where a drive has no times
_OPACITY = 0.4
_TEXTS = ("class_name", "confidence", "is_moving", "observed", "source")  # columns that a viewer shows of a box


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write <sequence>.mcap with the topics /tf, /<camera>/calibration, /<camera>/image and /labels, in Protobuf.

    Coordinates are metres from the camera's first position, turned as the world is. Times are the drive's; where it has
    none, frame n is at n tenths of a second.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.

    Raises:
        InputError: the packages that write it are not installed.
    """
    if any(find_spec(name) is None for name in _NEEDED):
        raise InputError("the format mcap needs further packages: pip install 'vsrd-ray[mcap]'")
    writer = importlib.import_module("mcap_protobuf.writer")
    for labelled in sequences:
        with (folder / f"{labelled.sequence.name}.mcap").open("wb") as file, writer.Writer(file) as recording:
            for time, topic, message in _messages(labelled, done):
                recording.write_message(topic, message, log_time=time, publish_time=time)


def _messages(labelled: LabelledSequence, done: Callable[[], None]) -> Iterator[tuple[int, str, Any]]:
    """(nanoseconds, topic, message), frame by frame."""
    drive = labelled.sequence
    camera = drive.camera
    frames = labelled.frames
    origin = camera.T_world_cam[frames[0]][:3, 3] if frames else np.zeros(3)
    shown: set[str] = set()
    for view, rows in labelled.by_frame():
        time = _time(camera, view.frame)
        yield time, "/tf", _pose(view, camera, origin, time)
        yield time, f"/{camera.name}/calibration", _calibration(camera, time)
        image = _image(drive, view.frame, time)
        if image is not None:
            yield time, f"/{camera.name}/image", image
        scene, shown = _scene(rows, origin, time, shown)
        yield time, "/labels", scene
        done()


def _schema(name: str, **fields: Any) -> Any:
    """A message of one of Foxglove's schemas."""
    return getattr(importlib.import_module(f"foxglove_schemas_protobuf.{name}_pb2"), name)(**fields)


def _stamp(time: int) -> Any:
    timestamps = importlib.import_module("google.protobuf.timestamp_pb2")
    return timestamps.Timestamp(seconds=time // _NANOSECONDS, nanos=time % _NANOSECONDS)


def _time(camera: Camera, frame: int) -> int:
    seconds = camera.times_s.get(frame)
    return frame * _OF_A_FRAME if seconds is None else round(seconds * _NANOSECONDS)


def _vector(values: np.ndarray) -> Any:
    x, y, z = values.tolist()
    return _schema("Vector3", x=x, y=y, z=z)


def _turn(values: np.ndarray) -> Any:
    x, y, z, w = values.tolist()
    return _schema("Quaternion", x=x, y=y, z=z, w=w)


def _pose(view: View, camera: Camera, origin: np.ndarray, time: int) -> Any:
    T = view.T_world_cam
    return _schema(
        "FrameTransform",
        timestamp=_stamp(time),
        parent_frame_id=_WORLD,
        child_frame_id=camera.name,
        translation=_vector(T[:3, 3] - origin),
        rotation=_turn(Rotation.from_matrix(T[:3, :3]).as_quat()),
    )


def _calibration(camera: Camera, time: int) -> Any:
    width, height = camera.image_size
    return _schema(
        "CameraCalibration",
        timestamp=_stamp(time),
        frame_id=camera.name,
        width=width,
        height=height,
        K=camera.K.ravel().tolist(),
        R=np.eye(3).ravel().tolist(),
        P=np.hstack([camera.K, np.zeros((3, 1))]).ravel().tolist(),
    )


def _image(drive: Drive, frame: int, time: int) -> Any | None:
    try:
        file = drive.file(IMAGES, drive.camera.name, frame)
        content = read_bytes(file)
    except FileNotFoundError:
        return None
    kind = "jpeg" if content.startswith(b"\xff\xd8") else "png"
    return _schema("CompressedImage", timestamp=_stamp(time), frame_id=drive.camera.name, data=content, format=kind)


def _scene(rows: pa.Table, origin: np.ndarray, time: int, before: set[str]) -> tuple[Any, set[str]]:
    """The boxes of a frame; those that were there before and are gone are taken away. Also the ids that are there."""
    boxes, tracks = boxes_of(rows), track_ids(rows).tolist()
    turns = boxes.quaternions()
    entities = []
    for place, (track, row) in enumerate(zip(tracks, rows.to_pylist(), strict=True)):
        blue, green, red = (value / 255 for value in instance_color(row["instance_id"]))
        center = _vector(boxes.centers[place] - origin)
        cube = _schema(
            "CubePrimitive",
            pose=_schema("Pose", position=center, orientation=_turn(turns[place])),
            size=_vector(boxes.dimensions_lwh[place]),
            color=_schema("Color", r=red, g=green, b=blue, a=_OPACITY),
        )
        texts = [_schema("KeyValuePair", key=name, value=str(row[name])) for name in _TEXTS]
        entities.append(
            _schema("SceneEntity", timestamp=_stamp(time), frame_id=_WORLD, id=str(track), cubes=[cube], metadata=texts)
        )
    now = set(map(str, tracks))
    gone = [_schema("SceneEntityDeletion", timestamp=_stamp(time), id=one) for one in sorted(before - now)]
    return _schema("SceneUpdate", entities=entities, deletions=gone), now
