"""Rows of masks. Boxes are in px, the last pixel not included: x, y, width, height, as COCO has them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pycocotools import mask as coco

from vsrd_ray.data.masks import encode_rle
from vsrd_ray.runs.columns import FRAME_AND_TIME, PROVENANCE, column
from vsrd_ray.runs.tables import LabelTable

_BOX = "box of the mask, the last pixel not included, as COCO has it"
SCHEMA = pa.schema(
    [
        *FRAME_AND_TIME,
        column("camera", pa.string(), "name of the camera"),
        column("detection", pa.int32(), "number in its frame, by falling score, from 0"),
        column("class_name", pa.string(), "class, as the dataset names it"),
        column("score", pa.float32(), "the model's, 0 to 1"),
        *(column(f"box_{name}", pa.int32(), _BOX, unit="px", frame="image") for name in ("x", "y", "width", "height")),
        column("area", pa.int32(), "of the mask", unit="px"),
        column("height", pa.int32(), "of the image", unit="px"),
        column("width", pa.int32(), "of the image", unit="px"),
        column("rle", pa.string(), "COCO's compressed run lengths, column by column"),
        *PROVENANCE,
    ]
)
TABLE = LabelTable("masks", folder="masks", schema=SCHEMA, sort_by=("camera", "detection"), confidence="score")


def encoded(
    mask: np.ndarray,  # [H, W] bool
) -> dict[str, object]:
    """The columns of a row that say where a mask is."""
    rle: Any = encode_rle(mask)
    x, y, width, height = (int(value) for value in coco.toBbox(rle))
    return {
        "box_x": x,
        "box_y": y,
        "box_width": width,
        "box_height": height,
        "area": int(coco.area(rle)),
        "height": mask.shape[0],
        "width": mask.shape[1],
        "rle": rle["counts"],
    }


def rle_of(row: Mapping[str, Any]) -> Any:
    """The mask of a row as pycocotools takes it."""
    return {"size": [row["height"], row["width"]], "counts": row["rle"]}
