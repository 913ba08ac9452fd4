"""COCO's JSON of instances, with a score for each: what other tools read, and what `label --masks` takes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsrd_ray.data.drive import IMAGES
from vsrd_ray.labels.base import Progress
from vsrd_ray.labels.masks.schema import TABLE, rle_of
from vsrd_ray.runs.folder import RunFolder, group_frames
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage import Location, relative
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.storage.targets import check_file


def export(run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None) -> str:
    """Write one JSON file. `file_name` is the image's path below the dataset's root; images without objects are there.

    Raises:
        InputError: the run holds no masks.
        OutputError: the destination is no file that can be written.
    """
    check_file(destination, kind="JSON", suffixes=(".json",), fix="give another --output")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    groups, classes = read_groups(run.output), None
    for done, name in enumerate(run.inputs.sequences, start=1):
        drive = run.drive(name)
        classes = classes or drive.classes
        numbers: dict[int, int] = {}
        width, height = drive.image_size
        for frame in group_frames(groups, sequence=name, status="ok"):
            numbers[frame] = len(images) + 1
            path = relative(drive.file(IMAGES, drive.camera.name, frame), drive.root)
            place = {"sequence": name, "camera": drive.camera.name, "frame": frame}
            images.append({"id": numbers[frame], "file_name": path, "width": width, "height": height} | place)
        for row in run.rows(TABLE, name).to_pylist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": numbers[row["frame"]],
                    "category_id": drive.classes.by_name[row["class_name"]].number,
                    "bbox": [row[f"box_{side}"] for side in ("x", "y", "width", "height")],
                    "area": row["area"],
                    "iscrowd": 0,
                    "segmentation": rle_of(row),
                    "score": row["score"],
                }
            )
        if progress is not None:
            progress(done, len(run.inputs.sequences))
    categories = [{"id": one.number, "name": one.name} for one in classes or () if one.name in run.inputs.classes]
    content = {"images": images, "annotations": annotations, "categories": categories}
    with atomic_write(destination) as temporary:
        Path(temporary).write_text(f"{json.dumps(content)}\n")
    return f"{len(annotations)} masks in {len(images)} images written to {destination}"
