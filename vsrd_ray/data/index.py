"""The index of a sequence: one pass over its masks, one row for each frame and instance.

Shapes: H x W pixels, N instances of a frame. Instance n has label n + 1 in a label map; 0 is everything else.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import ndimage

from vsrd_ray.data.atomic import atomic_write
from vsrd_ray.data.frames import Sequence
from vsrd_ray.data.kitti360 import paths
from vsrd_ray.data.kitti360.instances import IDS_PER_CLASS, SEMANTIC_IDS, class_name, read_instance_map
from vsrd_ray.errors import UnreadableFrameError

logger = logging.getLogger(__name__)

INDEX_VERSION = "1"
_FINGERPRINT_KEY = b"vsrd_ray.fingerprint"
SIDES = ("left", "top", "right", "bottom")

# Frames without instances, and skipped frames, have one row in which everything but these two columns is null.
INDEX_SCHEMA = pa.schema(
    [
        ("frame", pa.int32()),
        ("skipped", pa.string()),  # why the frame cannot be used; null where it can
        ("instance_id", pa.int32()),  # semantic id * 1000 + instance id, instance id > 0
        ("class_name", pa.string()),
        ("area", pa.int32()),  # px
        # mask box, px; the last pixel is included
        *((f"box_{side}", pa.int32()) for side in SIDES),
        ("touches_border", pa.bool_()),  # any side of the mask box lies on the image's border
        ("touches_instance", pa.bool_()),  # a 4-neighbour belongs to another instance
        # for each side of the mask box: does it lie on the image's border, or does something nearer cut it off
        *((f"border_{side}", pa.bool_()) for side in SIDES),
        *((f"occluded_{side}", pa.bool_()) for side in SIDES),
    ],
    metadata={"vsrd_ray.index_version": INDEX_VERSION},
)

# Classes behind which nothing on the road can stand. Every other one can hide an instance.
_NEVER_IN_FRONT = ("unlabeled", "ground", "road", "sidewalk", "parking", "rail track", "terrain", "sky")
# Classes whose instances are compact, so that the lowest pixel of the whole mask tells how near they stand.
_COMPACT = ("person", "rider", "car", "truck", "bus", "caravan", "trailer", "motorcycle", "bicycle")
# Outlines of masks are rough: what cuts a side off is looked for as far outside of it as this, in px.
_REACH = 2

_NUM_IDS = 1 << 16
_SEMANTIC_OF_ID = np.arange(_NUM_IDS) // IDS_PER_CLASS
_IS_INSTANCE = np.arange(_NUM_IDS) % IDS_PER_CLASS > 0
_CAN_HIDE = ~np.isin(_SEMANTIC_OF_ID, [SEMANTIC_IDS[name] for name in _NEVER_IN_FRONT])
_IS_COMPACT = _IS_INSTANCE & np.isin(_SEMANTIC_OF_ID, [SEMANTIC_IDS[name] for name in _COMPACT])


def all_frames(sequence: Sequence) -> list[int]:
    """Frames that have a pose or a mask, ascending: those that an index accounts for."""
    return sorted(sequence.T_world_cam.keys() | set(sequence.mask_frames))


def index_frames(sequence: Sequence, frames: Iterable[int]) -> pa.Table:
    """Rows of `INDEX_SCHEMA` for some frames, in their order, instance ids ascending within a frame.

    A side of a mask box is occluded where, within 2 px outside the mask's outermost pixels on that side, there is
    something that can hide it (an instance, or stuff that stands; not ground or sky) and that stands nearer: its foot
    is as low in the image as the mask's own. The foot is the lowest pixel of a compact instance such as a car; for all
    else, the lowest pixel of the unbroken run below the neighbouring pixel. So a pole in front of a car cuts its side
    off, and the hedge behind it does not. What adjoins the lower side from below is always nearer.

    Raises:
        InputError: a mask that cannot be used and is not just damaged, such as one of 8 bits or of another size.
    """
    mask_frames = set(sequence.mask_frames)
    tables = [_index_frame(sequence, frame, has_mask=frame in mask_frames) for frame in frames]
    return pa.concat_tables(tables).combine_chunks() if tables else INDEX_SCHEMA.empty_table()


def fingerprint(sequence: Sequence) -> str:
    """Hexadecimal digest of all that an index depends on: names, sizes and times of input files, its own version."""
    folder = paths.mask_folder(sequence.root, sequence.name, sequence.camera)
    with os.scandir(folder) as entries:
        masks = sorted((entry.name, *_size_and_time(entry)) for entry in entries)
    files = (paths.calibration_file(sequence.root), paths.poses_file(sequence.root, sequence.name))
    others = [(path.name, *_size_and_time(path)) for path in files]
    content = json.dumps([INDEX_VERSION, sequence.name, sequence.camera, others, masks])
    return hashlib.sha256(content.encode()).hexdigest()


def write_index(table: pa.Table, path: Path, fingerprint: str) -> None:
    """Write an index, with the fingerprint of its inputs, atomically."""
    metadata = {**(INDEX_SCHEMA.metadata or {}), _FINGERPRINT_KEY: fingerprint.encode()}
    with atomic_write(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def load_index(path: Path, fingerprint: str) -> pa.Table | None:
    """The index in a file; None where there is none, it is of other inputs, or it cannot be read."""
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        logger.warning("%s cannot be read and is made again: %s", path, error)
        return None
    if not table.schema.equals(INDEX_SCHEMA) or table.schema.metadata.get(_FINGERPRINT_KEY) != fingerprint.encode():
        return None
    return table.replace_schema_metadata(INDEX_SCHEMA.metadata)


def cached_index(sequence: Sequence, path: Path) -> pa.Table:
    """The index kept at `path`, made and written first where there is none of the sequence's present files.

    Raises:
        InputError: see `index_frames`.
    """
    digest = fingerprint(sequence)
    table = load_index(path, digest)
    if table is None:
        table = index_frames(sequence, all_frames(sequence))
        write_index(table, path, digest)
    return table


def readable_frames(index: pa.Table) -> list[int]:
    """Frames, ascending, that were not skipped."""
    return sorted(set(index.filter(index["skipped"].is_null())["frame"].to_pylist()))


def is_any_of(column: pa.ChunkedArray, values: Iterable[int | str]) -> pa.ChunkedArray:
    """Which rows of a column hold one of some values; a null is none of them."""
    value_set = pa.array(list(values), column.type)
    return pc.is_in(column, value_set=value_set)  # pyright: ignore[reportAttributeAccessIssue]  # made at import


def _size_and_time(entry: os.DirEntry | Path) -> tuple[int, int]:
    status = entry.stat()
    return status.st_size, status.st_mtime_ns


def _index_frame(sequence: Sequence, frame: int, *, has_mask: bool) -> pa.Table:
    if frame not in sequence.T_world_cam:
        return _row_without_instance(frame, skipped="no pose")
    if not has_mask:
        return _row_without_instance(frame, skipped="no mask")
    try:
        instance_map = read_instance_map(sequence, frame)
    except UnreadableFrameError as error:
        logger.warning("frame %d is skipped: %s", frame, error)
        return _row_without_instance(frame, skipped=f"unreadable: {error}")
    columns = describe_instances(instance_map)
    num_instances = len(columns["instance_id"])
    if num_instances == 0:
        return _row_without_instance(frame, skipped=None)
    columns["frame"] = np.full(num_instances, frame)
    arrays = [
        pa.nulls(num_instances, field.type) if field.name == "skipped" else pa.array(columns[field.name], field.type)
        for field in INDEX_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=INDEX_SCHEMA)


def _row_without_instance(frame: int, *, skipped: str | None) -> pa.Table:
    return pa.Table.from_pylist([{"frame": frame, "skipped": skipped}], schema=INDEX_SCHEMA)


@dataclass(frozen=True)
class _Scene:
    """One frame's instances, as the tests of their sides need them."""

    instance_map: np.ndarray  # [H, W] uint16
    labels: np.ndarray  # [H, W] int32
    boxes_xyxy: np.ndarray  # [N, 4] int64


def describe_instances(
    instance_map: np.ndarray,  # [H, W] uint16
) -> dict[str, np.ndarray]:
    """The columns of `INDEX_SCHEMA` from `instance_id` on, each [N], for one instance map."""
    areas = np.bincount(instance_map.ravel(), minlength=_NUM_IDS)
    ids = np.flatnonzero((areas > 0) & _IS_INSTANCE)
    label_of_id = np.zeros(_NUM_IDS, dtype=np.int32)
    label_of_id[ids] = np.arange(1, len(ids) + 1)
    labels = label_of_id[instance_map]
    slices = ndimage.find_objects(labels, max_label=len(ids))
    boxes = np.array([(x.start, y.start, x.stop - 1, y.stop - 1) for y, x in slices], dtype=np.int64).reshape(-1, 4)
    height, width = instance_map.shape
    on_border = boxes == np.array([0, 0, width - 1, height - 1])
    scene = _Scene(instance_map=instance_map, labels=labels, boxes_xyxy=boxes)
    occluded = np.array([_occluded_sides(scene, n) for n in range(len(ids))], dtype=bool).reshape(-1, 4)
    return {
        "instance_id": ids,
        "class_name": np.array([class_name(instance_id) for instance_id in ids.tolist()], dtype=object),
        "area": areas[ids],
        **{f"box_{side}": boxes[:, i] for i, side in enumerate(SIDES)},
        "touches_border": on_border.any(axis=1),
        "touches_instance": _touching(labels, len(ids)),
        **{f"border_{side}": on_border[:, i] for i, side in enumerate(SIDES)},
        **{f"occluded_{side}": occluded[:, i] for i, side in enumerate(SIDES)},
    }


def _touching(labels: np.ndarray, num_instances: int) -> np.ndarray:
    """Whether each instance [N] has a 4-neighbour of another instance."""
    touching = np.zeros(num_instances + 1, dtype=bool)
    for a, b in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        meets = (a != b) & (a > 0) & (b > 0)
        touching[a[meets]] = True
        touching[b[meets]] = True
    return touching[1:]


def _occluded_sides(scene: _Scene, n: int) -> tuple[bool, bool, bool, bool]:
    left, top, right, bottom = scene.boxes_xyxy[n]
    width = scene.labels.shape[1]
    rows = {x: top + np.flatnonzero(scene.labels[top : bottom + 1, x] == n + 1) for x in (left, right)}
    columns = {y: left + np.flatnonzero(scene.labels[y, left : right + 1] == n + 1) for y in (top, bottom)}
    below = scene.instance_map[bottom + 1 : bottom + 1 + _REACH, columns[bottom]]
    return (
        any(_hidden_beside(scene, n, rows[left], x) for x in range(max(left - _REACH, 0), left)),
        any(_hidden_above(scene, n, columns[top], y) for y in range(max(top - _REACH, 0), top)),
        any(_hidden_beside(scene, n, rows[right], x) for x in range(right + 1, min(right + 1 + _REACH, width))),
        bool(_CAN_HIDE[below].any()),
    )


def _hidden_beside(scene: _Scene, n: int, rows: np.ndarray, x: int) -> bool:
    """Whether something nearer than instance n stands at pixels (x, rows)."""
    column = scene.instance_map[:, x]
    hiding = rows[_CAN_HIDE[column[rows]]]
    if len(hiding) == 0:
        return False
    run_ends = np.append(np.flatnonzero(column[1:] != column[:-1]), len(column) - 1)
    feet = run_ends[np.searchsorted(run_ends, hiding)]
    feet = np.where(_IS_COMPACT[column[hiding]], _lowest_pixels(scene, scene.labels[hiding, x]), feet)
    return bool((feet >= scene.boxes_xyxy[n, 3]).any())


def _hidden_above(scene: _Scene, n: int, columns: np.ndarray, y: int) -> bool:
    """Whether a compact instance nearer than instance n is at pixels (columns, y); all else above ends above it."""
    others = columns[_IS_COMPACT[scene.instance_map[y, columns]]]
    return bool((_lowest_pixels(scene, scene.labels[y, others]) >= scene.boxes_xyxy[n, 3]).any())


def _lowest_pixels(scene: _Scene, labels: np.ndarray) -> np.ndarray:
    """Lower end of the mask boxes of some labels; -1 for label 0."""
    bottoms = np.concatenate([[-1], scene.boxes_xyxy[:, 3]])
    return bottoms[labels]
