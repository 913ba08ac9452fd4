"""What labelled points say in 2D: COCO's JSON of instances, with tracks.

Shapes: M points of an object in an image, H x W pixels.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from vsrd_ray.data.classes import IS_INSTANCE
from vsrd_ray.data.drive import IMAGES, MASKS, Drive
from vsrd_ray.data.masks import encode_rle
from vsrd_ray.labels.points.classes import NAMES, NO_INSTANCE
from vsrd_ray.labels.points.labelled import LabelledSweep
from vsrd_ray.labels.points.shown import images_of, points_of
from vsrd_ray.storage import relative


class CocoFile:
    """Images and annotations of one drive, put together sweep by sweep.

    An annotation is an object in an image: its class, `track_id` and `num_points`. The box and the segmentation are
    those of the mask that most of its points fall on; without masks the box bounds the points, and there is no
    segmentation.
    """

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, drive: Drive, sweep: LabelledSweep) -> None:
        """Take in a sweep and the images of its frame."""
        for found in images_of(drive, sweep, points_of(drive, sweep)):
            name, frame = found.camera.name, sweep.frame
            width, height = found.camera.image_size
            number = len(self._images) + 1
            path = relative(drive.file(IMAGES, name, frame), drive.root)
            place = {"sequence": drive.name, "camera": name, "frame": frame}
            self._images.append({"id": number, "file_name": path, "width": width, "height": height} | place)
            instance_map = drive.read(MASKS, name, frame) if drive.has(MASKS, name, frame) else None
            instances = sweep.instances[found.index]
            for instance in np.unique(instances[instances != NO_INSTANCE]).tolist():
                own = np.flatnonzero(instances == instance)
                row = {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": int(sweep.classes[found.index[own[0]]]) + 1,
                    "iscrowd": 0,
                    "track_id": int(sweep.track_of[instance]),
                    "num_points": len(own),
                }
                self._annotations.append(row | _outline(found.uv[own], instance_map))

    def write(self, path: Path) -> None:
        """Write the file."""
        categories = [{"id": place, "name": name} for place, name in enumerate(NAMES, start=1)]
        content = {"images": self._images, "annotations": self._annotations, "categories": categories}
        path.write_text(f"{json.dumps(content)}\n")


def _outline(uv: np.ndarray, instance_map: np.ndarray | None) -> dict[str, Any]:
    """Box, area and, of a mask, run lengths of an object with points at pixels [M, 2]."""
    if instance_map is not None:
        u, v = uv.astype(np.int64).T
        ids, counts = np.unique(instance_map[v, u], return_counts=True)
        best = int(ids[counts.argmax()])
        if IS_INSTANCE[best]:
            rle: Any = encode_rle(instance_map == best)
            box = [float(value) for value in coco.toBbox(rle)]
            segmentation = {"size": list(instance_map.shape), "counts": rle["counts"]}
            return {"bbox": box, "area": int(coco.area(rle)), "segmentation": segmentation}
    low, high = np.floor(uv.min(axis=0)), np.floor(uv.max(axis=0)) + 1
    return {"bbox": [*low.tolist(), *(high - low).tolist()], "area": float(np.prod(high - low))}
