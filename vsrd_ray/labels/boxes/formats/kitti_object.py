"""A folder of KITTI's object benchmark made of raw drives: frames that it knows keep their numbers there.

Boxes are in rectified camera 0 and every matrix is the day's own, as in the benchmark's files. Frames of drives that
hold an image for validation are never trained on, and images for validation have the labels of people.
"""

import csv
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import is_any_of
from vsrd_ray.data.object_benchmark import ObjectBenchmark
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.columns import BOTTOM_CAM
from vsrd_ray.labels.boxes.formats import kitti
from vsrd_ray.labels.boxes.formats.samples import Sample, number_samples, write_image_sets
from vsrd_ray.labels.boxes.kitti import ignored_lines, label_lines
from vsrd_ray.labels.boxes.selection import LabelledSequence

logger = logging.getLogger(__name__)

INDEX = "mapping.csv"
LEAK = "in drives that hold images for validation"
_UNLABELLED = "of images for validation without labels of people"
_CAMERA = "image_02"  # of the benchmark's image_2


def with_benchmark_splits(sequences: Sequence[LabelledSequence]) -> list[LabelledSequence]:
    """The frames that may be trained on, and those for validation that people labelled; a warning counts the others.

    Raises:
        InputError: a drive that is none of KITTI's raw data, or there are no mapping and list of images.
    """
    chosen: list[LabelledSequence] = []
    left_out = Counter[str]()
    for labelled in sequences:
        splits = {frame: _part(frame, _benchmark(labelled.sequence)) for frame in labelled.frames}
        left_out.update(part for part in splits.values() if part in (LEAK, _UNLABELLED))
        chosen.append(_without(labelled, splits))
    for reason, count in left_out.items():
        logger.warning("%d frames are left out: they are %s.", count, reason)
    return chosen


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write training/{label_2,calib,image_2}, ImageSets and mapping.csv.

    Frames that are no images of the benchmark have numbers after all of its own.

    Args:
        sequences: what to write, with splits.
        folder: an empty one, beside the one that it becomes.
        done: called after every frame.

    Raises:
        InputError: see `with_benchmark_splits`.
    """
    for name in ("label_2", "calib", "image_2"):
        (folder / "training" / name).mkdir(parents=True)
    benchmarks = {labelled.sequence.name: _benchmark(labelled.sequence) for labelled in sequences}
    samples = _numbered(number_samples(sequences), benchmarks)
    num_missing = 0
    for sample in samples:
        benchmark = benchmarks[sample.sequence.name]
        (folder / "training" / "label_2" / f"{sample.name}.txt").write_text(_labels(sample, benchmark))
        (folder / "training" / "calib" / f"{sample.name}.txt").write_text(calibration_text(benchmark))
        link = folder / "training" / "image_2" / f"{sample.name}.png"
        num_missing += not kitti.link_image(sample.sequence, sample.view.frame, link)
        done()
    if num_missing:
        logger.warning("%d of %d frames have no image to link: detectors need them.", num_missing, len(samples))
    write_image_sets(samples, folder)
    with (folder / INDEX).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("sample", "date", "drive", "frame", "split", "labels"))
        for sample in samples:
            name, labels = sample.sequence.name, "human" if _is_human(sample, benchmarks) else "run"
            writer.writerow((sample.name, name[:10], name, f"{sample.view.frame:010d}", sample.split, labels))


def calibration_text(benchmark: ObjectBenchmark) -> str:
    """The content of a calibration file."""
    return "".join(
        f"{name}: {' '.join(f'{value:.12e}' for value in matrix.ravel())}\n"
        for name, matrix in benchmark.calibration.items()
    )


def in_camera_0(rows: pa.Table, benchmark: ObjectBenchmark) -> pa.Table:
    """Label rows whose bottom centres are in rectified camera 0, whose axes are the camera's own."""
    for name, offset in zip(BOTTOM_CAM, benchmark.T_cam0_cam[:3, 3], strict=True):
        moved = rows[name].to_numpy() + offset
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(moved, pa.float64()))
    return rows


def _benchmark(drive: Drive) -> ObjectBenchmark:
    benchmark = drive.detail("object_benchmark")
    if benchmark is None or drive.camera.name != _CAMERA:
        raise InputError(
            f"{drive.name}, {drive.camera.name}: the format kitti-object is for {_CAMERA} of KITTI's raw data: "
            "export as kitti"
        )
    return benchmark


def _part(frame: int, benchmark: ObjectBenchmark) -> str:
    """train or val, or why a frame is in neither."""
    if not benchmark.num_images or benchmark.valid is None:
        raise InputError(
            f"which frames are for validation is not known: expected {benchmark.places}: put the development kit's "
            "mapping and a detector's list there, or give --split FILE, with no drive that is validated on in train"
        )
    number = benchmark.numbers.get(frame)
    if number in benchmark.valid:
        return "val" if number in benchmark.human else _UNLABELLED
    return "train" if benchmark.valid.isdisjoint(benchmark.numbers.values()) else LEAK


def _without(labelled: LabelledSequence, splits: dict[int, str]) -> LabelledSequence:
    frames = tuple(frame for frame, part in splits.items() if part in ("train", "val"))
    rows = labelled.rows.filter(is_any_of(labelled.rows["frame"], frames))
    reasons = Counter(splits[frame] for frame in labelled.rows["frame"].to_pylist())
    left_out = {**labelled.left_out, **{reason: reasons[reason] for reason in (LEAK, _UNLABELLED) if reasons[reason]}}
    ignored = labelled.ignored
    if ignored is not None:
        ignored = ignored.filter(is_any_of(ignored["frame"], frames))
    parts = tuple(splits[frame] for frame in frames)
    return replace(labelled, frames=frames, rows=rows, ignored=ignored, splits=parts, left_out=left_out)


def _numbered(samples: Sequence[Sample], benchmarks: dict[str, ObjectBenchmark]) -> list[Sample]:
    """The samples with the benchmark's own numbers, and others after them."""
    free = max((benchmark.num_images for benchmark in benchmarks.values()), default=0)
    numbered: list[Sample] = []
    for sample in samples:
        number = benchmarks[sample.sequence.name].numbers.get(sample.view.frame)
        numbered.append(replace(sample, number=free if number is None else number))
        free += number is None
    return sorted(numbered, key=lambda sample: sample.number)


def _is_human(sample: Sample, benchmarks: dict[str, ObjectBenchmark]) -> bool:
    return sample.split == "val" and sample.number in benchmarks[sample.sequence.name].human


def _labels(sample: Sample, benchmark: ObjectBenchmark) -> str:
    if sample.split == "val" and sample.number in benchmark.human:
        return benchmark.human[sample.number].read_text()
    rows = in_camera_0(sample.rows, benchmark).drop_columns("confidence")
    return "".join(f"{line}\n" for line in [*label_lines(rows), *ignored_lines(sample.ignored)])
