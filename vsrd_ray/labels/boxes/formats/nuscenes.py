"""Detection results of nuScenes: one JSON file, boxes in the world."""

import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vsrd_ray.labels.boxes.columns import box_of
from vsrd_ray.labels.boxes.selection import LabelledSequence

logger = logging.getLogger(__name__)

# Classes of the detection task, and the two attributes of each: of one that stands, and of one that moves.
_VEHICLE = ("vehicle.parked", "vehicle.moving")
_CYCLE = ("cycle.without_rider", "cycle.with_rider")
_CLASSES = {
    "car": ("car", _VEHICLE),
    "truck": ("truck", _VEHICLE),
    "bus": ("bus", _VEHICLE),
    "trailer": ("trailer", _VEHICLE),
    "caravan": ("trailer", _VEHICLE),
    "motorcycle": ("motorcycle", _CYCLE),
    "bicycle": ("bicycle", _CYCLE),
    "person": ("pedestrian", ("pedestrian.standing", "pedestrian.moving")),
}
_META = {"use_camera": True, "use_lidar": False, "use_radar": False, "use_map": False, "use_external": False}


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write results.json: every labelled frame is a sample, one without boxes has an empty list.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    without_class: Counter[str] = Counter()
    for labelled in sequences:
        drive = labelled.sequence
        for view, rows in labelled.by_frame():
            token = sample_token(drive.name, drive.camera.name, view.frame)
            boxes = rows.to_pylist()
            without_class.update(row["class_name"] for row in boxes if row["class_name"] not in _CLASSES)
            results[token] = [_box(row, token) for row in boxes if row["class_name"] in _CLASSES]
            done()
    for name, count in sorted(without_class.items()):
        logger.warning("%d boxes of the class %s are left out: nuScenes has no such class.", count, name)
    (folder / "results.json").write_text(json.dumps({"meta": _META, "results": results}) + "\n")


def sample_token(sequence: str, camera: str, frame: int) -> str:
    """What stands for nuScenes' token of a sample."""
    return f"{sequence}-{camera}-{frame:010d}"


def _box(row: dict[str, Any], token: str) -> dict[str, Any]:
    name, attributes = _CLASSES[row["class_name"]]
    box = box_of(row)
    length, width, height = box.dimensions_lwh.tolist()
    half_yaw = float(box.yaws) / 2
    return {
        "sample_token": token,
        "translation": box.centers.tolist(),
        "size": [width, length, height],
        "rotation": [math.cos(half_yaw), 0.0, 0.0, math.sin(half_yaw)],  # w, x, y, z
        "velocity": [0.0, 0.0],  # a run knows no times
        "detection_name": name,
        "detection_score": row["confidence"],
        "attribute_name": attributes[bool(row["is_moving"])],
        "tracking_id": str(row["instance_id"]),
    }
