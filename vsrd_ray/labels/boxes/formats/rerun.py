"""Recordings for the viewer Rerun: camera, images, masks, boxes with their confidence, true boxes, the way driven.

Shapes: N boxes of one frame.
"""

import importlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.spatial import KDTree

from vsrd_ray.data.classes import IS_INSTANCE
from vsrd_ray.data.drive import IMAGES, MASKS, Drive, View
from vsrd_ray.data.truth import BOXES, TruthBoxes
from vsrd_ray.errors import UnreadableFrameError
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import boxes_of, track_ids
from vsrd_ray.labels.boxes.selection import LabelledSequence
from vsrd_ray.storage import read_bytes
from vsrd_ray.visualization.recording import check_installed

logger = logging.getLogger(__name__)

_TIMELINE = "frame"
_SERIES = "confidence"
_NEAR = 60.0  # metres from the camera's way
_TRUTH_COLOR = (40, 200, 120)


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write <sequence>.rrd, whose timeline `frame` has the labelled frames, with a blueprint of its views.

    The true boxes of a dataset that has some are shown near the way driven, in another colour.

    Rerun computes in single precision: coordinates are metres from `world:origin`, the camera's first position.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.

    Raises:
        InputError: rerun-sdk is not installed.
    """
    check_installed()
    rr = importlib.import_module("rerun")
    blueprint = _blueprint()
    for labelled in sequences:
        recording = rr.RecordingStream("vsrd-ray", recording_id=labelled.sequence.name)
        recording.save(folder / f"{labelled.sequence.name}.rrd")
        origin = _origin(labelled)
        recording.send_blueprint(blueprint)
        _log_drive(rr, recording, labelled, origin)
        truth = _near_truth(labelled)
        for view, rows in labelled.by_frame():
            recording.set_time(_TIMELINE, sequence=view.frame)
            _log_camera(rr, recording, view, origin)
            _log_pixels(rr, recording, labelled.sequence, view.frame)
            _log_boxes(rr, recording, rows, origin)
            _log_confidences(rr, recording, rows)
            if truth is not None:
                _log_truth(rr, recording, truth, view.frame, origin)
            done()
        recording.disconnect()


def _blueprint() -> Any:
    """The street beside the image, and confidences over the frames below it."""
    rrb = importlib.import_module("rerun.blueprint")
    street = rrb.Spatial3DView(name="Street", origin="world", contents=["$origin/**", "- world/camera/image/masks"])
    image = rrb.Spatial2DView(name="Image", origin="world/camera/image", contents=["$origin/**", "world/boxes"])
    series = rrb.TimeSeriesView(name="Confidence", origin=_SERIES)
    columns = rrb.Horizontal(street, rrb.Vertical(image, series), column_shares=[3, 2])
    return rrb.Blueprint(columns, collapse_panels=True)


def _near_truth(labelled: LabelledSequence) -> TruthBoxes | None:
    """The true boxes near the way driven; none where the dataset has none."""
    drive, frames = labelled.sequence, labelled.frames
    if not frames or not drive.has_truth(BOXES):
        return None
    truth = drive.truth(BOXES)
    way = np.array([drive.T_world_cam[frame][:3, 3] for frame in frames])
    near = np.flatnonzero(KDTree(way).query(truth.boxes.centers)[0] < _NEAR)
    names = tuple(truth.class_names[place] for place in near)
    return TruthBoxes(truth.instance_ids[near], names, truth.boxes[near], truth.timestamps[near])


def _origin(labelled: LabelledSequence) -> np.ndarray:
    """The camera's position [3] in the first labelled frame, metres in the world."""
    frames = labelled.frames
    return labelled.sequence.T_world_cam[frames[0]][:3, 3] if frames else np.zeros(3)


def _log_drive(rr: Any, recording: Any, labelled: LabelledSequence, origin: np.ndarray) -> None:
    """What holds at all times: the axes, the camera's intrinsics, the names of instances and the way driven."""
    recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, rr.AnyValues(origin=origin), static=True)
    width, height = labelled.sequence.image_size
    pinhole = rr.Pinhole(
        image_from_camera=labelled.sequence.K, width=width, height=height, camera_xyz=rr.ViewCoordinates.RDF
    )
    recording.log("world/camera/image", pinhole, static=True)
    instances = sorted(
        set(zip(*(labelled.rows[name].to_pylist() for name in ("instance_id", "class_name")), strict=True))
    )
    names = [rr.AnnotationInfo(id=instance_id, label=f"{name} {instance_id}") for instance_id, name in instances]
    recording.log("world", rr.AnnotationContext([rr.AnnotationInfo(id=0, color=(0, 0, 0, 0)), *names]), static=True)
    positions = np.array([labelled.sequence.T_world_cam[frame][:3, 3] - origin for frame in labelled.frames])
    recording.log("world/trajectory", rr.LineStrips3D([positions.reshape(-1, 3)]), static=True)


def _log_camera(rr: Any, recording: Any, view: View, origin: np.ndarray) -> None:
    T = view.T_world_cam
    recording.log("world/camera", rr.Transform3D(translation=T[:3, 3] - origin, mat3x3=T[:3, :3]))


def _log_pixels(rr: Any, recording: Any, drive: Drive, frame: int) -> None:
    """The frame's image and the instances of its mask; without them nothing stays of those of the frame before."""
    try:
        contents = read_bytes(drive.file(IMAGES, drive.camera.name, frame))
        image = rr.EncodedImage(contents=contents, media_type="image/png")
    except FileNotFoundError:
        image = rr.EncodedImage.from_fields(clear_unset=True)  # the pinhole of the same entity stays
    recording.log("world/camera/image", image)
    instances = _instances(drive, frame)
    masks = rr.Clear(recursive=False) if instances is None else rr.SegmentationImage(instances, opacity=0.5)
    recording.log("world/camera/image/masks", masks)


def _instances(drive: Drive, frame: int) -> np.ndarray | None:
    """The instance ids [H, W] uint16 of a frame's pixels, 0 for none; None where the mask is not there or torn."""
    if frame not in drive.mask_frames:
        return None
    try:
        instance_map = drive.read(MASKS, drive.camera.name, frame)
    except UnreadableFrameError as error:
        logger.warning("a frame without its mask: %s", error)
        return None
    return np.where(IS_INSTANCE[instance_map], instance_map, 0).astype(np.uint16)


def _log_confidences(rr: Any, recording: Any, rows: pa.Table) -> None:
    """A point of each track's series."""
    for track, confidence in zip(track_ids(rows).tolist(), rows["confidence"].to_pylist(), strict=True):
        recording.log(f"{_SERIES}/{track}", rr.Scalars(confidence))


def _log_truth(rr: Any, recording: Any, truth: TruthBoxes, frame: int, origin: np.ndarray) -> None:
    shown = np.flatnonzero(truth.in_frame(frame))
    boxes = truth.boxes[shown]
    labels = [f"truth {truth.class_names[place]} {truth.instance_ids[place]}" for place in shown.tolist()]
    recording.log("world/truth", _boxes(rr, boxes, origin, colors=[_TRUTH_COLOR] * len(boxes), labels=labels))


def _boxes(rr: Any, boxes: UprightBoxes, origin: np.ndarray, **others: Any) -> Any:
    return rr.Boxes3D(
        centers=boxes.centers - origin,
        half_sizes=boxes.dimensions_lwh / 2,
        quaternions=boxes.quaternions(),
        show_labels=False,
        **others,
    )


def _log_boxes(rr: Any, recording: Any, rows: pa.Table, origin: np.ndarray) -> None:
    if not rows.num_rows:
        recording.log("world/boxes", rr.Clear(recursive=False))  # of those of the frame before
        return
    ids, confidences = rows["instance_id"].to_numpy(), rows["confidence"].to_numpy()
    names = rows["class_name"].to_pylist()
    labels = [f"{name} {confidence:.2f}" for name, confidence in zip(names, confidences, strict=True)]
    shown = _boxes(rr, boxes_of(rows), origin, class_ids=ids, labels=labels)
    recording.log("world/boxes", shown, rr.AnyValues(confidence=confidences, instance_id=ids))
