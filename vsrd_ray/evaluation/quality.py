"""Label quality: how well a run's labels agree with the ground truth that it ought to have labelled.

A missing label counts as IoU 0. Centre, size and yaw errors are over labelled truths alone.
"""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from vsrd_ray.data.atomic import atomic_write
from vsrd_ray.data.kitti360.boxes import read_boxes
from vsrd_ray.data.kitti360.sequences import open_sequence
from vsrd_ray.data.storage import Location
from vsrd_ray.errors import InputError
from vsrd_ray.evaluation.confidence import Reliability, confidence_auc, reliability
from vsrd_ray.evaluation.matching import Matches, concatenate, match
from vsrd_ray.labels.parquet import read_groups, read_labels
from vsrd_ray.labels.run import group_frames, read_index, read_inputs, sequence_labels

_RANGES = (0.0, 15.0, 30.0, 50.0)  # metres
_VISIBLE_SHARES = (("> 0.6", 0.6, math.inf), ("0.3 - 0.6", 0.3, 0.6), ("<= 0.3", -math.inf, 0.3))


@dataclass(frozen=True)
class Overlap:
    """IoU over all truths, missing labels as 0; NaN where there is no truth."""

    mean: float
    median: float
    share_over_25: float
    share_over_50: float
    share_over_70: float


@dataclass(frozen=True)
class Error:
    """An error over labelled truths; NaN where there is none."""

    mean: float
    median: float


@dataclass(frozen=True)
class Quality:
    """Label quality over one set of truths."""

    count: int  # eligible truths
    labelled: int  # those with a label
    coverage: float  # labelled / count
    iou_3d: Overlap
    iou_bev: Overlap
    official_iou_3d: Overlap | None  # with the KITTI-360 evaluation's own IoU
    official_iou_bev: Overlap | None
    center_distance: Error  # metres
    length_error: Error  # metres, absolute
    width_error: Error
    height_error: Error
    yaw_error_mod_pi_deg: Error  # front and rear taken as equal, 0..90
    yaw_error_mod_2pi_deg: Error  # 0..180


@dataclass(frozen=True)
class QualityReport:
    """Label quality of a run. `static` is the headline."""

    sequences: tuple[str, ...]
    classes: tuple[str, ...]
    max_range: float  # metres
    num_frames: int  # frames that the run labelled or tried to
    num_skipped_boxes: int  # objects of the ground truth that are no upright box
    static: Quality
    static_by_range: dict[str, Quality]
    static_by_visibility: dict[str, Quality]  # mask area / area of the true box's outline in the image
    moving: Quality
    confidence_auc: float  # of static labels; NaN unless some are over IoU3D .5 and others are not
    reliability: tuple[Reliability, ...]  # of static labels, by tenths of confidence


def evaluate_run(
    output: Location,
    root: Location,
    *,
    max_range: float = 40.0,
    classes: Sequence[str] | None = None,
    official: bool = False,
) -> QualityReport:
    """Label quality of the run in `output`, also written to OUTPUT/evaluation.json.

    Args:
        output: folder of a labelling run.
        root: dataset with the 3D box XML of its sequences.
        max_range: metres from the camera to the true centre.
        classes: classes that count; None for those that the run labelled.
        official: give the IoU of the KITTI-360 evaluation beside the exact one.

    Raises:
        InputError: no labels in `output`, no ground truth in `root`, or a range that is not positive.
    """
    if not max_range > 0:
        raise InputError(f"the range must be greater than 0 m, got {max_range}")
    inputs, labels, groups = read_inputs(output), read_labels(output), read_groups(output)
    classes = tuple(inputs.classes if classes is None else classes)
    parts, num_frames, num_skipped = [], 0, 0
    for name in inputs.sequences:
        sequence, truth = open_sequence(root, name, inputs.camera), read_boxes(root, name)
        frames = group_frames(groups, sequence=name)
        matches = match(
            sequence_labels(labels, sequence=name, camera=inputs.camera),
            truth,
            index=read_index(output, name),
            sequence=sequence,
            frames=frames,
            classes=classes,
            max_range=max_range,
            official=official,
        )
        parts.append(matches)
        num_frames += len(frames)
        num_skipped += truth.num_skipped
    matches = concatenate(parts)
    static = matches.where(~matches.is_moving)
    report = QualityReport(
        sequences=inputs.sequences,
        classes=classes,
        max_range=max_range,
        num_frames=num_frames,
        num_skipped_boxes=num_skipped,
        static=summarise(static, official=official),
        static_by_range=_by_range(static, max_range=max_range, official=official),
        static_by_visibility=_by_visibility(static, official=official),
        moving=summarise(matches.where(matches.is_moving), official=official),
        confidence_auc=confidence_auc(static),
        reliability=reliability(static),
    )
    with atomic_write(output / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(_without_nan(asdict(report)), indent=2) + "\n")
    return report


def summarise(matches: Matches, *, official: bool = False) -> Quality:
    """Label quality over all truths of `matches`."""
    count, labelled = len(matches.frames), int(matches.is_labelled.sum())
    yaw_errors_deg = np.rad2deg(matches.yaw_errors)
    length, width, height = (_error(np.abs(matches.size_errors_lwh[:, axis])) for axis in range(3))
    return Quality(
        count=count,
        labelled=labelled,
        coverage=labelled / count if count else math.nan,
        iou_3d=_overlap(matches.iou_3d),
        iou_bev=_overlap(matches.iou_bev),
        official_iou_3d=_overlap(matches.official_iou_3d) if official else None,
        official_iou_bev=_overlap(matches.official_iou_bev) if official else None,
        center_distance=_error(matches.center_distances),
        length_error=length,
        width_error=width,
        height_error=height,
        yaw_error_mod_pi_deg=_error(np.minimum(yaw_errors_deg, 180 - yaw_errors_deg)),
        yaw_error_mod_2pi_deg=_error(yaw_errors_deg),
    )


def _by_range(matches: Matches, *, max_range: float, official: bool) -> dict[str, Quality]:
    edges = [*(edge for edge in _RANGES if edge < max_range), max_range]
    return {
        f"{low:g} - {high:g} m": summarise(
            matches.where((matches.ranges > low) & (matches.ranges <= high)), official=official
        )
        for low, high in itertools.pairwise(edges)
    }


def _by_visibility(matches: Matches, *, official: bool) -> dict[str, Quality]:
    shares = matches.visible_shares
    return {
        name: summarise(matches.where((shares > low) & (shares <= high)), official=official)
        for name, low, high in _VISIBLE_SHARES
    }


def _overlap(ious: np.ndarray) -> Overlap:
    if not len(ious):
        return Overlap(*[math.nan] * 5)
    shares = [float((ious > threshold).mean()) for threshold in (0.25, 0.5, 0.7)]
    return Overlap(float(ious.mean()), float(np.median(ious)), *shares)


def _error(errors: np.ndarray) -> Error:
    known = errors[~np.isnan(errors)]
    return Error(float(known.mean()), float(np.median(known))) if len(known) else Error(math.nan, math.nan)


def _without_nan(value):
    """The same, with None for NaN: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
