"""FiftyOne's own dataset format: images with 2D boxes, masks and cuboids, each with its confidence and 3D box.

Shapes: N boxes of one frame.
"""

import hashlib
import io
import json
import logging
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vsrd_ray.data.masks import mask_box
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.boxes.columns import BOX_2D, CENTER_WORLD, SIZE_LWH, VELOCITY_WORLD, YAW_WORLD, boxes_of, track_ids
from vsrd_ray.labels.boxes.formats.kitti import link_image
from vsrd_ray.labels.boxes.formats.samples import Sample, number_samples
from vsrd_ray.labels.boxes.selection import LabelledSequence

logger = logging.getLogger(__name__)

_VERSION = "1.0.0"  # of FiftyOne whose schema this is: later ones bring it up to theirs, earlier ones refuse it
_FIELDS = "fiftyone.core.fields."
_FACES = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [3, 2, 6, 7]])  # corners of those with all 12 edges
_NEAR = 0.05  # metres before the camera, nearer than which a corner has no place in the image
# Fields by their types, in FiftyOne's words.
_OF_SAMPLE = {"filepath": "String", "sequence": "String", "camera": "String", "frame": "Int", "time_s": "Float"}
_OF_LABEL = {"label": "String", "confidence": "Float", "index": "Int"}
_OF_DETECTION = {
    **{"bounding_box": "List", "mask": "Array", "location": "List", "dimensions": "List", "rotation": "List"},
    **{"velocity_world": "List", "mask_id": "Int", "truncation": "Float", "occlusion": "Int"},
    **{"is_moving": "Boolean", "observed": "Boolean", "source": "String"},
}
_OF_POLYLINE = {"points": "PolylinePoints", "closed": "Boolean", "filled": "Boolean"}


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write metadata.json, samples.json and data/<sequence>/<camera>/<frame>.png, links to the images.

    A frame is a sample with the fields `boxes` (Detections) and `cuboids` (Polylines). 2D boxes are those of the masks,
    or projected where there is none, in shares of the image's width and height. `index` is the track, a tag the split.

    Args:
        sequences: what to write.
        folder: an empty one, beside the one that it becomes.
        done: called after every frame.
    """
    samples, num_missing = [], 0
    for sample in number_samples(sequences):
        path = Path("data", sample.sequence.name, sample.sequence.camera.name, f"{sample.view.frame:010d}.png")
        (folder / path.parent).mkdir(parents=True, exist_ok=True)
        num_missing += not link_image(sample.sequence, sample.view.frame, folder / path)
        samples.append(_sample(sample, path.as_posix()))
        done()
    if num_missing:
        logger.warning("%d of %d frames have no image to link: FiftyOne shows none of them.", num_missing, len(samples))
    (folder / "metadata.json").write_text(json.dumps(_metadata(), indent=1) + "\n")
    (folder / "samples.json").write_text(json.dumps({"samples": samples}) + "\n")


def _sample(sample: Sample, path: str) -> dict[str, Any]:
    key = hashlib.sha256(path.encode()).digest()
    return {
        "_id": _object_id(path),
        "_media_type": "image",
        "_rand": int.from_bytes(key[:4]) / 2**32,  # FiftyOne draws and shuffles by it
        "filepath": path,
        "tags": [sample.split],
        "sequence": sample.sequence.name,
        "camera": sample.sequence.camera.name,
        "frame": sample.view.frame,
        "time_s": sample.view.time_s,
        "boxes": {"_cls": "Detections", "detections": list(_detections(sample, path))},
        "cuboids": {"_cls": "Polylines", "polylines": list(_cuboids(sample, path))},
    }


def _labels(sample: Sample, path: str, kind: str) -> Iterator[dict[str, Any]]:
    """What the labels of a kind share, of each row."""
    tracks, rows = track_ids(sample.rows).tolist(), sample.rows
    columns = (rows[name].to_pylist() for name in ("instance_id", "class_name", "confidence"))
    for track, instance_id, name, confidence in zip(tracks, *columns, strict=True):
        label_id = _object_id(f"{path} {kind} {instance_id}")
        common = {"_id": label_id, "_cls": kind, "attributes": {}, "tags": []}
        yield common | {"label": name, "confidence": confidence, "index": track}


def _detections(sample: Sample, path: str) -> Iterator[dict[str, Any]]:
    width, height = sample.view.image_size
    instance_map = sample.instance_map() if sample.rows.num_rows else None
    for label, row in zip(_labels(sample, path, "Detection"), sample.rows.to_pylist(), strict=True):
        mask = np.zeros((height, width), dtype=bool) if instance_map is None else instance_map == row["instance_id"]
        shown = mask_box(mask)
        projected = [row[name] + 0.5 for name in BOX_2D]  # shares count from the first pixel's edge, px from its centre
        left, top, right, bottom = projected if shown is None else (*shown[:2], shown[2] + 1, shown[3] + 1)
        velocity = [row[name] for name in VELOCITY_WORLD]
        yield label | {
            "bounding_box": [left / width, top / height, (right - left) / width, (bottom - top) / height],
            "mask": None if shown is None else _packed(mask[shown[1] : shown[3] + 1, shown[0] : shown[2] + 1]),
            "location": [row[name] for name in CENTER_WORLD],
            "dimensions": [row[name] for name in SIZE_LWH],
            "rotation": [0.0, 0.0, row[YAW_WORLD]],
            "velocity_world": None if None in velocity else velocity,
            **{name: row[name] for name in ("truncation", "occlusion", "is_moving", "observed", "source")},
            "mask_id": row["instance_id"],
        }


def _cuboids(sample: Sample, path: str) -> Iterator[dict[str, Any]]:
    """The boxes as wireframes in the image; not those that reach behind the camera."""
    view = sample.view
    T_cam_world = rigid.inverse(view.T_world_cam)
    corners_cam = boxes_of(sample.rows).corners() @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]  # [N, 8, 3]
    for label, corners in zip(_labels(sample, path, "Polyline"), corners_cam, strict=True):
        if corners[:, 2].min() > _NEAR:
            uvw = corners @ view.K.T
            points = (uvw[:, :2] / uvw[:, 2:] + 0.5) / view.image_size
            yield label | {"points": points[_FACES].tolist(), "closed": True, "filled": False}


def _packed(mask: np.ndarray) -> dict[str, Any]:
    """A mask as FiftyOne keeps arrays: NumPy's file, deflated, in MongoDB's JSON."""
    file = io.BytesIO()
    np.save(file, mask, allow_pickle=False)
    return {"$binary": {"base64": b64encode(zlib.compress(file.getvalue())).decode(), "subType": "00"}}


def _object_id(key: str) -> dict[str, str]:
    """An id that is the same in each export of the same thing."""
    return {"$oid": hashlib.sha256(key.encode()).hexdigest()[:24]}


def _metadata() -> dict[str, Any]:
    """The dataset's document: what fields its samples have."""
    hidden = {"id": "_id", "_media_type": "_media_type", "_rand": "_rand"}
    kinds = {"id": "ObjectId", "_media_type": "String", "_rand": "Float"}
    return {
        "version": _VERSION,
        "media_type": "image",
        "sample_fields": [
            *(_field(name, kinds[name], db_field=stored) for name, stored in hidden.items()),
            _field("tags", "List", subfield="String"),
            *(_field(name, kind) for name, kind in _OF_SAMPLE.items()),
            *(_field(name, "DateTime", read_only=True) for name in ("created_at", "last_modified_at")),
            _labels_field("boxes", "Detections", _OF_LABEL | _OF_DETECTION),
            _labels_field("cuboids", "Polylines", _OF_LABEL | _OF_POLYLINE),
        ],
    }


def _labels_field(name: str, kind: str, fields: dict[str, str]) -> dict[str, Any]:
    """A field with a list of labels."""
    parts = [
        _field("id", "ObjectId", db_field="_id"),
        _field("tags", "List", subfield="String"),
        _field("attributes", "Dict", subfield="EmbeddedDocument", document="labels.Attribute"),
        *(_field(part, type_, subfield="Float" if type_ == "List" else None) for part, type_ in fields.items()),
    ]
    several, one = kind.lower(), kind.removesuffix("s")
    listed = _field(several, "List", subfield="EmbeddedDocument", document=f"labels.{one}", fields=parts)
    return _field(name, "EmbeddedDocument", document=f"labels.{kind}", fields=[listed])


def _field(
    name: str,
    kind: str,
    *,
    db_field: str | None = None,
    subfield: str | None = None,
    document: str | None = None,
    fields: Sequence[dict[str, Any]] = (),
    read_only: bool = False,
) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": f"{_FIELDS}{kind}Field",
        "embedded_doc_type": document and f"fiftyone.core.{document}",
        "subfield": subfield and f"{_FIELDS}{subfield}Field",
        "fields": list(fields),
        "db_field": db_field or name,
        "description": None,
        "info": None,
        "read_only": read_only,
    }
