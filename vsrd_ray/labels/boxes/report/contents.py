"""The numbers of a report as JSON: columns of equal length, positions in metres from an origin of their own."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.truth import TruthBoxes
from vsrd_ray.labels.boxes.columns import SIZE_LWH, VELOCITY_WORLD, YAW_WORLD, boxes_of, numbers
from vsrd_ray.labels.boxes.criteria import MIN_MASK_AREA
from vsrd_ray.labels.boxes.parquet import HUMAN, Preference, read_reviewed
from vsrd_ray.labels.boxes.report.choice import doubt
from vsrd_ray.labels.boxes.report.tables import Rows, SequenceTables
from vsrd_ray.labels.boxes.selection import is_reviewed
from vsrd_ray.poses.check import PoseCheck
from vsrd_ray.runs.manifest import RunInputs
from vsrd_ray.storage import Location

_MAX_GROUPS = 2000  # groups without labels that are listed
_FIT = {  # columns of a label that are shown as they are, and their decimals
    **dict.fromkeys(SIZE_LWH, 3),
    YAW_WORLD: 4,
    "confidence": 4,
    "mean_iou_2d": 3,
    "num_views": 0,
    "bearing_spread_deg": 1,
    "silhouette_loss": 5,
    "target_frame": 0,
    **dict.fromkeys(VELOCITY_WORLD, 3),
}


def sequence_contents(tables: SequenceTables) -> dict[str, Any]:
    """All of a sequence but its pictures: `pictures`, by frame, and `views`, by instance, are empty."""
    view = tables.sequence
    poses = np.stack([view.T_world_cam[frame][:3] for frame in tables.frames.tolist()])
    poses[:, :, 3] -= tables.origin
    return {
        "name": view.name,
        "camera": view.camera.name,
        "image_size": list(view.image_size),
        "K": view.K.ravel().tolist(),
        "min_area": MIN_MASK_AREA,
        "has_times": bool(view.camera.times_s),
        "is_geographic": view.is_geographic,
        "origin": tables.origin.tolist(),
        "frames": tables.frames.tolist(),
        "rotations": column(poses[:, :, :3].ravel(), 6),
        "positions": column(poses[:, :, 3].ravel(), 3),
        "instances": {"id": tables.instance_ids.tolist(), "class": tables.class_names},
        "boxes": _boxes(tables),
        "rows": _rows(tables.rows) | {"doubt": column(doubt(tables), 3)},
        "truth": None if tables.truth is None else _truth(tables.truth, tables.origin),
        "pictures": {},
        "views": {},
    }


def count_contents(parts: Iterable[SequenceTables]) -> dict[str, int]:
    """How many labels there are, of how many instances, and how many of these move."""
    counts = {"labels": 0, "instances": 0, "moving": 0}
    for tables in parts:
        instance_ids = tables.boxes["instance_id"]
        counts["labels"] += int((tables.rows.boxes >= 0).sum())
        counts["instances"] += len(instance_ids.unique())
        counts["moving"] += len(instance_ids.filter(tables.boxes["is_moving"]).unique())
    return counts


def correction_contents(output: Location, sequences: Iterable[str], camera: str, prefer: Preference) -> dict[str, Any]:
    """How many frames a human has corrected, and whose boxes the report shows in them."""
    reviewed = read_reviewed(output)
    return {"frames": sum(len(reviewed.get((name, camera), ())) for name in sequences), "prefer": prefer}


def run_contents(manifest: dict[str, Any], inputs: RunInputs) -> dict[str, Any]:
    """What the manifest says of a run: how it stands, and what it was made with."""
    kept = ("status", "error", "counts", "seconds", "versions", "config_hash", "seed", "config")
    return {name: manifest.get(name) for name in kept} | {
        "camera": inputs.camera,
        "classes": list(inputs.classes),
        "sequences": list(inputs.sequences),
        "skipped_frames": manifest.get("inputs", {}).get("skipped_frames", {}),
        "unusable_sequences": manifest.get("unusable_sequences", {}),
        "warnings": manifest.get("warnings", {}),
        "poses": pose_sentences(manifest),
    }


def pose_sentences(manifest: dict[str, Any]) -> dict[str, str]:
    """What the labels of sequences tell of their poses, by name."""
    checks = {name: PoseCheck.recorded(values) for name, values in manifest.get("poses", {}).items()}
    return {name: str(found) for name, found in checks.items() if found is not None}


def group_contents(groups: pa.Table) -> dict[str, Any]:
    """How many groups there are of each status, and those that are not ok with their errors, failed ones first."""
    statuses = groups["status"].to_pylist()
    wanted = [place for place, status in enumerate(statuses) if status != "ok"]
    wanted.sort(key=lambda place: statuses[place] == "skipped")
    names = ["group_id", "sequence", "status", "error", "attempts", "target_frame", "frames", "instance_ids"]
    return {
        "counts": {status: statuses.count(status) for status in sorted(set(statuses))},
        "seconds": round(float(np.nansum(numbers(groups, ("seconds",)))), 1),
        "not_ok": groups.take(pa.array(wanted[:_MAX_GROUPS], pa.int64())).select(names).to_pylist(),
        "left_out": max(0, len(wanted) - _MAX_GROUPS),
    }


def column(values: np.ndarray, decimals: int) -> list[Any]:
    """Numbers [M] for JSON, rounded; None for NaN, whole numbers where no decimals are wanted."""
    rounded = np.round(np.asarray(values, dtype=np.float64), decimals).tolist()
    if decimals == 0:
        return [None if value != value else int(value) for value in rounded]  # noqa: PLR0124 - NaN alone
    return [None if value != value else value for value in rounded]  # noqa: PLR0124


def _boxes(tables: SequenceTables) -> dict[str, Any]:
    boxes, ids = tables.boxes, tables.instance_ids
    centers = boxes_of(boxes).centers - tables.origin
    return {
        "instance": np.searchsorted(ids, boxes["instance_id"].to_numpy()).tolist(),
        "center": column(centers.ravel(), 3),
        **{name: column(numbers(boxes, (name,))[:, 0], decimals) for name, decimals in _FIT.items()},
        "is_moving": boxes["is_moving"].to_pylist(),
        "group_id": boxes["group_id"].to_pylist(),
        "source": np.where(is_reviewed(boxes), HUMAN, "auto").tolist(),
    }


def _rows(rows: Rows) -> dict[str, Any]:
    return {
        "frame": rows.frames.tolist(),
        "instance": rows.instances.tolist(),
        "box": rows.boxes.tolist(),
        "area": rows.mask_areas.tolist(),
        "mask_box": column(rows.mask_boxes_xyxy.ravel(), 0),
        "iou_2d": column(rows.iou_2d, 3),
        "iou_3d": column(rows.iou_3d, 3),
    }


def _truth(truth: TruthBoxes, origin: np.ndarray) -> dict[str, Any]:
    return {
        "id": truth.instance_ids.tolist(),
        "frame": truth.timestamps.tolist(),
        "center": column((truth.boxes.centers - origin).ravel(), 3),
        "size": column(truth.boxes.dimensions_lwh.ravel(), 3),
        YAW_WORLD: column(truth.boxes.yaws, 4),
    }
