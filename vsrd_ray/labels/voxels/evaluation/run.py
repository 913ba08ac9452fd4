"""How good the voxels of a run are, where the dataset knows what truly fills them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.labels.base import Evaluation
from vsrd_ray.labels.voxels.classes import OCC3D, SSCBENCH, UNKNOWN, table_named
from vsrd_ray.labels.voxels.evaluation.metrics import (
    RANGES,
    RayScores,
    iou_of,
    occ3d_histogram,
    occ3d_scores,
    ray_directions,
    ssc_histogram,
    ssc_iou,
    ssc_scores,
    within,
)
from vsrd_ray.labels.voxels.labelled import LabelledGrid, grids_of
from vsrd_ray.labels.voxels.truth import TrueGrid, true_grid
from vsrd_ray.runs.folder import RunFolder

_EYE = np.array([[0.8, 0.0, 1.73]])  # m, the LiDAR of KITTI-360 in Occ3D's frame
MASKS = ("mask_camera", "mask_camera and mask_lidar", "seen by the labels")


class _Tally:
    def __init__(self) -> None:
        self.frames = 0
        self.occ3d = {name: np.zeros((18, 18)) for name in MASKS}
        self.ssc = {reach: np.zeros((19, 19)) for reach in RANGES}
        self.rays = RayScores.empty()

    def add(self, labelled: LabelledGrid, truth: TrueGrid) -> None:
        voxels = labelled.voxels
        assert voxels.semantics is not None
        self.frames += 1
        if voxels.classes == SSCBENCH.name:
            for reach in RANGES:
                part = within(voxels.grid, reach)
                self.ssc[reach] += ssc_histogram(truth.semantics[part], voxels.semantics[part])
            return
        known = truth.semantics != UNKNOWN
        observed = known if voxels.observed is None else known & (voxels.observed > 0)
        masks = (truth.mask_camera & known, truth.mask_camera & truth.mask_lidar & known, observed)
        for name, mask in zip(MASKS, masks, strict=True):
            self.occ3d[name] += occ3d_histogram(truth.semantics, voxels.semantics, mask)
        self.rays.add(voxels.grid, truth.semantics, voxels.semantics, _EYE, ray_directions())


def evaluate(run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    """See `vsrd_ray.labels.base.Evaluator`.

    Raises:
        InputError: no truth, or truth of other frames or another grid.
    """
    tallies: dict[str, _Tally] = {}
    has_classes = False
    for name in run.inputs.sequences:
        truth = None
        for labelled in grids_of(run, name):
            if labelled.voxels.semantics is None:
                continue
            has_classes, truth = True, run.drive(name).truth("voxels") if truth is None else truth
            if (true := true_grid(truth, labelled.frame, labelled.voxels)) is not None:
                tallies.setdefault(labelled.voxels.classes or "", _Tally()).add(labelled, true)
    if not has_classes:
        return Evaluation({}, "voxels: they hold no classes, which alone are held against true ones")
    if not tallies:
        raise InputError(f"no frame of {run.output} has true voxels: label frames that have")
    values = {table: _values(table, tally) for table, tally in tallies.items()}
    return Evaluation(values, "\n\n".join(_text(table, one) for table, one in values.items()))


def _values(table: str, tally: _Tally) -> dict[str, Any]:
    names = table_named(table).names
    if table == SSCBENCH.name:
        return {
            "frames": tally.frames,
            "ranges": {f"{reach:g}": ssc_scores(histogram) for reach, histogram in tally.ssc.items()},
            "classes": dict(zip(names[1:], ssc_iou(tally.ssc[RANGES[-1]])[1:].tolist(), strict=True)),
        }
    per_class = iou_of(tally.occ3d[MASKS[0]])[: OCC3D.free]
    return {
        "frames": tally.frames,
        "masks": {name: _plain(occ3d_scores(histogram)) for name, histogram in tally.occ3d.items()},
        "rayiou": _plain(tally.rays.values()),
        "classes": _plain(dict(zip(names, per_class.tolist(), strict=False))),
    }


def _plain(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Scores as JSON has them: null for none."""
    return {name: None if np.isnan(score) else score for name, score in scores.items()}


def _text(table: str, values: Mapping[str, Any]) -> str:
    if table == SSCBENCH.name:
        lines = [f"Voxels of {values['frames']} frames, as SSCBench counts them (unknown is empty), %"]
        lines += [f"{'up to':>12}    IoU  prec.  recall   mIoU of 18"]
        for reach, row in values["ranges"].items():
            cells = " ".join(_percent(row[name]) for name in ("iou", "precision", "recall", "miou"))
            lines.append(f"{reach:>10} m {cells}")
    else:
        lines = [f"Voxels of {values['frames']} frames, as Occ3D counts them (unknown is free), %"]
        lines += [f"{'inside':>28}    IoU  mIoU of 17  of 15"]
        for name, row in values["masks"].items():
            lines.append(f"{name:>28} " + "     ".join(_percent(row[one]) for one in ("iou", "miou", "miou_15")))
        rays = values["rayiou"]
        each = ", ".join(f"{_percent(rays[f'rayiou_{most}']).strip()} at {most} m" for most in (1, 2, 4))
        lines.append(f"RayIoU {_percent(rays['rayiou']).strip()} ({each})")
    classes = [f"{name} {_percent(score).strip()}" for name, score in values["classes"].items() if score is not None]
    return "\n".join([*lines, "Classes: " + ", ".join(classes)])


def _percent(share: float | None) -> str:
    return "     -" if share is None else f"{100 * share:6.2f}"
