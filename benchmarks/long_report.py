"""How large the report of a long drive becomes, and how long it takes.

    python -m benchmarks.long_report ROOT OUTPUT [--frames 10000]

OUTPUT is a run over a street of ROOT, such as `make demo` leaves. The street is repeated, up and down a block of
parallel streets, until the drive is long enough; each time with groups and instances of its own. A class has 999
instances at most: after as many cars they are numbered as trucks, then as buses, caravans and trailers. The report
stays beside OUTPUT, as long_report.html.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.classes import IDS_PER_CLASS, IS_INSTANCE
from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import write_index
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.labels.boxes.columns import YAW_WORLD, box_columns, boxes_of
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.report import write_report
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.folder import read_index
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

_GAP = 60.0  # metres between the last camera of a street and the first of the next, and between parallel streets
_STREETS_IN_A_ROW = 13
_CLASSES = ("car", "truck", "bus", "caravan", "trailer")


@dataclass(frozen=True)
class _Turn:
    """One repetition of the street."""

    number: int
    frames: int  # added to its frame numbers
    instances: int  # added to its instance ids
    class_name: str  # of all its instances
    yaw: float  # radians, of T_world_street
    T_world_street: np.ndarray  # [4, 4], metres: from where the street is to where it stands this time


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.long_report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--frames", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.output.parent) as folder:
        root, output = Path(folder, "root"), Path(folder, "output")
        stretch(options.root, options.output, root, output, num_frames=options.frames)
        start = time.perf_counter()
        written = write_report(output, root, options.output.parent / "long_report.html")
        seconds = time.perf_counter() - start
    print("| frames | instances | seconds | MB | frames with pictures | close-ups |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {written.frames} | {written.instances} | {seconds:.0f} | {written.num_bytes / 1e6:.1f} "
        f"| {written.frame_pictures} | {written.close_ups} |"
    )


def stretch(root: Path, output: Path, long_root: Path, long_output: Path, *, num_frames: int) -> None:
    """Write the dataset and the run of a drive that repeats a street."""
    inputs = read_inputs(output)
    (name,) = inputs.sequences
    street = open_drive(root, name, inputs.camera)
    labels, index, groups = read_labels(output), read_index(output, name), read_groups(output)
    turns = _turns(street, num_frames, num_instances=len(index["instance_id"].drop_null().unique()))
    _write_dataset(street, turns, long_root)
    write_index(_repeated(index, turns), long_output / "index" / f"{name}.parquet", "")
    labels = labels.select(LABEL_SCHEMA.names)
    write_parquet(_repeated(labels, turns), long_output / "labels" / f"sequence={name}" / "a.parquet")
    rows = [_moved_group(row, turn) for turn in turns for row in groups.to_pylist()]
    write_parquet(pa.Table.from_pylist(rows, schema=GROUP_SCHEMA), long_output / "groups" / "a.parquet")
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["inputs"]["classes"] = sorted({turn.class_name for turn in turns})
    (long_output / "manifest.json").write_text(json.dumps(manifest))


def _turns(street: Drive, num_frames: int, *, num_instances: int) -> list[_Turn]:
    count, room = len(street.mask_frames), (IDS_PER_CLASS - 1) // num_instances
    turns = -(-num_frames // count)
    if turns > room * len(_CLASSES):
        raise SystemExit(f"a drive has ids for {room * len(_CLASSES) * count} frames of this street, got {num_frames}")
    first, last = (street.T_world_cam[street.mask_frames[end]][:3, 3] for end in (0, -1))
    middle, length = (first + last) / 2, float(np.linalg.norm(last - first)) + _GAP
    made = []
    for turn in range(turns):
        class_name = _CLASSES[turn // room]
        ids = CLASSES.first_id(class_name) - CLASSES.first_id("car") + num_instances * (turn % room)
        yaw, T_world_street = _placed(turn, middle, length)
        made.append(_Turn(turn, turn * count, ids, class_name, yaw, T_world_street))
    return made


def _placed(turn: int, middle: np.ndarray, length: float) -> tuple[float, np.ndarray]:
    """Yaw and pose of a repetition: rows of streets along the world's x, every other row driven backwards."""
    row, column = divmod(turn, _STREETS_IN_A_ROW)
    sign = 1 if row % 2 == 0 else -1
    T_world_street = np.diag([sign, sign, 1.0, 1.0])
    columns = column if sign > 0 else _STREETS_IN_A_ROW - 1 - column
    offset = np.array([columns * length, row * _GAP, 0.0])
    T_world_street[:3, 3] = middle + offset - T_world_street[:3, :3] @ middle
    return (0.0 if sign > 0 else np.pi), T_world_street


def _write_dataset(street: Drive, turns: list[_Turn], root: Path) -> None:
    name, camera = street.name, street.camera.name
    for path in (paths.poses_file(root, name), paths.calibration_file(root)):
        path.parent.mkdir(parents=True)
    paths.calibration_file(root).write_bytes(paths.calibration_file(street.root).read_bytes())
    for folder in (paths.mask_folder(root, name, camera), paths.image_folder(root, name, camera)):
        folder.mkdir(parents=True)
    lines = []
    for frame in street.mask_frames:
        mask = cv2.imread(str(paths.mask_file(street.root, name, camera, frame)), cv2.IMREAD_UNCHANGED)
        for turn in turns:
            moved = turn.T_world_street @ street.T_world_cam[frame]
            lines.append(f"{frame + turn.frames} {' '.join(map(repr, moved.ravel().tolist()))}\n")
            ids = np.where(IS_INSTANCE[mask], mask + turn.instances, mask).astype(np.uint16)
            cv2.imwrite(str(paths.mask_file(root, name, camera, frame + turn.frames)), ids)
            image = paths.image_file(street.root, name, camera, frame)
            os.link(image, paths.image_file(root, name, camera, frame + turn.frames))
    paths.poses_file(root, name).write_text("".join(lines))


def _repeated(table: pa.Table, turns: list[_Turn]) -> pa.Table:
    return pa.concat_tables([_moved(table, turn) for turn in turns])


def _moved(table: pa.Table, turn: _Turn) -> pa.Table:
    """Rows of the index or of labels, as they are this time."""
    shifts = {"frame": turn.frames, "target_frame": turn.frames, "instance_id": turn.instances}
    changed: dict[str, Any] = {
        name: pc.add(table[name], pa.scalar(shift, table.schema.field(name).type))  # pyright: ignore[reportAttributeAccessIssue]
        for name, shift in shifts.items()
        if name in table.column_names
    }
    changed["class_name"] = [name and turn.class_name for name in table["class_name"].to_pylist()]
    if YAW_WORLD in table.column_names:
        boxes = boxes_of(table)
        centers = rigid.apply(turn.T_world_street, boxes.centers)
        changed |= box_columns(UprightBoxes(centers, boxes.dimensions_lwh, wrap_angle(boxes.yaws + turn.yaw)))
        changed["group_id"] = [_group_id(name, turn) for name in table["group_id"].to_pylist()]
    for name, values in changed.items():
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        column = values if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type)
        table = table.set_column(place, field, column)
    return table


def _moved_group(row: dict[str, Any], turn: _Turn) -> dict[str, Any]:
    return row | {
        "group_id": _group_id(row["group_id"], turn),
        "target_frame": row["target_frame"] + turn.frames,
        "frames": [frame + turn.frames for frame in row["frames"]],
        "instance_ids": [instance_id + turn.instances for instance_id in row["instance_ids"]],
    }


def _group_id(name: str, turn: _Turn) -> str:
    return f"{name}-{turn.number}"


if __name__ == "__main__":
    main()
