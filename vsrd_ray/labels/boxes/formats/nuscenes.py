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
_STANDING = (_NOT_JUDGED, _NOT_JUDGED)
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
    # as nuScenes itself has them
    "pedestrian": ("pedestrian", _PERSON),
    "construction vehicle": ("construction_vehicle", _VEHICLE),
    "traffic cone": ("traffic_cone", _STANDING),
    "barrier": ("barrier", _STANDING),
}
_OF_A_SWEEP = "of sweeps, which are no samples of nuScenes"
_META = {"use_camera": True, "use_lidar": False, "use_radar": False, "use_map": False, "use_external": False}


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> dict[str, int]:
    """Write results.json: every labelled frame is a sample, one without boxes has an empty list.

    Where the dataset has tokens of samples, these are the keyframes, and boxes of other frames are left out.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.

    Returns:
        How many boxes are left out, by the reason.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    without_class: Counter[str] = Counter()
    of_sweeps = 0
    for labelled in sequences:
        drive = labelled.sequence
        tokens: dict[int, str] | None = drive.detail("sample_tokens")
        for view, rows in labelled.by_frame():
            done()
            if tokens is not None and view.frame not in tokens:
                of_sweeps += rows.num_rows
                continue
            made = sample_token(drive.name, drive.camera.name, view.frame)
            token = made if tokens is None else tokens[view.frame]
            velocities = velocities_of(rows, has_times=bool(drive.camera.times_s)).tolist()
            boxes = list(zip(rows.to_pylist(), velocities, strict=True))
            without_class.update(row["class_name"] for row, _ in boxes if row["class_name"] not in _CLASSES)
            results[token] = [_box(row, token, velocity) for row, velocity in boxes if row["class_name"] in _CLASSES]
    for name, count in sorted(without_class.items()):
        logger.warning("%d boxes of the class %s are left out: nuScenes has no such class.", count, name)
    (folder / "results.json").write_text(json.dumps({"meta": _META, "results": results}) + "\n")
    left_out = {f"of the class {name}, which nuScenes does not have": count for name, count in without_class.items()}
    return left_out | ({_OF_A_SWEEP: of_sweeps} if of_sweeps else {})


def sample_token(sequence: str, camera: str, frame: int) -> str:
    """What stands for nuScenes' token of a sample, of drives of other datasets."""
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
        "tracking_id": str(row["instance_id"] if row["track_id"] is None else row["track_id"]),
    }
