"""COCO's instances: 2D boxes and masks of the labelled instances, with the 3D box as attributes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vsrd_ray.data.drive import IMAGES
from vsrd_ray.data.masks import encode_rle, mask_box
from vsrd_ray.labels.boxes.columns import BOX_2D, BOX_CAM, BOX_WORLD, VELOCITY_WORLD
from vsrd_ray.labels.boxes.formats.samples import Sample, number_samples
from vsrd_ray.labels.boxes.formats.splits import SPLITS
from vsrd_ray.labels.boxes.selection import LabelledSequence
from vsrd_ray.storage import relative

# Columns of the labels that an annotation repeats under `attributes`.
_ATTRIBUTES = (
    *("instance_id", "track_id", *BOX_WORLD, *BOX_CAM),
    *("truncation", "occlusion", "observed", "confidence", "is_moving", *VELOCITY_WORLD, "source"),
)
_OF_IGNORED = ("instance_id", "confidence", "is_moving", "source")  # of them, what an ignored region keeps


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write instances_{train,val,test}.json, where `file_name` is the image's path below the dataset's root.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.
    """
    samples = number_samples(sequences)
    tables = [table for sample in samples for table in (sample.rows, sample.ignored)]
    names = sorted({name for table in tables for name in table["class_name"].to_pylist()})
    categories = [{"id": _number(samples, name), "name": name, "supercategory": ""} for name in names]
    for split in SPLITS:
        images, annotations = [], []
        for sample in samples:
            if sample.split == split:
                images.append(_image(sample))
                for annotation in _annotations(sample):
                    annotations.append({"id": len(annotations) + 1} | annotation)
                done()
        content = {"info": {"description": "vsrd-ray"}, "licenses": [], "categories": categories}
        text = json.dumps(content | {"images": images, "annotations": annotations})
        (folder / f"instances_{split}.json").write_text(f"{text}\n")


def _number(samples: Sequence[Sample], class_name: str) -> int:
    """The dataset's number of a class."""
    return samples[0].sequence.classes.by_name[class_name].number


def _image(sample: Sample) -> dict[str, Any]:
    drive = sample.sequence
    path = relative(drive.file(IMAGES, drive.camera.name, sample.view.frame), drive.root)
    width, height = sample.view.image_size
    return {
        "id": sample.number,
        "file_name": path,
        "width": width,
        "height": height,
        "sequence": drive.name,
        "camera": drive.camera.name,
        "frame": sample.view.frame,
        "K": sample.view.K.tolist(),
        "T_world_cam": sample.view.T_world_cam.tolist(),
    }


def _annotations(sample: Sample) -> list[dict[str, Any]]:
    rows, ignored = sample.rows.to_pylist(), sample.ignored.to_pylist()
    instance_map = sample.instance_map() if rows or ignored else None
    objects = [_annotation(row, sample, instance_map) for row in rows]
    regions = [_annotation(row, sample, instance_map) for row in ignored]
    return [*objects, *(_as_ignored(region) for region in regions)]


def _as_ignored(annotation: dict[str, Any]) -> dict[str, Any]:
    """A region that is neither an object nor background: nothing of its box in 3D is said."""
    attributes = {name: annotation["attributes"][name] for name in _OF_IGNORED}
    return annotation | {"iscrowd": 1, "attributes": attributes}


def _annotation(row: dict[str, Any], sample: Sample, instance_map: np.ndarray | None) -> dict[str, Any]:
    """One annotation; a box whose instance has no mask there has an empty one, and the projected 3D box for its box."""
    width, height = sample.view.image_size
    mask = np.zeros((height, width), dtype=bool) if instance_map is None else instance_map == row["instance_id"]
    projected = [row[name] for name in BOX_2D]
    box = mask_box(mask)
    left, top, right, bottom = projected if box is None else (*box[:2], box[2] + 1, box[3] + 1)
    return {
        "image_id": sample.number,
        "category_id": sample.sequence.classes.by_name[row["class_name"]].number,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()) if box is not None else (right - left) * (bottom - top),
        "iscrowd": 0,
        "segmentation": encode_rle(mask),
        "score": row["confidence"],
        "attributes": {name: row[name] for name in _ATTRIBUTES} | {"projected_box_xyxy": projected},
    }
