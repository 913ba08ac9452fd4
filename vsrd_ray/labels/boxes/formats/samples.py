"""Labelled frames of all sequences, numbered from 0: what formats are made of that know no sequences."""

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from vsrd_ray.data.groups import Sequence as Drive
from vsrd_ray.data.groups import View
from vsrd_ray.datasets.kitti360.sequences import drive_number
from vsrd_ray.labels.boxes.selection import LabelledSequence

logger = logging.getLogger(__name__)

INDEX = "index.csv"
SPLITS = ("train", "val", "test")
# Numbers of KITTI-360's drives in VSRD's split (paper, experiments).
_DRIVES = {"train": (0, 2, 4, 5, 6, 9), "val": (3, 7), "test": (10,)}
_SPLIT_OF_DRIVE = {drive: split for split, drives in _DRIVES.items() for drive in drives}


@dataclass(frozen=True)
class Sample:
    """A labelled frame with its boxes."""

    number: int
    sequence: Drive
    view: View
    rows: pa.Table
    split: str

    @property
    def name(self) -> str:
        """The number as KITTI spells it."""
        return f"{self.number:06d}"


def number_samples(sequences: Iterable[LabelledSequence]) -> list[Sample]:
    """The frames of all sequences, in their order."""
    samples: list[Sample] = []
    for labelled in sequences:
        split = split_of(labelled.sequence.name)
        for view, rows in labelled.by_frame():
            samples.append(Sample(len(samples), labelled.sequence, view, rows, split))
    return samples


def split_of(sequence: str) -> str:
    """train, val or test, as VSRD splits KITTI-360; other sequences are for training, with a warning."""
    split = _SPLIT_OF_DRIVE.get(drive_number(sequence))
    if split is None:
        logger.warning("%s is in no part of VSRD's split of KITTI-360: it goes to training.", sequence)
    return split or "train"


def write_index(samples: Iterable[Sample], folder: Path) -> None:
    """Write index.csv: where each sample comes from, and the instances and confidences of its lines, in their order."""
    with (folder / INDEX).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("sample", "sequence", "camera", "frame", "split", "instance_ids", "confidences"))
        for sample in samples:
            ids = " ".join(map(str, sample.rows["instance_id"].to_pylist()))
            confidences = " ".join(f"{value:.4f}" for value in sample.rows["confidence"].to_pylist())
            place = (sample.name, sample.sequence.name, sample.sequence.camera, sample.view.frame, sample.split)
            writer.writerow((*place, ids, confidences))


def write_image_sets(samples: Sequence[Sample], folder: Path) -> None:
    """Write ImageSets/{train,val,test,trainval}.txt: the names of the samples, a line each."""
    (folder / "ImageSets").mkdir()
    names = {split: [sample.name for sample in samples if sample.split == split] for split in SPLITS}
    names["trainval"] = sorted(names["train"] + names["val"])
    for split, some in names.items():
        (folder / "ImageSets" / f"{split}.txt").write_text("".join(f"{name}\n" for name in some))
