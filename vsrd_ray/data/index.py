"""The index of a drive: one pass over its masks, one row for each frame and instance.

Shapes: H x W pixels, N instances of a frame. Instance n has label n + 1 in a label map; 0 is everything else.
"""

import errno
import logging
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vsrd_ray.data.classes import IS_INSTANCE, ClassTable
from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.errors import InputError, UnreadableFrameError, fix_of, one_line
from vsrd_ray.storage import Location, read_table
from vsrd_ray.storage.atomic import atomic_write

logger = logging.getLogger(__name__)

INDEX_VERSION = "2"
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
    ],
    metadata={"vsrd_ray.index_version": INDEX_VERSION},
)


def all_frames(drive: Drive, layers: Iterable[str] = (MASKS,)) -> list[int]:
    """Frames that have a pose of any camera or one of some layers, ascending: those that an index accounts for."""
    of_layers = (frames for layer in layers for frames in drive.layers.get(layer, {}).values())
    poses = (camera.T_world_cam.keys() for camera in drive.cameras.values())
    return sorted(set[int]().union(*poses, *of_layers))


def index_frames(drive: Drive, frames: Iterable[int], *, layers: Iterable[str] = (MASKS,)) -> pa.Table:
    """Rows of `INDEX_SCHEMA` for some frames, in their order, instance ids ascending within a frame.

    Args:
        drive: whose `camera` the index is of.
        frames: the wanted ones.
        layers: those that a frame must have to be used. Without `MASKS` among them, none has a row of an instance.

    Raises:
        InputError: a mask that cannot be used and is not just damaged, such as one of 8 bits or of another size.
    """
    layers = tuple(layers)
    if MASKS not in layers:
        return _without_instances(drive, list(frames), layers)
    tables = [_index_frame(drive, frame, layers=layers) for frame in frames]
    return pa.concat_tables(tables).combine_chunks() if tables else INDEX_SCHEMA.empty_table()


def write_index(table: pa.Table, path: Location, fingerprint: str) -> None:
    """Write an index, with the fingerprint of its inputs, atomically."""
    metadata = {**(INDEX_SCHEMA.metadata or {}), _FINGERPRINT_KEY: fingerprint.encode()}
    with atomic_write(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def stored_fingerprint(path: Location) -> str | None:
    """The fingerprint that the index in a file was written with; None where there is none, or it is torn.

    Raises:
        InputError: the file is there, and this account or the machine cannot read it.
    """
    try:
        with path.open("rb") as file:
            metadata = pq.read_schema(file).metadata or {}
    except (OSError, pa.ArrowException) as error:
        _refuse_closed(path, error)
        return None
    return metadata.get(_FINGERPRINT_KEY, b"").decode() or None


def load_index(path: Location, fingerprint: str) -> pa.Table | None:
    """The index in a file; None where there is none, it is of other inputs, or it is torn.

    Raises:
        InputError: the file is there, and this account or the machine cannot read it.
    """
    try:
        table = read_table(path)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        _refuse_closed(path, error)
        logger.warning("%s cannot be read and is made again: %s", path, error)
        return None
    if not table.schema.equals(INDEX_SCHEMA) or table.schema.metadata.get(_FINGERPRINT_KEY) != fingerprint.encode():
        return None
    return table.replace_schema_metadata(INDEX_SCHEMA.metadata)


def _refuse_closed(path: Location, error: Exception) -> None:
    """Refuse an index that is not torn but closed: labels whose index passes for gone would be made again."""
    if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT, errno.ENOTDIR):
        fix = fix_of(error, otherwise="check the disk and the file server")
        raise InputError(f"{path}: no index that can be read ({one_line(error)}): {fix}") from error


def cached_index(drive: Drive, path: Location, fingerprint: str) -> pa.Table:
    """The index kept at `path`, made and written first where there is none of the drive's present files.

    Raises:
        InputError: see `index_frames`.
    """
    table = load_index(path, fingerprint)
    if table is None:
        table = index_frames(drive, all_frames(drive))
        write_index(table, path, fingerprint)
    return table


def readable_frames(index: pa.Table) -> list[int]:
    """Frames, ascending, that were not skipped."""
    return sorted(set(index.filter(index["skipped"].is_null())["frame"].to_pylist()))


def empty_frames(index: pa.Table, classes: Iterable[str]) -> list[int]:
    """Readable frames, ascending, in which no instance of the wanted classes is visible at all."""
    wanted = index.filter(is_any_of(index["class_name"], classes))
    return sorted(set(readable_frames(index)) - set(wanted["frame"].to_pylist()))


def is_any_of(column: pa.ChunkedArray, values: Iterable[int | str]) -> pa.ChunkedArray:
    """Which rows of a column hold one of some values; a null is none of them."""
    value_set = pa.array(list(values), column.type)
    return pc.is_in(column, value_set=value_set)  # pyright: ignore[reportAttributeAccessIssue]  # made at import


def _index_frame(drive: Drive, frame: int, *, layers: tuple[str, ...]) -> pa.Table:
    camera = drive.camera
    if frame not in camera.T_world_cam:
        return _row_without_instance(frame, skipped="no pose")
    if missing := [layer for layer in layers if not _has(drive, layer, frame)]:
        return _row_without_instance(frame, skipped=f"no {missing[0].removesuffix('s')}")
    try:
        instance_map = drive.read(MASKS, camera.name, frame)
    except UnreadableFrameError as error:
        logger.warning("frame %d is skipped: %s", frame, error)
        return _row_without_instance(frame, skipped=f"unreadable: {error}")
    columns = describe_instances(instance_map, drive.classes)
    num_instances = len(columns["instance_id"])
    if num_instances == 0:
        return _row_without_instance(frame, skipped=None)
    columns["frame"] = np.full(num_instances, frame)
    arrays = [
        pa.nulls(num_instances, field.type) if field.name == "skipped" else pa.array(columns[field.name], field.type)
        for field in INDEX_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=INDEX_SCHEMA)


def _has(drive: Drive, layer: str, frame: int) -> bool:
    """Whether a frame has a layer of the drive's camera or, of one that no camera has, of every sensor that has it."""
    sensors = drive.layers.get(layer, {})
    names = [drive.camera.name] if drive.camera.name in sensors else list(sensors)
    return bool(names) and all(drive.has(layer, name, frame) for name in names)


def _without_instances(drive: Drive, frames: list[int], layers: tuple[str, ...]) -> pa.Table:
    """Rows of frames of which no mask is looked at, all at once: drives have many of them."""
    lacking = [(f"no {layer.removesuffix('s')}", _all_with(drive, layer)) for layer in layers]
    poses, skipped = drive.camera.T_world_cam, []
    for frame in frames:
        missing = (reason for reason, there in lacking if frame not in there)
        skipped.append("no pose" if frame not in poses else next(missing, None))
    columns = {"frame": frames, "skipped": skipped}
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(len(frames), field.type)
        for field in INDEX_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=INDEX_SCHEMA)


def _all_with(drive: Drive, layer: str) -> set[int]:
    """Frames of which `_has` is true."""
    sensors = drive.layers.get(layer, {})
    if drive.camera.name in sensors:
        return set(sensors[drive.camera.name])
    return set[int].intersection(*map(set, sensors.values())) if sensors else set()


def _row_without_instance(frame: int, *, skipped: str | None) -> pa.Table:
    return pa.Table.from_pylist([{"frame": frame, "skipped": skipped}], schema=INDEX_SCHEMA)


def describe_instances(
    instance_map: np.ndarray,  # [H, W] uint16
    classes: ClassTable,
) -> dict[str, np.ndarray]:
    """The columns of `INDEX_SCHEMA` from `instance_id` on, each [N], for one instance map."""
    from scipy import ndimage  # noqa: PLC0415 - slow, and a finished index is read without it

    areas = np.bincount(instance_map.ravel(), minlength=len(IS_INSTANCE))
    ids = np.flatnonzero((areas > 0) & IS_INSTANCE)
    label_of_id = np.zeros(len(IS_INSTANCE), dtype=np.int32)
    label_of_id[ids] = np.arange(1, len(ids) + 1)
    labels = label_of_id[instance_map]
    slices = ndimage.find_objects(labels, max_label=len(ids))
    boxes = np.array([(x.start, y.start, x.stop - 1, y.stop - 1) for y, x in slices], dtype=np.int64).reshape(-1, 4)
    height, width = instance_map.shape
    on_border = boxes == np.array([0, 0, width - 1, height - 1])
    return {
        "instance_id": ids,
        "class_name": np.array([classes.name_of(instance_id) for instance_id in ids.tolist()], dtype=object),
        "area": areas[ids],
        **{f"box_{side}": boxes[:, i] for i, side in enumerate(SIDES)},
        "touches_border": on_border.any(axis=1),
        "touches_instance": _touching(labels, len(ids)),
    }


def _touching(labels: np.ndarray, num_instances: int) -> np.ndarray:
    """Whether each instance [N] has a 4-neighbour of another instance."""
    touching = np.zeros(num_instances + 1, dtype=bool)
    for a, b in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        meets = (a != b) & (a > 0) & (b > 0)
        touching[a[meets]] = True
        touching[b[meets]] = True
    return touching[1:]
