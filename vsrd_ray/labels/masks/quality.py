"""Masks against a dataset's own: what was found, how much of it is right, and how well outlines agree."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco

from vsrd_ray.data.classes import IS_INSTANCE
from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.data.masks import encode_rle
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.labels.base import Evaluation
from vsrd_ray.labels.masks.schema import TABLE, rle_of
from vsrd_ray.runs.folder import RunFolder, group_frames
from vsrd_ray.runs.reading import read_groups

_OVERLAP = 0.5  # IoU of masks from which an object counts as found
_LEAST_AREA = 64  # px of a true mask that counts; what is found on a smaller one is neither right nor wrong


@dataclass
class Score:
    """Counts over frames."""

    true: int = 0  # objects
    found: int = 0
    wrong: int = 0  # masks on no object of the class
    overlap: float = 0.0  # sum of IoU of what was found

    def values(self) -> dict[str, float]:
        """What people ask for."""
        given = self.found + self.wrong
        return asdict(self) | {
            "recall": self.found / self.true if self.true else 0.0,
            "precision": self.found / given if given else 0.0,
            "mean_iou": self.overlap / self.found if self.found else 0.0,
        }


def evaluate(run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    """Compare with the masks of the dataset that was labelled, frame by frame and class by class.

    A mask, the surest first, finds the object of its class that it overlaps most, by an IoU above 0.5.

    Raises:
        InputError: the dataset has no masks of the frames.
    """
    scores = {name: Score() for name in run.inputs.classes}
    num_frames = 0
    groups = read_groups(run.output)
    for name in run.inputs.sequences:
        drive = run.drive(name)
        rows: dict[int, list[dict[str, Any]]] = {}
        for row in run.rows(TABLE, name).to_pylist():
            rows.setdefault(row["frame"], []).append(row)
        for frame in group_frames(groups, sequence=name, status="ok"):
            if drive.has(MASKS, drive.camera.name, frame):
                num_frames += _count(drive, frame, rows.get(frame, []), scores)
    if not num_frames:
        raise InputError(f"{run.root} has no masks of the frames in {run.output}: there is nothing to compare with")
    values = {"frames": num_frames, "classes": {name: score.values() for name, score in scores.items()}}
    return Evaluation(values, _text(values))


def _count(drive: Drive, frame: int, rows: list[dict[str, Any]], scores: dict[str, Score]) -> int:
    try:
        instance_map = drive.read(MASKS, drive.camera.name, frame)
    except UnreadableFrameError:
        return 0
    areas = {int(n): int(area) for n, area in zip(*np.unique(instance_map, return_counts=True), strict=True)}
    for name, score in scores.items():
        own = [n for n in areas if IS_INSTANCE[n] and drive.classes.name_of(n) == name]
        masks = [row for row in rows if row["class_name"] == name]
        truths: Any = [encode_rle(instance_map == n) for n in own]
        counts = [areas[n] >= _LEAST_AREA for n in own]
        score.true += sum(counts)
        overlaps = np.array(coco.iou([rle_of(row) for row in masks], truths, [0] * len(own)))
        for m in range(len(masks)):
            best = int(overlaps[m].argmax()) if own else -1
            if best >= 0 and overlaps[m, best] > _OVERLAP:
                score.found += counts[best]
                score.overlap += float(overlaps[m, best]) * counts[best]
                overlaps[:, best] = 0
            else:
                score.wrong += 1
    return 1


def _text(values: Mapping[str, Any]) -> str:
    head = f"{'':12}{'objects':>9}{'found':>9}{'wrong':>9}{'recall':>9}{'precision':>11}{'mean IoU':>10}"
    lines = [
        f"{name:12}{one['true']:9}{one['found']:9}{one['wrong']:9}{one['recall']:9.3f}{one['precision']:11.3f}"
        f"{one['mean_iou']:10.3f}"
        for name, one in values["classes"].items()
    ]
    told = f"Masks against the dataset's own in {values['frames']} frames: found by an IoU above {_OVERLAP}."
    return "\n".join([told, "", head, *lines])
