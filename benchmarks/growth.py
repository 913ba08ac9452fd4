"""How the time of each part of the work grows when there is twice as much of it: a quadratic part is seen.

    python -m benchmarks.growth [WORD ...] [--scale 1.0]

Parts whose names hold one of the words, or all of them, are run at a size, twice and four times that. Printed are the
CPU seconds of each, and by what the last doubling multiplied them: about 2 where time grows as the work does, 4 where
it grows with its square. Sizes are odd on purpose: masks of nothing but specks, thousands of instances in one frame, a
car that stood in view of a whole drive. Marked are parts that the last doubling takes more than `TOO_MUCH` times as
long, and more than `TOO_LONG` seconds.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from benchmarks import evaluation
from vsrd_ray.data.drive import MASKS, Camera, Drive
from vsrd_ray.data.groups import GroupTasks, InstanceGroupPlan
from vsrd_ray.data.index import INDEX_SCHEMA, all_frames, describe_instances, index_frames
from vsrd_ray.data.masks import refine_mask, signed_distance, without_specks
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.datasets.kitti360.poses import read_poses
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.grouping import plan_groups
from vsrd_ray.labelers.vsrd.outlines import DepthOrder, directions, trace_outline
from vsrd_ray.labelers.vsrd.scene import plan_scene
from vsrd_ray.labels.boxes.convert import labels_to_kitti
from vsrd_ray.labels.boxes.corrections import import_labels
from vsrd_ray.labels.boxes.evaluation import evaluate_run
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.report.choice import choose_frames, choose_views, ranked_instances
from vsrd_ray.labels.boxes.report.contents import sequence_contents
from vsrd_ray.labels.boxes.report.tables import read_tables
from vsrd_ray.labels.boxes.rows import label_rows
from vsrd_ray.labels.boxes.spec import SPEC
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.plan import DrivePlan
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.results import GroupResult
from vsrd_ray.runs.sink import Sink

TOO_MUCH, TOO_LONG = 3.0, 0.5
SEQUENCE, CAMERA = "2013_05_28_drive_0000_sync", "image_00"
K = np.array([[552.6, 0, 682], [0, 552.6, 238.8], [0, 0, 1.0]])
IMAGE_SIZE = 1408, 376

Work = Callable[[], object]


@dataclass(frozen=True)
class Part:
    """A part of the work."""

    name: str
    unit: str
    size: int  # the smallest
    prepare: Callable[[int, Path], Work]  # what is timed, for a size and in an empty folder


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="of the parts to run; all by default")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{'part':34} {'largest size':>20} {'seconds':>24} {'x':>6}")
    for part in PARTS:
        if not options.words or any(word in part.name for word in options.words):
            print(_measured(part, options.scale), flush=True)


def _measured(part: Part, scale: float) -> str:
    sizes = [max(int(scale * part.size), 1) * 2**doubling for doubling in range(3)]
    seconds = [_seconds(part, size) for size in sizes]
    growth = seconds[-1] / max(seconds[-2], 1e-9)
    mark = "  MORE THAN LINEAR" if growth > TOO_MUCH and seconds[-1] > TOO_LONG else ""
    times = " ".join(f"{one:7.3f}" for one in seconds)
    return f"{part.name:34} {f'{sizes[-1]:,} {part.unit}':>20} {times:>24} {growth:6.1f}{mark}"


def _seconds(part: Part, size: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        work = part.prepare(size, Path(folder))
        began = time.process_time()
        work()
        return time.process_time() - began


# Masks


def _salt(count: int) -> np.ndarray:
    """A mask of specks of one pixel, [H, W] bool."""
    side = int(np.ceil(np.sqrt(count)))
    mask = np.zeros((2 * side, 2 * side), dtype=bool)
    mask[::2, ::2] = True
    return mask


def _specks(count: int, _: Path) -> Work:
    mask = _salt(count)
    return lambda: without_specks(mask)


def _refined(count: int, _: Path) -> Work:
    mask = _salt(count)
    return lambda: refine_mask(mask)


def _distances(count: int, _: Path) -> Work:
    mask = _salt(count)
    return lambda: signed_distance(mask, "exact")


def _outline(count: int, _: Path) -> Work:
    mask = _salt(count)
    order = DepthOrder.of(np.where(mask, 26001, 7000).astype(np.uint16), CLASSES)
    units = directions(16)
    return lambda: trace_outline(mask, instance_id=26001, order=order, units=units, num_points=48)


def _instances(count: int, _: Path) -> Work:
    ids = np.array([number for number in range(1, 65536) if number % 1000])[:count]
    side = int(np.ceil(np.sqrt(count)))
    instance_map = np.zeros(side * side, dtype=np.uint16)
    instance_map[: len(ids)] = ids
    instance_map = instance_map.reshape(side, side).repeat(8, axis=0).repeat(8, axis=1)
    return lambda: describe_instances(instance_map, CLASSES)


# Drives


def _pose(metres: float) -> np.ndarray:
    pose = evaluation.LOOKING_ALONG_X.copy()
    pose[0, 3] = metres
    return pose


def _drive(num_frames: int, *, with_masks: bool = True) -> Drive:
    camera = Camera(CAMERA, K, IMAGE_SIZE, {frame: _pose(0.5 * frame) for frame in range(num_frames)})
    layers = {MASKS: {CAMERA: tuple(range(num_frames))}} if with_masks else {}
    return Drive("kitti360", Path("root"), SEQUENCE, {CAMERA: camera}, layers)


def _frames_without_masks(count: int, _: Path) -> Work:
    drive = _drive(count, with_masks=False)
    return lambda: index_frames(drive, all_frames(drive))


def _poses(count: int, folder: Path) -> Work:
    lines = (f"{frame} {' '.join(map(repr, _pose(frame).ravel().tolist()))}\n" for frame in range(count))
    evaluation.write_text(paths.poses_file(folder, SEQUENCE), "".join(lines))
    return lambda: read_poses(folder, SEQUENCE)


def _true_boxes(count: int, folder: Path) -> Work:
    truth = evaluation.parked_cars(5.0, np.random.default_rng(0))
    text = evaluation.boxes_xml(truth)
    head, objects = text.split("<opencv_storage>")
    objects = objects.removesuffix("</opencv_storage>")
    repeated = objects * -(-count // len(truth.instance_ids))
    evaluation.write_text(paths.boxes_file(folder, SEQUENCE), f"{head}<opencv_storage>{repeated}</opencv_storage>")
    return lambda: read_boxes(folder, SEQUENCE)


def _index(shown: np.ndarray) -> pa.Table:
    """An index in which frames show instances, [F, N] bool."""
    frames, instances = np.nonzero(shown)
    columns: dict[str, Any] = {
        "frame": frames,
        "skipped": [None] * len(frames),
        "instance_id": 26001 + instances,
        "class_name": ["car"] * len(frames),
        "area": np.full(len(frames), 900),
        **dict(zip(("box_left", "box_top", "box_right", "box_bottom"), (100, 100, 129, 129), strict=True)),
        **dict.fromkeys(("touches_border", "touches_instance"), np.zeros(len(frames), dtype=bool)),
    }
    sides = {name: np.full(len(frames), value) for name, value in columns.items() if isinstance(value, int)}
    columns |= sides
    return pa.table([pa.array(columns[field.name], field.type) for field in INDEX_SCHEMA], schema=INDEX_SCHEMA)


def _passing(num_frames: int, num_instances: int) -> np.ndarray:
    """Cars that a drive passes one after the other, each in view for as long, and one that is in view all the time."""
    firsts = np.arange(num_instances) * num_frames // num_instances
    frames = np.arange(num_frames)[:, None]
    shown = (frames >= firsts) & (frames < firsts + 20)
    shown[:, 0] = True
    return shown


def _standing(num_frames: int) -> np.ndarray:
    """Thirty cars around one that waits, each of which hides for a frame now and then."""
    return np.random.default_rng(0).random((num_frames, 30)) > 0.03


def _scene_plan(count: int, _: Path) -> Work:
    index = _index(_passing(count, min(count // 10, 990)))
    settings = GroupingSettings(kind="scene")
    return lambda: plan_scene(index, sequence=SEQUENCE, camera=CAMERA, settings=settings, classes=["car"])


def _group_plan(count: int, _: Path) -> Work:
    index = _index(_standing(count))
    return lambda: plan_groups(index, sequence=SEQUENCE, camera=CAMERA, settings=GroupingSettings(), classes=["car"])


def _tasks(count: int, _: Path) -> Work:
    drive, index = _drive(count), _index(_passing(count, min(count // 10, 990)))
    plans = plan_scene(
        index, sequence=SEQUENCE, camera=CAMERA, settings=GroupingSettings(kind="scene"), classes=["car"]
    )

    def work() -> None:
        tasks = GroupTasks(drive, index)
        for plan in plans:
            tasks.task(plan)

    return work


# Runs


def _fit(instance_id: int) -> BoxFit:
    return BoxFit(
        instance_id=instance_id,
        class_name="car",
        box=UprightBoxes(np.array([10.0, 3.0, 0.8]), np.array([4.0, 1.8, 1.5]), 0.1),
        confidence=0.5,
        mean_iou_2d=0.5,
        num_views=4,
        bearing_spread_deg=10.0,
        silhouette_loss=0.1,
        is_moving=False,
    )


def _group(number: int, frames: tuple[int, ...], instance_id: int) -> InstanceGroupPlan:
    return InstanceGroupPlan(
        group_id=f"{SEQUENCE}-{CAMERA}-w{number:05d}",
        sequence=SEQUENCE,
        camera=CAMERA,
        target_frame=frames[0],
        source_frames=(),
        label_frames=frames,
        instance_ids=(instance_id,),
        instance_views=(frames[:1],),
        best_frames=frames[:1],
    )


def _committed(shown: np.ndarray, folder: Path) -> Work:
    """A group for each instance is committed, one after the other."""
    drive, index = _drive(len(shown)), _index(shown)
    groups = tuple(
        _group(number, tuple(np.flatnonzero(column).tolist()), 26001 + number) for number, column in enumerate(shown.T)
    )
    plan = DrivePlan(drive, index, "digest", groups, ())
    tasks = GroupTasks(drive, index)
    tables = [
        label_rows([_fit(group.instance_ids[0])], tasks.task(group).group(), labeler="vsrd", config_hash="", seed=0)
        for group in groups
    ]

    def work() -> None:
        sink = Sink(folder, (SPEC.table,))
        sink.prepare(plan, wanted={group.group_id for group in groups})
        for group, table in zip(groups, tables, strict=True):
            sink.commit(group, GroupResult(group.group_id, tables={"boxes": table}), attempts=1)
        sink.close(SEQUENCE)
        sink.recorded([], CAMERA)

    return work


def _many_groups(count: int, folder: Path) -> Work:
    return _committed(np.eye(count, dtype=bool), folder)


def _long_groups(count: int, folder: Path) -> Work:
    return _committed(np.ones((count, 8), dtype=bool), folder)


def _rows(count: int, _: Path) -> Work:
    drive, index = _drive(count), _index(np.ones((count, 6), dtype=bool))
    plan = _group(0, tuple(range(count)), 26001)
    group = GroupTasks(drive, index).task(plan).group()
    return lambda: label_rows([_fit(26001)], group, labeler="vsrd", config_hash="", seed=0)


def _run(num_frames: int, folder: Path) -> tuple[Path, Path]:
    """A run over a straight drive past 999 cars, and its dataset, whose frames show more of them the fewer they are."""
    output, root = folder / "output", folder / "root"
    evaluation.write_run(output, root, frames=num_frames, boxes=10, sequences=1)
    return output, root


def _evaluated(count: int, folder: Path) -> Work:
    output, root = _run(count, folder)
    return lambda: evaluate_run(output, root)


def _converted(count: int, folder: Path) -> Work:
    output, _ = _run(count, folder)
    return lambda: labels_to_kitti(output, folder / "text")


def _exported(format: str) -> Callable[[int, Path], Work]:
    def prepare(count: int, folder: Path) -> Work:
        output, root = _run(count, folder)
        return lambda: export(output, root, folder / "exported", format=format)

    return prepare


def _imported(count: int, folder: Path) -> Work:
    """All boxes of KITTI text are moved by a metre, and every tenth is new."""
    output, root = _run(count, folder)
    export(output, root, folder / "exported", format="kitti")
    for path in sorted((folder / "exported").rglob("*.txt")):
        rows = [line.split() for line in path.read_text().splitlines()]
        moved = [
            [*row[:11], f"{float(row[11]) + (30 if n == 0 else 1):.2f}", *row[12:]]
            for n, row in enumerate(rows)
            if len(row) > 12
        ]
        if moved:
            path.write_text("".join(" ".join(row) + "\n" for row in moved))
    return lambda: import_labels(output, root, folder / "exported", format="kitti", confirm_changes=True)


def _reported(count: int, folder: Path) -> Work:
    """All of a report but its pictures."""
    output, root = _run(count, folder)
    inputs, groups = read_inputs(output), read_groups(output)

    def work() -> None:
        labels = read_labels(output)
        tables = read_tables(output, root, inputs.sequences[0], inputs=inputs, labels=labels, groups=groups)
        assert tables is not None
        for instance in ranked_instances(tables):
            choose_views(tables, instance)
        choose_frames(tables, count // 2)
        sequence_contents(tables)

    return work


PARTS = (
    Part("specks of a mask", "specks", 4_096, _specks),
    Part("a mask of specks, refined", "specks", 4_096, _refined),
    Part("a mask of specks, its distances", "specks", 4_096, _distances),
    Part("a mask of specks, its outline", "specks", 4_096, _outline),
    Part("instances of one frame", "instances", 2_500, _instances),
    Part("index of frames without masks", "frames", 3_000, _frames_without_masks),
    Part("poses", "frames", 10_000, _poses),
    Part("true boxes", "boxes", 2_000, _true_boxes),
    Part("windows of a scene", "frames", 10_000, _scene_plan),
    Part("groups around a waiting car", "frames", 1_000, _group_plan),
    Part("tasks of groups", "frames", 5_000, _tasks),
    Part("label rows", "frames", 250, _rows),
    Part("commits of many groups", "groups", 100, _many_groups),
    Part("commits of long groups", "frames", 500, _long_groups),
    Part("evaluation", "frames", 1_500, _evaluated),
    Part("conversion to KITTI text", "frames", 500, _converted),
    *(
        Part(f"export as {name}", "frames", 150, _exported(name))
        for name in ("kitti", "mmdet3d", "openpcdet", "nuscenes")
    ),
    *(Part(f"export as {name}", "frames", 500, _exported(name)) for name in ("kitti360", "csv", "cvat")),
    Part("import of KITTI text", "frames", 150, _imported),
    Part("numbers of a report", "frames", 1_000, _reported),
)


if __name__ == "__main__":
    main()
