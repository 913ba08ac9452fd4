"""Labels of real drives of KITTI's raw data as they come: OxTS packets, a file of visual odometry, KITTI-MOTS's masks.

    python -m benchmarks.real_drives --data DIR                     poses of DIR/orb_slam3/<date>/<drive>.txt
    python -m benchmarks.real_drives --data DIR --poses oxts        poses of the packets, at the images' times

DIR is a root of the dataset that also holds orb_slam3, mots/instances_txt and tracking/label_02. Each drive is labelled
by the command `vsrd-ray label` in one process, and judged by the tracking benchmark's boxes: every car counts in each
frame in which its mask has 128 px or more, within 40 m; a missing label counts 0. `reading` is seconds of the CPU, on
one core, from opening the drive to its index: poses, and every mask decoded once. `tracking` is the same from the masks
of cars as a detector gives them, without ids over frames: they are decoded once more, and tracked.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from benchmarks.box_scores import Scores, Truths, concatenate, score, truths_of
from benchmarks.boxes import mean, print_row, share
from benchmarks.cost_and_quality import use_one_thread
from vsrd_ray.cli import main as vsrd_ray
from vsrd_ray.data.given import Given
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.data.truth import BOXES
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.poses.source import NAMES
from vsrd_ray.runs.folder import RunFolder, read_index

DATA = Path("../shared/data/kitti_raw_mini")
FILE = "file"
FIRST_FRAMES = 150
COLUMNS = ("drive", "frames", "cars", "n", "IoU3D", "> .5", "> .7", "said to move")


@dataclass(frozen=True)
class Measured:
    """What a drive's labels are worth."""

    name: str
    first: Scores  # in frames 0-149
    whole: Scores
    reading: float  # CPU seconds
    tracking: float  # CPU seconds, reading among them
    labelling: float  # CPU seconds, reading among them
    num_frames: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="root of the dataset (%(default)s)")
    parser.add_argument("--poses", choices=[FILE, *NAMES], default=FILE, help="of the labels (%(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    drives = drives_under(options.data)
    print(f"Real drives: {len(drives)} under {options.data}, poses: {options.poses}\n")
    print_row(COLUMNS, is_header=True)
    with multiprocessing.get_context("spawn").Pool(options.workers, use_one_thread) as pool:
        measured = list(pool.imap(partial(measure, options.data, options.poses), drives))
    for one in measured:
        print_scores(one.name, f"0-{FIRST_FRAMES - 1}", one.first)
        print_scores(one.name, "all", one.whole)
    print_scores("all drives", "all", concatenate([one.whole for one in measured]))
    for one in measured:
        print(
            f"\n{one.name}: reading and posing {one.num_frames} frames {one.reading:.1f} s, with tracking "
            f"{one.tracking:.1f} s, "
            f"all of labelling {one.labelling:.0f} s ({one.labelling / one.num_frames:.3f} a frame)"
        )


def drives_under(data: Path) -> list[str]:
    """Drives that have masks, visual odometry and truth."""
    folders = [folder for date in sorted(data.glob("*_*_*")) for folder in sorted(date.glob("*_sync"))]
    names = [folder.name for folder in folders if paths.tracking_sequence(folder.name) is not None]
    found = [name for name in names if pose_file(data, name).is_file() and mask_file(data, name).is_file()]
    if not found:
        raise InputError(f"no drive with masks and poses in {data}: give the dataset's root as --data")
    return found


def pose_file(data: Path, name: str) -> Path:
    return data / "orb_slam3" / name[:10] / f"{name}.txt"


def mask_file(data: Path, name: str) -> Path:
    return data / "mots" / "instances_txt" / f"{paths.tracking_sequence(name):04d}.txt"


def measure(data: Path, poses: str, name: str) -> Measured:
    """Label a drive by the command, and judge its boxes."""
    given = pose_file(data, name) if poses == FILE else poses
    with tempfile.TemporaryDirectory() as folder:
        options = ["--root", data, "--sequence", name, "--masks", mask_file(data, name), "--poses", given]
        started = time.process_time()
        result = CliRunner().invoke(vsrd_ray, ["label", "--serial", *map(str, options), "--output", folder])
        labelling = time.process_time() - started
        if result.exit_code:
            raise RuntimeError(f"vsrd-ray label of {name} ended with {result.exit_code}: {result.output}")
        run = RunFolder(Path(folder), data)
        drive = run.drive(name)
        truths = truths_of(drive.truth(BOXES), read_index(run.output, name), drive)
        labels = read_labels(Path(folder), sequence=name)
        first = Truths(*(values[truths.frames < FIRST_FRAMES] for values in vars(truths).values()))
        is_first = labels.filter(labels["frame"].to_numpy() < FIRST_FRAMES)
        num_frames = len(drive.T_world_cam)
        detections = Path(folder) / "detections.json"
        detections.write_text(json.dumps(detections_of(mask_file(data, name))))
        return Measured(
            name,
            score(first, is_first),
            score(truths, labels),
            reading_time(data, given, name, mask_file(data, name)),
            reading_time(data, given, name, detections),
            labelling,
            num_frames,
        )


def detections_of(masks: Path) -> list[dict[str, Any]]:
    """Cars of KITTI-MOTS's text as COCO's results, without their ids."""
    rows = [line.split() for line in masks.read_text().splitlines()]
    return [
        {
            "image_id": int(frame),
            "category_id": 3,
            "score": 0.9,
            "segmentation": {"size": [int(height), int(width)], "counts": counts},
        }
        for frame, _, number, height, width, counts in rows
        if number == "1"
    ]


def reading_time(data: Path, poses: Path | str, name: str, masks: Path) -> float:
    """CPU seconds from opening a drive to its index."""
    started = time.process_time()
    given = Given(masks, pose_file=poses) if isinstance(poses, Path) else Given(masks, poses=poses)
    drive = open_drive(data, name, given=given)
    index_frames(drive, all_frames(drive))
    return time.process_time() - started


def print_scores(name: str, frames: str, scores: Scores) -> None:
    for kind, chosen in (("parked", ~scores.is_moving), ("moving", scores.is_moving)):
        one = scores.where(chosen)
        overlaps = (mean(one.by_mask), share(one.by_mask > 0.5), share(one.by_mask > 0.7), share(one.said_to_move))
        print_row((name, frames, kind, str(len(one.by_mask)), *overlaps))


if __name__ == "__main__":
    main()
