"""What an evaluation takes: a run over 50,000 frames with 10 boxes each, and exact bird's-eye IoU of a million pairs.

    python -m benchmarks.evaluation [--frames 50000] [--boxes 10] [--sequences 10] [--pairs 1000000]

The run is made first, on disk, which is not timed: straight drives past cars parked on both sides, their true boxes as
XML, an index, and labels that stray from the truth by up to half a metre; a label in twenty is missing. Nothing hides
anything, and every car has a mask. Then
`evaluate_run` does what `vsrd-ray evaluate` does: reads all of it, and works out label quality, average precision and
confidence. One process.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import INDEX_SCHEMA, write_index
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import box_columns
from vsrd_ray.labels.boxes.evaluation import evaluate_run, format_report
from vsrd_ray.labels.boxes.rows import columns_in_cameras
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.truth import frame_poses
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

CAMERA = "image_00"
FIRST_CAR, MOST_CARS = 26001, 999  # ids of a sequence's cars
NEAR, FAR = 5.0, 45.0  # metres ahead of the camera in which a car is seen
KERB, HEIGHT = 5.0, 1.6  # metres from the camera to the cars' line, and to the ground
CAR_LWH = np.array([4.2, 1.8, 1.5])
LABELLED = 0.95  # share of boxes that have a label
MASK_AREA = 9e5  # px of a car's mask at a metre; it falls with the square of the distance
# looks along the world's +x: x right = -y, y down = -z
LOOKING_ALONG_X = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, HEIGHT], [0, 0, 0, 1]])
CALIBRATION = "S_rect_00: 1408 376\nP_rect_00: 552.6 0.0 682.0 0.0 0.0 552.6 238.8 0.0 0.0 0.0 1.0 0.0\n"
_UNIT_VERTICES = "1 1 1  1 1 -1  1 -1 1  1 -1 -1  -1 1 -1  -1 1 1  -1 -1 -1  -1 -1 1"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--boxes", type=int, default=10, help="seen in each frame")
    parser.add_argument("--sequences", type=int, default=10, help="that the frames are parted into")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"{options.pairs} exact IoUs, 3D and bird's-eye view: {seconds_of_pairs(options.pairs):.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        output, root = Path(folder, "output"), Path(folder, "root")
        num_labels = write_run(
            output, root, frames=options.frames // options.sequences, boxes=options.boxes, sequences=options.sequences
        )
        started, started_cpu = time.perf_counter(), time.process_time()
        report = evaluate_run(output, root)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{report.num_frames} frames, {num_labels} labels: {seconds:.1f} s ({cpu_seconds:.1f} s of CPU), "
        f"peak {peak:.2f} GB\n"
    )
    print(format_report(report))


def seconds_of_pairs(count: int) -> float:
    """Seconds that the IoU of so many pairs of cars takes; all of them overlap, or come near."""
    rng = np.random.default_rng(0)
    cars = UprightBoxes(
        rng.uniform(-2, 2, (2, count, 3)),
        rng.uniform(0.8, 1.2, (2, count, 3)) * CAR_LWH,
        rng.uniform(-np.pi, np.pi, (2, count)),
    )
    started = time.perf_counter()
    cars[0].iou(cars[1])
    return time.perf_counter() - started


def write_run(output: Path, root: Path, *, frames: int, boxes: int, sequences: int) -> int:
    """Write a dataset and a run over it; returns the number of labels."""
    names = [f"2013_05_28_drive_{number:04d}_sync" for number in range(sequences)]
    write_text(paths.calibration_file(root), CALIBRATION)
    num_labels = sum(
        write_sequence(output, root, name, frames=frames, boxes=boxes, rng=np.random.default_rng(seed))
        for seed, name in enumerate(names)
    )
    inputs = {"root": str(root), "sequences": names, "camera": CAMERA, "classes": ["car"]}
    inputs |= {"frames": {}, "skipped_frames": {}}
    manifest = {"status": "complete", "inputs": inputs, "config": {}, "counts": {}, "failures": []}
    manifest |= {"config_hash": "", "versions": {}, "seed": 0, "seconds": {"wall": 0.0, "device": 0.0}}
    write_text(output / "manifest.json", json.dumps(manifest))
    return num_labels


def write_sequence(output: Path, root: Path, name: str, *, frames: int, boxes: int, rng: np.random.Generator) -> int:
    """Write one drive and its labels; returns the number of labels."""
    spacing = (FAR - NEAR) / boxes
    step = (MOST_CARS - boxes - 1) * spacing / frames  # so that the drive ends where the cars do
    poses = np.tile(LOOKING_ALONG_X, (frames, 1, 1))
    poses[:, 0, 3] = step * np.arange(frames)
    lines = (f"{frame} {' '.join(map(repr, pose.ravel().tolist()))}\n" for frame, pose in enumerate(poses))
    write_text(paths.poses_file(root, name), "".join(lines))
    write_text(paths.mask_file(root, name, CAMERA, 0), "")  # its name alone is read
    truth = parked_cars(spacing, rng)
    write_text(paths.boxes_file(root, name), boxes_xml(truth))
    ahead = truth.boxes.centers[:, 0] - poses[:, 0, 3][:, None]  # [frames, cars]
    frame_of_row, car_of_row = np.nonzero((ahead > NEAR) & (ahead <= FAR))
    areas = MASK_AREA / ahead[frame_of_row, car_of_row] ** 2
    write_index(index_of(truth, frame_of_row, car_of_row, areas), output / "index" / f"{name}.parquet", "x")
    group = {"group_id": name, "sequence": name, "target_frame": 0, "frames": list(range(frames)), "status": "ok"}
    write_parquet(pa.Table.from_pylist([group], schema=GROUP_SCHEMA), output / "groups" / f"{name}.parquet")
    has_label = rng.random(len(frame_of_row)) < LABELLED
    sequence = open_drive(root, name, CAMERA)
    labels = labels_of(truth, frame_of_row[has_label], car_of_row[has_label], sequence=sequence, rng=rng)
    write_parquet(labels, output / "labels" / f"sequence={name}" / "a.parquet")
    return labels.num_rows


def parked_cars(spacing: float, rng: np.random.Generator) -> TruthBoxes:
    """Cars along both sides of a straight street, on its +x axis."""
    sides = np.where(np.arange(MOST_CARS) % 2, KERB, -KERB)
    centers = np.stack([spacing * np.arange(1, MOST_CARS + 1), sides, np.full(MOST_CARS, CAR_LWH[2] / 2)], axis=-1)
    return TruthBoxes(
        instance_ids=FIRST_CAR + np.arange(MOST_CARS, dtype=np.int32),
        class_names=("car",) * MOST_CARS,
        boxes=UprightBoxes(centers, CAR_LWH * rng.uniform(0.9, 1.1, (MOST_CARS, 3)), rng.normal(0, 0.05, MOST_CARS)),
        timestamps=np.full(MOST_CARS, STATIC, dtype=np.int32),
    )


def index_of(truth: TruthBoxes, frames: np.ndarray, cars: np.ndarray, areas: np.ndarray) -> pa.Table:
    """An index in which cars have masks of some areas, px."""
    columns = {
        "frame": frames,
        "skipped": [None] * len(frames),
        "instance_id": truth.instance_ids[cars],
        "class_name": ["car"] * len(frames),
        "area": areas.astype(np.int32),
        **{f"box_{side}": np.zeros(len(frames)) for side in ("left", "top", "right", "bottom")},
        **dict.fromkeys(("touches_border", "touches_instance"), np.zeros(len(frames), dtype=bool)),
    }
    return pa.table({field.name: pa.array(columns[field.name]).cast(field.type) for field in INDEX_SCHEMA}).cast(
        INDEX_SCHEMA
    )


def labels_of(
    truth: TruthBoxes, frames: np.ndarray, cars: np.ndarray, *, sequence: Drive, rng: np.random.Generator
) -> pa.Table:
    """Label rows that stray from the truth, the more the lower their confidence."""
    strays = rng.uniform(0, 0.5, len(frames))  # metres
    away = rng.normal(size=(len(frames), 3))
    true = truth.boxes[cars]
    boxes = UprightBoxes(
        true.centers + strays[:, None] * away / np.linalg.norm(away, axis=1, keepdims=True),
        true.dimensions_lwh * rng.normal(1, 0.03, (len(frames), 3)),
        true.yaws + rng.normal(0, 0.05, len(frames)),
    )
    columns = columns_in_cameras(
        frame_poses(sequence, frames),
        boxes,
        K=sequence.K,
        image_size=sequence.image_size,
        mask_areas=np.ones(len(frames)),  # for the label's occlusion, which nothing here reads
    )
    columns |= box_columns(boxes)
    columns |= {"frame": frames, "instance_id": truth.instance_ids[cars]}
    columns |= {"confidence": 1 - strays, "is_moving": np.zeros(len(frames), dtype=bool)}
    columns |= {name: [text] * len(frames) for name, text in {"camera": CAMERA, "class_name": "car"}.items()}
    columns["source"] = ["auto"] * len(frames)
    others = {field.name: pa.nulls(len(frames), field.type) for field in LABEL_SCHEMA if field.name not in columns}
    return pa.table(others | columns).select(LABEL_SCHEMA.names).cast(LABEL_SCHEMA)


def boxes_xml(truth: TruthBoxes) -> str:
    """The boxes as KITTI-360 keeps them."""
    vertices = " ".join(str(int(word) / 2) for word in _UNIT_VERTICES.split())
    entries = []
    for number, instance in enumerate(truth.instance_ids % 1000):
        box = truth.boxes[number]
        cos, sin = np.cos(box.yaws), np.sin(box.yaws)
        transform = np.eye(4)
        transform[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) * box.dimensions_lwh
        transform[:3, 3] = box.centers
        numbers = " ".join(map(repr, transform.ravel().tolist()))
        entries.append(
            f"<object{number}><semanticId>13</semanticId><instanceId>{instance}</instanceId><timestamp>-1</timestamp>"
            f"<transform><data>{numbers}</data></transform><vertices><data>{vertices}</data></vertices></object{number}>"
        )
    return f'<?xml version="1.0"?><opencv_storage>{"".join(entries)}</opencv_storage>'


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    main()
