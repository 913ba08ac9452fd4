"""Boxes on real drives, on built-in streets with cars that drive, and of masks as detectors make them, in one run.

    python -m benchmarks.boxes                              all parts, on ../shared/data/kitti_real_masks
    python -m benchmarks.boxes --part drives --data DIR     whole drives of all dataset roots in DIR

Every true car counts in each frame in which its mask has 128 px or more, within 40 m; a missing label counts 0. Of bad
masks too all those count that the masks as drawn show. `by id` is the label in the object's track (the longest of those
whose masks are mostly its own), `by place` the best label of the frame, whatever its id. All else is said of the label
of the object's mask, whatever id that has.
Seconds are those of the CPU, from the index to the last label row; starting Python is not in them.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.box_scores import SURE, Scores, concatenate, score, truths_of
from benchmarks.cost_and_quality import use_one_thread
from benchmarks.datasets import (
    FAST,
    Dataset,
    PlannedSequence,
    datasets_under,
    frames_of,
    label_tables,
    plan_dataset,
    read_variant,
)
from vsrd_ray.data.truth import TruthBoxes
from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.degradation import PRESETS, DegradeSettings, degrade
from vsrd_ray.errors import InputError, VSRDRayError
from vsrd_ray.labelers.vsrd.labeler import VSRDLabeler
from vsrd_ray.labels.boxes.evaluation.confidence import roc_area
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.synthetic import StreetSettings, synthesize

DRIVES = Path("../shared/data/kitti_real_masks")
STREETS = tuple(StreetSettings(seed=seed, frames=60, cars=12, moving=6) for seed in (201, 202, 203))
MEASURED_STREETS = tuple(street.model_copy(update={"shapes": "measured"}) for street in STREETS)
KEPT, DOUBTFUL = 0.9, 0.2  # confidences
GONE = 2.0  # m; people's boxes of a car that stands lie up to so far apart, whatever the truth says of it
MASKS: dict[str, dict[str, Any]] = {
    "as drawn": {},
    **{f"eroded {px} px": {"erode": px} for px in (1, 2, 3)},
    **{f"dilated {px} px": {"dilate": px} for px in (1, 2, 3)},
    "ragged 4 px": {"ragged": 4},
    "mask head 28": {"mask_head": 28},
    "8 px blocks": {"blocks": 8},
    "shadows .05-.1": {"shadow": (0.05, 0.1)},
    **{f"missed {share:.0%}": {"miss": share} for share in (0.05, 0.1, 0.2)},
    **{f"cut {share:.0%}": {"cut": share} for share in (0.3, 0.6)},
    "swapped 20%": {"swap": 0.2},
    "merged 20%": {"merge": 0.2},
    "flicker 10%": {"flicker": 0.1},
    "mild": PRESETS["mild"],
}
BOX_COLUMNS = ("cars", "n", "IoU3D", "> .5", "> .7", "90° off", "wrong, confident", "said to move", "with a motion")
BOX_COLUMNS += ("standing, confident", "AUC", "good of kept at .9", "CPU s a frame")
MASK_COLUMNS = ("masks", "n", "by id", "by place", "wrong, confident", "said to move", "false over .2")


@dataclass(frozen=True)
class Cost:
    """What labelling took."""

    seconds: float
    num_frames: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", type=Path, default=DRIVES, help="folder of dataset roots (%(default)s)")
    parser.add_argument("--mask-frames", type=int, default=40, help="of each drive, for bad masks (%(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # for the processes that measure
    with multiprocessing.get_context("spawn").Pool(options.workers, use_one_thread) as pool:
        for part in options.part:
            started = time.perf_counter()
            try:
                PARTS[part](pool, options)
            except (VSRDRayError, OSError) as error:
                print(f"{part}: left out, since its data cannot be used: {error}")
            print(f"\n({part}: {time.perf_counter() - started:.0f} s)\n", flush=True)


def show_drives(pool: Pool, options: argparse.Namespace) -> None:
    drives = drives_under(options.data)
    print(f"Real drives: all of {len(drives)} under {options.data}\n")
    show_boxes([drive.root.name for drive in drives], pool.imap(measure_drive, drives), together="all drives")


def show_streets(pool: Pool, options: argparse.Namespace) -> None:
    print("Built-in streets with cars that drive; their shapes are the prior's own, which flatters\n")
    show_boxes([f"street {street.seed}" for street in STREETS], pool.imap(measure_street, STREETS), together="streets")
    print("\nThe same streets with cars whose outlines and sizes vary as those of real ones\n")
    names = [f"measured street {street.seed}" for street in MEASURED_STREETS]
    show_boxes(names, pool.imap(measure_street, MEASURED_STREETS), together="measured streets")


def show_masks(pool: Pool, options: argparse.Namespace) -> None:
    drives = drives_under(options.data)
    print(f"Masks as detectors make them: parked cars of {len(drives)} drives, {options.mask_frames} frames of each\n")
    print_row(MASK_COLUMNS, is_header=True)
    measure = partial(measure_masks, drives=drives, num_frames=options.mask_frames)
    for name, scores in zip(MASKS, pool.imap(measure, MASKS.values()), strict=True):
        parked = scores.where(~scores.is_moving)
        overlaps = mean(parked.by_id), mean(parked.by_place)
        doubts = share(parked.said_to_move), share(parked.false_confidences > DOUBTFUL)
        print_row((name, str(len(parked.by_id)), *overlaps, number(parked.wrong), *doubts))


PARTS: dict[str, Callable[[Pool, argparse.Namespace], None]] = {
    "drives": show_drives,
    "streets": show_streets,
    "masks": show_masks,
}


def drives_under(folder: Path) -> list[Dataset]:
    """The drives of a folder; at least one."""
    drives = datasets_under(folder)
    if not drives:
        raise InputError(f"no drive in {folder}: give a folder of dataset roots as --data")
    return drives


def measure_drive(dataset: Dataset) -> tuple[Scores, Cost]:
    """Label a dataset and judge it by its own truth."""
    planned, labels, cost = label(dataset)
    return score(truths_of(true_boxes(dataset), planned.index, planned.sequence), labels), cost


def measure_street(settings: StreetSettings) -> tuple[Scores, Cost]:
    """The same of a built-in street."""
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder), settings)
        return measure_drive(Dataset("street", Path(folder), settings.sequence))


def measure_masks(faults: dict[str, Any], drives: Sequence[Dataset], num_frames: int) -> Scores:
    """Spoil the first masks of drives, label these, and judge by what the masks show as they were drawn."""
    parts: list[Scores] = []
    for drive in drives:
        with tempfile.TemporaryDirectory() as folder:
            drawn, spoiled = (Dataset(drive.title, Path(folder, name), drive.sequence) for name in ("drawn", "spoiled"))
            shutil.copytree(drive.root, drawn.root, ignore=lambda _, names: masks_from(num_frames, names))
            degrade(drawn.root, spoiled.root, DegradeSettings(seed=1, **faults), sequences=[drive.sequence])
            record = json.loads((spoiled.root / "degraded.json").read_text())
            planned = plan_dataset(drawn, read_variant(FAST).grouping)
            truths = truths_of(true_boxes(drawn), planned.index, planned.sequence)
            parts.append(score(truths, label(spoiled)[1], record["spans"][drive.sequence]))
    return concatenate(parts)


def masks_from(frame: int, names: Iterable[str]) -> list[str]:
    """Which files are of a frame or of later ones."""
    return [name for name in names if name.endswith(".png") and int(Path(name).stem) >= frame]


def label(dataset: Dataset) -> tuple[PlannedSequence, pa.Table, Cost]:
    """All labels of a dataset; a group that fails has none."""
    started = time.process_time()
    config = read_variant(FAST)
    planned = plan_dataset(dataset, config.grouping)
    labeler = VSRDLabeler(config)
    labeler.setup()
    tables = [table for table in label_tables(planned, planned.groups, labeler, config) if table is not None]
    labels = pa.concat_tables([LABEL_SCHEMA.empty_table(), *tables])
    return planned, labels, Cost(time.process_time() - started, len(frames_of(planned.groups)))


def true_boxes(dataset: Dataset) -> TruthBoxes:
    """All true boxes of a dataset."""
    return read_boxes(dataset.root, dataset.sequence)


def show_boxes(names: Sequence[str], results: Iterator[tuple[Scores, Cost]], *, together: str) -> None:
    """A table of parked cars, those that move, those of these that leave their place, and all; and of all drives."""
    print_row(BOX_COLUMNS, is_header=True)
    scores, costs = [], []
    for name, (one, cost) in zip(names, results, strict=True):
        print_boxes(name, one, cost)
        scores.append(one)
        costs.append(cost)
    whole = Cost(sum(cost.seconds for cost in costs), sum(cost.num_frames for cost in costs))
    print_boxes(together, concatenate(scores), whole)


def print_boxes(name: str, scores: Scores, cost: Cost) -> None:
    every = np.ones_like(scores.is_moving)
    has_gone = scores.is_moving & (scores.ways > GONE)
    kinds = {
        "parked": ~scores.is_moving,
        "moving": scores.is_moving,
        f"moving, over {GONE:g} m": has_gone,
        "all": every,
    }
    for kind, chosen in kinds.items():
        one = scores.where(chosen)
        cells = dict.fromkeys(BOX_COLUMNS, "") | {
            "cars": f"{name}: {kind}",
            "n": str(len(one.by_mask)),
            "IoU3D": mean(one.by_mask),
            "> .5": share(one.by_mask > 0.5),
            "> .7": share(one.by_mask > 0.7),
            "90° off": share(one.is_across[one.is_labelled]),
            "wrong, confident": number(one.wrong),
            "AUC": number(roc_area(one.confidences[one.is_labelled], one.is_good[one.is_labelled])),
            "good of kept at .9": share(one.is_good[one.confidences >= KEPT]),
        }
        if kind == "all":
            cells["CPU s a frame"] = number(cost.seconds / cost.num_frames)
        else:
            cells["said to move"] = share(one.said_to_move)
        if kind == "parked":
            cells["with a motion"] = share(one.has_motion[one.is_labelled])
        if kind.startswith("moving"):
            cells["standing, confident"] = share(~one.says_moving & (one.confidences > SURE))
        print_row(list(cells.values()))


def number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def mean(values: np.ndarray) -> str:
    return number(values.mean()) if len(values) else "-"


def share(values: np.ndarray) -> str:
    """The share of what is true, in percent."""
    return f"{100 * values.mean():.1f} %" if len(values) else "-"


def print_row(cells: Sequence[str], *, is_header: bool = False) -> None:
    """A row of a Markdown table, as the lab book has it."""
    print(f"| {' | '.join(cells)} |", flush=True)
    if is_header:
        print("|" + "---|" * len(cells))


if __name__ == "__main__":
    main()
