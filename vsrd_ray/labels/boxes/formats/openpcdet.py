"""Text files of OpenPCDet's custom dataset: boxes in a frame with x ahead, y left, z up. There are no points in it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vsrd_ray.labels.boxes.columns import boxes_of
from vsrd_ray.labels.boxes.formats.levelled import T_world_level, to_level
from vsrd_ray.labels.boxes.formats.samples import Sample, number_samples, write_image_sets, write_index
from vsrd_ray.labels.boxes.kitti import kitti_type
from vsrd_ray.labels.boxes.selection import LabelledSequence


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write labels/%06d.txt, poses/%06d.txt (their frame into the world, 4 x 4), ImageSets and index.csv.

    Samples without boxes are in no ImageSet: OpenPCDet's custom dataset cannot read their labels.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.
    """
    samples = number_samples(sequences)
    for name in ("labels", "poses"):
        (folder / name).mkdir()
    for sample in samples:
        (folder / "labels" / f"{sample.name}.txt").write_text("".join(f"{line}\n" for line in _lines(sample)))
        pose = T_world_level(sample.view)
        (folder / "poses" / f"{sample.name}.txt").write_text(
            "".join(" ".join(f"{value:.9f}" for value in row) + "\n" for row in pose)
        )
        done()
    write_image_sets([sample for sample in samples if sample.rows.num_rows], folder)
    write_index(samples, folder)


def _lines(sample: Sample) -> list[str]:
    """`x y z dx dy dz heading class` of each box: its centre, full extents, heading about z."""
    boxes = to_level(boxes_of(sample.rows), sample.view)
    values = np.concatenate([boxes.centers, boxes.dimensions_lwh, boxes.yaws[:, None]], axis=1)
    names = map(kitti_type, sample.rows["class_name"].to_pylist())
    return [
        " ".join([*(f"{value:.6f}" for value in box), name]) for box, name in zip(values.tolist(), names, strict=True)
    ]
