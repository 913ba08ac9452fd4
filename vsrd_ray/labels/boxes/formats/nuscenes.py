"""Detection results of nuScenes: one JSON file, boxes in the world."""

import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD, box_of, velocities_of
from vsrd_ray.labels.boxes.selection import LabelledSequence

logger = logging.getLogger(__name__)

# Classes of the detection task, and the two attributes of each: of one that stands, and of one that moves. Nobody looks
# whether a cycle has a rider, or whether a person who stays in place stands, sits or lies.
_VEHICLE = ("vehicle.parked", "vehicle.moving")
_NOT_JUDGED = ""  # nuScenes' word for no attribute
_CYCLE = (_NOT_JUDGED, _NOT_JUDGED)
_PERSON = (_NOT_JUDGED, "pedestrian.moving")
_VIEWS_THAT_JUDGE = 2  # at least; in one view everything stands
_CLASSES = {
    "car": ("car", _VEHICLE),
    "truck": ("truck", _VEHICLE),
    "bus": ("bus", _VEHICLE),
    "trailer": ("trailer", _VEHICLE),
    "caravan": ("trailer", _VEHICLE),
    "motorcycle": ("motorcycle", _CYCLE),
    "bicycle": ("bicycle", _CYCLE),
    "person": ("pedestrian", _PERSON),
}
_META = {"use_camera": True, "use_lidar": False, "use_radar": False, "use_map": False, "use_external": False}


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> dict[str, int]:
    """Write results.json: every labelled frame is a sample, one without boxes has an empty list.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.

    Returns:
        How many boxes are left out, by the reason.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    without_class: Counter[str] = Counter()
    for labelled in sequences:
        drive = labelled.sequence
        for view, rows in labelled.by_frame():
            token = sample_token(drive.name, drive.camera.name, view.frame)
            velocities = velocities_of(rows, has_times=bool(drive.camera.times_s)).tolist()
            boxes = list(zip(rows.to_pylist(), velocities, strict=True))
            without_class.update(row["class_name"] for row, _ in boxes if row["class_name"] not in _CLASSES)
            results[token] = [_box(row, token, velocity) for row, velocity in boxes if row["class_name"] in _CLASSES]
            done()
    for name, count in sorted(without_class.items()):
        logger.warning("%d boxes of the class %s are left out: nuScenes has no such class.", count, name)
    (folder / "results.json").write_text(json.dumps({"meta": _META, "results": results}) + "\n")
    return {f"of the class {name}, which nuScenes does not have": count for name, count in without_class.items()}


def sample_token(sequence: str, camera: str, frame: int) -> str:
    """What stands for nuScenes' token of a sample."""
    return f"{sequence}-{camera}-{frame:010d}"


def _box(row: dict[str, Any], token: str, velocity: list[float]) -> dict[str, Any]:
    name, (standing, moving) = _CLASSES[row["class_name"]]
    num_views = row["num_views"]  # not known of what a human corrected
    is_judged = row["is_moving"] is not None and (num_views is None or num_views >= _VIEWS_THAT_JUDGE)
    if row["is_moving"]:
        attribute = moving if None not in [row[name] for name in VELOCITY_WORLD] else _NOT_JUDGED
    else:
        attribute = standing if is_judged else _NOT_JUDGED
    box = box_of(row)
    length, width, height = box.dimensions_lwh.tolist()
    half_yaw = float(box.yaws) / 2
    return {
        "sample_token": token,
        "translation": box.centers.tolist(),
        "size": [width, length, height],
        "rotation": [math.cos(half_yaw), 0.0, 0.0, math.sin(half_yaw)],  # w, x, y, z
        "velocity": velocity,  # m/s; NaN, as nuScenes itself has it, where it is not known
        "detection_name": name,
        "detection_score": row["confidence"],
        "attribute_name": attribute,
        "tracking_id": str(row["instance_id"]),
    }
