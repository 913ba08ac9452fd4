"""What a page needs to go on with corrections: what was decided, and the labeler's boxes where those do not show."""

from collections import defaultdict
from typing import Any

import pyarrow as pa

from vsrd_ray.labels.boxes.columns import boxes_of
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.report.tables import SequenceTables
from vsrd_ray.labels.boxes.reported import new_ids_of, read_decided
from vsrd_ray.runs.folder import digest_of_inputs, sequence_labels
from vsrd_ray.storage import Location


def editing_contents(output: Location, tables: SequenceTables) -> dict[str, Any]:
    """Of a sequence: `fingerprint` of its inputs, `decided` edits by key, and `before`, the labeler's boxes of these.

    `new_ids` are the ids of instances that were added, by their keys. Boxes are [x, y, z, length, width, height, yaw,
    confidence, 1 if it moves]: one `box` in all frames, or `boxes` by frame.
    """
    drive = tables.sequence
    fingerprint = digest_of_inputs(output, drive.name)
    decided = read_decided(output, drive.name, fingerprint)
    if decided is None:
        return {"fingerprint": fingerprint, "decided": None, "before": {}, "new_ids": {}}
    auto = read_labels(output, prefer="auto", sequence=drive.name)
    auto = sequence_labels(auto, sequence=drive.name, camera=drive.camera.name)
    return {
        "fingerprint": fingerprint,
        "decided": {key: edit.model_dump(mode="json") for key, edit in decided.instances.items()},
        "before": _before(auto, list(decided.instances)),
        "new_ids": new_ids_of(output, drive, decided),
    }


def _before(auto: pa.Table, keys: list[str]) -> dict[str, Any]:
    boxes = boxes_of(auto)
    values = zip(
        auto["frame"].to_pylist(),
        auto["instance_id"].to_pylist(),
        boxes.centers.round(4).tolist(),
        boxes.dimensions_lwh.round(4).tolist(),
        boxes.yaws.round(4).tolist(),
        auto["confidence"].to_pylist(),
        auto["is_moving"].to_pylist(),
        strict=True,
    )
    found: dict[str, dict[int, list[float]]] = defaultdict(dict)
    for frame, instance_id, center, size, yaw, confidence, is_moving in values:
        found[str(instance_id)][frame] = [*center, *size, yaw, round(confidence, 4), int(bool(is_moving))]
    return {key: _shortened(found.get(key, {})) for key in keys}


def _shortened(boxes: dict[int, list[float]]) -> dict[str, Any]:
    """One box where it is the same in all frames, whatever its confidence there."""
    if len({tuple(box[:7]) for box in boxes.values()}) == 1:
        return {"box": next(iter(boxes.values()))}
    return {"boxes": boxes}
