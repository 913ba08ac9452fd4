"""Labelled frames of all sequences, numbered from 0: what formats are made of that know no sequences."""

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import MASKS, Drive, View
from vsrd_ray.errors import UnreadableFrameError
from vsrd_ray.labels.boxes.formats.splits import SPLITS
from vsrd_ray.labels.boxes.selection import LabelledSequence

logger = logging.getLogger(__name__)

INDEX = "index.csv"


@dataclass(frozen=True)
class Sample:
    """A labelled frame with its boxes."""

    number: int
    sequence: Drive
    view: View
    rows: pa.Table
    ignored: pa.Table  # what is not trusted, but is in the image
    split: str

    @property
    def name(self) -> str:
        """The number as KITTI spells it."""
        return f"{self.number:06d}"

    def instance_map(self) -> np.ndarray | None:
        """The instance map [H, W] of the frame; None where it is not there or torn."""
        if self.view.frame not in self.sequence.mask_frames:
            return None
        try:
            return self.sequence.read(MASKS, self.sequence.camera.name, self.view.frame)
        except UnreadableFrameError as error:
            logger.warning("boxes without their masks: %s", error)
            return None


def number_samples(sequences: Iterable[LabelledSequence]) -> list[Sample]:
    """The frames of all sequences, which have their splits, in their order."""
    samples: list[Sample] = []
    for labelled in sequences:
        frames = zip(labelled.by_frame(), labelled.ignored_by_frame(), labelled.splits, strict=True)
        for (view, rows), ignored, split in frames:
            samples.append(Sample(len(samples), labelled.sequence, view, rows, ignored, split))
    return samples


def write_index(samples: Iterable[Sample], folder: Path) -> None:
    """Write index.csv: where each sample comes from, and the instances and confidences of its lines, in their order."""
    with (folder / INDEX).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("sample", "sequence", "camera", "frame", "split", "instance_ids", "confidences"))
        for sample in samples:
            ids = " ".join(map(str, sample.rows["instance_id"].to_pylist()))
            confidences = " ".join(f"{value:.4f}" for value in sample.rows["confidence"].to_pylist())
            place = (sample.name, sample.sequence.name, sample.sequence.camera.name, sample.view.frame, sample.split)
            writer.writerow((*place, ids, confidences))


def write_image_sets(samples: Sequence[Sample], folder: Path) -> None:
    """Write ImageSets/{train,val,test,trainval}.txt: the names of the samples, a line each."""
    (folder / "ImageSets").mkdir()
    names = {split: [sample.name for sample in samples if sample.split == split] for split in SPLITS}
    names["trainval"] = sorted(names["train"] + names["val"])
    for split, some in names.items():
        (folder / "ImageSets" / f"{split}.txt").write_text("".join(f"{name}\n" for name in some))
