"""Cuboids of CVAT's 3D tasks, in its format Datumaro 3D: written, and read back.

A sequence is a zip archive with annotations/default.json; an item of it is a frame, named by its number in ten digits.
A cuboid has its centre, its full extents along its own axes (x ahead, y left, z up) and rotations about x, y and z in
radians, in the frame of `vsrd_ray.labels.boxes.formats.levelled`.
"""

import io
import json
import logging
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.drive import Drive, View
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import boxes_of
from vsrd_ray.labels.boxes.corrected import CorrectedFrame, check_angle, check_place, check_sizes, class_of
from vsrd_ray.labels.boxes.formats.levelled import from_level, to_level
from vsrd_ray.labels.boxes.selection import LabelledSequence
from vsrd_ray.storage import Location, is_folder, names_in, read_bytes

logger = logging.getLogger(__name__)

ANNOTATIONS = "annotations/default.json"
CUBOID = "cuboid_3d"
INSTANCE = "instance_id"  # attribute by which a corrected cuboid finds its instance again
_POINT_CLOUD = 6  # Datumaro's number of that kind of media
_ROUNDING = 0.01  # of places in the world: Datumaro keeps two decimals of every number
_MAX_TILT = 0.01  # radians, over which a cuboid counts as tilted
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every archive, so that equal labels give equal bytes


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write <sequence>.zip, to be uploaded as annotations of a task whose point clouds are named by frame.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.
    """
    for labelled in sequences:
        names = sorted(set(labelled.rows["class_name"].to_pylist()))
        items = []
        for view, rows in labelled.by_frame():
            items.append(_item(view, rows, names))
            done()
        labels = [{"name": name, "parent": "", "attributes": [INSTANCE]} for name in names]
        content = {
            "info": {},
            "media_type": _POINT_CLOUD,
            "categories": {"label": {"labels": labels, "attributes": ["occluded"]}},
            "items": items,
        }
        with zipfile.ZipFile(folder / f"{labelled.sequence.name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            entry = zipfile.ZipInfo(ANNOTATIONS, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, json.dumps(content))


def _item(view: View, rows: pa.Table, names: list[str]) -> dict[str, Any]:
    boxes = to_level(boxes_of(rows), view)
    annotations = [
        {
            "id": n,
            "type": CUBOID,
            "attributes": {"occluded": row["occlusion"] > 0, INSTANCE: row["instance_id"]},
            "group": 0,
            "label_id": names.index(row["class_name"]),
            "position": boxes.centers[n].tolist(),
            "rotation": [0.0, 0.0, float(boxes.yaws[n])],
            "scale": boxes.dimensions_lwh[n].tolist(),
        }
        for n, row in enumerate(rows.to_pylist())
    ]
    name = f"{view.frame:010d}"
    return {
        "id": name,
        "annotations": annotations,
        "attr": {"frame": view.frame},
        "point_cloud": {"path": f"{name}.pcd"},
    }


def read(source: Location, drives: dict[str, Drive]) -> list[CorrectedFrame]:
    """The frames of an archive that CVAT exported as Datumaro 3D, of its JSON file, or of a folder of such.

    An item's id ends with its frame. Its sequence is a folder in its id, else the file's name, else the only one.

    Args:
        source: .zip, .json, or a folder.
        drives: the sequences that the frames may be of, by name.

    Raises:
        InputError: no such file, or one that cannot be used.
    """
    frames = []
    for file, place, content in _documents(source):
        try:
            document = json.loads(content)
            names = [str(label["name"]) for label in document["categories"]["label"]["labels"]]
            items = [(item["id"], list(item["annotations"])) for item in document["items"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = one_line(error)
            raise InputError(f"{place}: no annotations in Datumaro's format ({reason}): export them again") from error
        if not items:
            raise InputError(f"{place}: no item, which there is for each frame of a task: export it again")
        for item_id, annotations in items:
            drive, frame = _frame_of(str(item_id), file.stem, drives, place)
            where = f"{place}, item {item_id}"
            frames.append(_read_item(annotations, names, drive=drive, frame=frame, file=file, place=where))
    return frames


def _documents(source: Location) -> Iterator[tuple[Location, str, bytes]]:
    """The file, and place and content in it, of every JSON document of annotations."""
    files = [source]
    if is_folder(source):
        archives = [source / name for name in names_in(source) if name.endswith(".zip")]
        plain = source / "annotations"
        files = archives + [plain / name for name in names_in(plain) if name.endswith(".json")]
    if not files:
        raise InputError(
            f"{source}: no .zip or annotations/*.json in the folder: give what CVAT exports as Datumaro 3D"
        )
    for path in files:
        try:
            content = read_bytes(path)
        except FileNotFoundError:
            raise InputError(f"no file {path}: give what CVAT exports as Datumaro 3D") from None
        if path.name.endswith(".zip"):
            yield from _archived(content, path)
        else:
            yield path, str(path), content


def _archived(content: bytes, path: Location) -> Iterator[tuple[Location, str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if name.startswith("annotations/") and name.endswith(".json")]
            for name in names:
                yield path, f"{path}/{name}", archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:  # torn, or with a password
        raise InputError(f"{path}: not a zip archive that can be read ({error}): export it again") from error
    if not names:
        raise InputError(f"{path}: no annotations/*.json in the archive: export it from CVAT as Datumaro 3D")


def _frame_of(item_id: str, stem: str, drives: dict[str, Drive], place: str) -> tuple[Drive, int]:
    *folders, name = item_id.split("/")
    if not (name.isascii() and name.isdigit()):
        raise InputError(f"{place}: item {item_id!r} is not named by its frame, such as 0000000012: name it so")
    candidates = [*folders, stem, *(drives if len(drives) == 1 else ())]
    known = next((candidate for candidate in candidates if candidate in drives), None)
    if known is None:
        raise InputError(
            f"{place}: which sequence is item {item_id!r} of? Name the file after it, such as {next(iter(drives))}.zip"
        )
    return drives[known], int(name)


def _read_item(
    annotations: Any, names: list[str], *, drive: Drive, frame: int, file: Location, place: str
) -> CorrectedFrame:
    if frame not in drive.T_world_cam:
        raise InputError(f"{place}: {drive.name} has no pose of frame {frame}: remove the item")
    cuboids = [(f"{place}, annotation {n}", entry) for n, entry in enumerate(annotations) if _is_cuboid(entry, place)]
    positions, rotations, sizes = (
        np.array([_vector(entry, key, where) for where, entry in cuboids], dtype=np.float64).reshape(-1, 3)
        for key in ("position", "rotation", "scale")
    )
    for (where, _), position, rotation, size in zip(cuboids, positions, rotations, sizes, strict=True):
        check_place(position, where)
        check_sizes(size, where)
        for axis, radians in zip("xyz", rotation.tolist(), strict=True):
            check_angle(radians, f"the rotation about {axis},", where)
    if tilted := int((np.abs(rotations[:, :2]) > _MAX_TILT).any(axis=1).sum()):
        logger.warning("%s: %d cuboids are tilted; their boxes stand upright.", place, tilted)
    return CorrectedFrame(
        drive.name,
        frame,
        tuple(_class(entry, names, drive.classes, where) for where, entry in cuboids),
        from_level(UprightBoxes(positions, sizes, rotations[:, 2]), drive.view(frame)),
        tuple(_instance(entry) for _, entry in cuboids),
        exported_ids=None,
        rounding=_ROUNDING,
        file=file,
        place=place,
        places=tuple(where for where, _ in cuboids),
    )


def _is_cuboid(entry: Any, place: str) -> bool:
    if not isinstance(entry, dict) or "type" not in entry:
        raise InputError(f"{place}: an annotation without a type: export the file again")
    return entry["type"] == CUBOID


def _vector(entry: dict[str, Any], key: str, place: str) -> list[float]:
    values = entry.get(key)
    if not isinstance(values, list) or len(values) != 3 or not all(map(_is_finite, values)):
        raise InputError(f"{place}: {key} must be three finite numbers, got {values!r}: correct it")
    return values


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max  # JSON has integers of any size


def _class(entry: dict[str, Any], names: list[str], classes: ClassTable, place: str) -> str:
    label = entry.get("label_id")
    if not isinstance(label, int) or not 0 <= label < len(names):
        raise InputError(f"{place}: label_id must be from 0 to {len(names) - 1}, got {label!r}: correct it")
    return class_of(names[label], classes, place)


def _instance(entry: dict[str, Any]) -> int | None:
    """The attribute `instance_id`, which annotation tools may give back as a text; None where it is no number."""
    try:
        return int(entry["attributes"][INSTANCE])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
