"""Rows of masks. Boxes are in px, the last pixel not included: x, y, width, height, as COCO has them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pycocotools import mask as coco

from vsrd_ray.data.masks import encode_rle
from vsrd_ray.runs.tables import LabelTable

SCHEMA = pa.schema(
    [
        ("frame", pa.int32()),
        ("camera", pa.string()),
        ("detection", pa.int32()),  # in its frame, by falling score, from 0
        ("class_name", pa.string()),  # of the dataset
        ("score", pa.float32()),  # the model's, 0..1
        ("box_x", pa.int32()),
        ("box_y", pa.int32()),
        ("box_width", pa.int32()),
        ("box_height", pa.int32()),
        ("area", pa.int32()),  # px
        ("height", pa.int32()),  # of the image, px
        ("width", pa.int32()),
        ("rle", pa.string()),  # COCO's compressed run lengths, column by column
        ("group_id", pa.string()),
        ("labeler", pa.string()),
        ("config_hash", pa.string()),
        ("seed", pa.int64()),
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
