"""Label quality: how well a run's labels agree with the ground truth that it ought to have labelled.

A missing label counts as IoU 0. Centre, size and yaw errors are over labelled truths alone.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vsrd_ray.labels.boxes.evaluation.confidence import Kept, Reliability, confidence_auc, kept_labels, reliability
from vsrd_ray.labels.boxes.evaluation.kitti import KittiAP, kitti_ap
from vsrd_ray.labels.boxes.evaluation.kitti360 import WindowAP, window_ap
from vsrd_ray.labels.boxes.evaluation.matching import Matches, concatenate
from vsrd_ray.labels.boxes.evaluation.precision import R11, concatenate_verdicts
from vsrd_ray.labels.boxes.evaluation.sequences import Criteria, SequenceResult
from vsrd_ray.labels.boxes.parquet import Preference

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
    official_iou_3d: Overlap | None  # with the KITTI-360 evaluation's own IoU, cut to [0, 1]; NaN as 0
    official_iou_bev: Overlap | None
    center_distance: Error  # metres
    length_error: Error  # metres, absolute
    width_error: Error
    height_error: Error
    yaw_error_mod_pi_deg: Error  # front and rear taken as equal, 0..90
    yaw_error_mod_2pi_deg: Error  # 0..180


@dataclass(frozen=True)
class QualityReport:
    """Label quality of a run. `overall` is the headline; `static` is what is parked."""

    sequences: tuple[str, ...]
    classes: tuple[str, ...]
    max_range: float  # metres
    num_frames: int  # frames that the run labelled or tried to
    num_corrected_frames: int  # of them, those in which a human's labels count
    num_skipped_boxes: int  # objects of the ground truth that do not count
    skipped_boxes: dict[str, int]  # the same by reason
    num_windows: int  # KITTI-360's
    overall: Quality  # parked or moving
    static: Quality
    static_by_range: dict[str, Quality]
    static_by_visibility: dict[str, Quality]  # mask area / area of the true box's outline in the image
    moving: Quality
    moving_by_range: dict[str, Quality]
    moving_by_visibility: dict[str, Quality]
    overall_confidence_auc: float  # NaN unless some labels are over IoU3D .5 and others are not
    overall_reliability: tuple[Reliability, ...]  # by tenths of confidence
    overall_kept: tuple[Kept, ...]  # by tenths of the number of labels
    confidence_auc: float  # these three of static labels alone
    reliability: tuple[Reliability, ...]
    kept: tuple[Kept, ...]
    kitti_ap: dict[str, KittiAP]  # R40, by class; whatever the range
    kitti_ap_r11: dict[str, KittiAP]  # the same at 11 recalls, for figures from before 2019
    kitti_ap_parked: dict[str, KittiAP]  # of parked objects, by labels that do not call theirs moving
    kitti360_ap: dict[str, WindowAP]  # likewise
    num_failed_groups: int  # of these sequences: what they ought to have labelled counts as missing
    has_ended: bool  # the run, before it was evaluated
    prefer: Preference  # whose labels count in frames that a human has corrected


def quality_report(results: Mapping[str, SequenceResult], criteria: Criteria) -> QualityReport:
    """The report of some sequences, by their names; at least one.

    Args:
        results: what `evaluate_sequence` gave for each.
        criteria: what it was given.
    """
    matches = concatenate([result.matches for result in results.values()])
    static, moving = matches.where(~matches.is_moving), matches.where(matches.is_moving)
    max_range, official = criteria.max_range, criteria.official
    skipped = sum((Counter(result.skipped_boxes) for result in results.values()), Counter[str]())
    judged = {
        name: concatenate_verdicts([result.kitti[name] for result in results.values()]) for name in criteria.classes
    }
    return QualityReport(
        sequences=tuple(results),
        classes=criteria.classes,
        max_range=max_range,
        num_frames=sum(result.num_frames for result in results.values()),
        num_corrected_frames=sum(result.num_corrected_frames for result in results.values()),
        num_skipped_boxes=skipped.total(),
        skipped_boxes=dict(skipped),
        num_windows=sum(result.num_windows for result in results.values()),
        overall=summarise(matches, official=official),
        static=summarise(static, official=official),
        static_by_range=_by_range(static, max_range=max_range, official=official),
        static_by_visibility=_by_visibility(static, official=official),
        moving=summarise(moving, official=official),
        moving_by_range=_by_range(moving, max_range=max_range, official=official),
        moving_by_visibility=_by_visibility(moving, official=official),
        overall_confidence_auc=confidence_auc(matches),
        overall_reliability=reliability(matches),
        overall_kept=kept_labels(matches),
        confidence_auc=confidence_auc(static),
        reliability=reliability(static),
        kept=kept_labels(static),
        kitti_ap={name: kitti_ap(one) for name, one in judged.items()},
        kitti_ap_r11={name: kitti_ap(one, R11) for name, one in judged.items()},
        kitti_ap_parked={
            name: kitti_ap(concatenate_verdicts([result.kitti_parked[name] for result in results.values()]))
            for name in criteria.classes
        },
        kitti360_ap={
            name: window_ap(concatenate_verdicts([result.kitti360[name] for result in results.values()]))
            for name in criteria.classes
        },
        num_failed_groups=sum(result.num_failed_groups for result in results.values()),
        has_ended=criteria.has_ended,
        prefer=criteria.prefer,
    )


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
        official_iou_3d=_overlap(_in_bounds(matches.official_iou_3d)) if official else None,
        official_iou_bev=_overlap(_in_bounds(matches.official_iou_bev)) if official else None,
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


def _in_bounds(ious: np.ndarray) -> np.ndarray:
    """IoU as published, cut to [0, 1], and 0 for NaN: where edges are nearly parallel it may be anything."""
    return np.clip(np.where(np.isnan(ious), 0.0, ious), 0.0, 1.0)


def _error(errors: np.ndarray) -> Error:
    known = errors[~np.isnan(errors)]
    return Error(float(known.mean()), float(np.median(known))) if len(known) else Error(math.nan, math.nan)
