"""A folder in the layout of KITTI's tracking benchmark: one label file a sequence, with a track for each instance."""

import csv
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.labels.boxes.columns import track_ids
from vsrd_ray.labels.boxes.formats import kitti
from vsrd_ray.labels.boxes.kitti import DIFFICULTIES, ignored_lines, label_lines
from vsrd_ray.labels.boxes.selection import LabelledSequence

logger = logging.getLogger(__name__)

_CALIBRATION_NAMES = ("R_rect", "Tr_velo_cam", "Tr_imu_velo")  # as this benchmark spells them, without a colon
# Shares of the box outside the image over which the benchmark's truncation is 1 and 2.
_TRUNCATIONS = (DIFFICULTIES[0].max_truncation, DIFFICULTIES[-1].max_truncation)


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write training/{label_02,calib,image_02}, the list of sequences, frames.csv and tracks.csv.

    The labelled frames of a sequence are numbered from 0 without gaps, and so are its tracks, by their ids.

    Args:
        sequences: what to write.
        folder: an empty one, beside the one that it becomes.
        done: called after every frame.
    """
    training = folder / "training"
    for name in ("label_02", "calib", "image_02"):
        (training / name).mkdir(parents=True)
    frames, tracks, lengths, num_missing = [], [], [], 0
    for name, labelled in zip(_names([one.sequence for one in sequences]), sequences, strict=True):
        drive = labelled.sequence
        ids = np.unique(track_ids(labelled.rows))
        classes = dict(zip(track_ids(labelled.rows).tolist(), labelled.rows["class_name"].to_pylist(), strict=True))
        lines: list[str] = []
        (training / "image_02" / name).mkdir()
        for number, frame in enumerate(_frames(labelled, ids)):
            lines += [f"{number} {line}\n" for line in frame]
            link = training / "image_02" / name / f"{number:06d}.png"
            num_missing += not kitti.link_image(drive, labelled.frames[number], link)
            frames.append((name, number, drive.name, drive.camera.name, labelled.frames[number]))
            done()
        (training / "label_02" / f"{name}.txt").write_text("".join(lines))
        (training / "calib" / f"{name}.txt").write_text(kitti.calibration_text(drive, _CALIBRATION_NAMES))
        lengths.append(f"{name} empty 000000 {len(labelled.frames):06d}\n")
        tracks += [
            (name, track, drive.name, instance, classes[instance]) for track, instance in enumerate(ids.tolist())
        ]
    if num_missing:
        logger.warning("%d of %d frames have no image to link: detectors need them.", num_missing, len(frames))
    (training / "evaluate_tracking.seqmap.training").write_text("".join(lengths))
    _write_csv(folder / "frames.csv", ("name", "number", "sequence", "camera", "frame"), frames)
    _write_csv(folder / "tracks.csv", ("name", "track", "sequence", "instance_id", "class_name"), tracks)


def _names(drives: Sequence[Drive]) -> list[str]:
    """Names of the files of each drive: its number in four digits, as KITTI has it, if each has one of its own."""
    numbers = [drive.detail("number") for drive in drives]
    if None in numbers or len(set(numbers)) < len(numbers):
        return [drive.name for drive in drives]
    return [f"{number:04d}" for number in numbers]


def _frames(labelled: LabelledSequence, ids: np.ndarray) -> Iterable[list[str]]:
    """The lines of each frame without their first column: its objects by track, then regions that are not labelled."""
    for (_, rows), ignored in zip(labelled.by_frame(), labelled.ignored_by_frame(), strict=True):
        tracks = np.searchsorted(ids, track_ids(rows)).tolist()
        shares = rows["truncation"].to_pylist()
        objects = [
            f"{track} {_with_level(line, share)}"
            for track, share, line in zip(tracks, shares, label_lines(rows), strict=True)
        ]
        yield [*objects, *(f"-1 {line} -1" for line in ignored_lines(ignored))]


def _with_level(line: str, share: float) -> str:
    """A line of KITTI's object benchmark with the truncation as this one has it: 0, 1 or 2."""
    name, _, rest = line.split(" ", 2)
    return f"{name} {sum(share > limit for limit in _TRUNCATIONS)} {rest}"


def _write_csv(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *rows])
