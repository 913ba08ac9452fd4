"""The points of a run against the truth of their drives.

Shapes: N points of a sweep, C classes of the challenge.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.data.drive import Drive
from vsrd_ray.data.truth import BOXES
from vsrd_ray.errors import InputError
from vsrd_ray.labels.base import Evaluation
from vsrd_ray.labels.points.classes import CHALLENGE, CHALLENGE_OF, NO_INSTANCE, NUM_THINGS, class_named
from vsrd_ray.labels.points.evaluation.boxes import BoxTally, add_boxes, table
from vsrd_ray.labels.points.evaluation.panoptic import CLASS_STEP, Panoptic
from vsrd_ray.labels.points.evaluation.tracking import Tubes
from vsrd_ray.labels.points.labelled import LabelledSweep, sweeps_of
from vsrd_ray.runs.folder import RunFolder

logger = logging.getLogger(__name__)

_THINGS = slice(1, NUM_THINGS + 1)


@dataclass
class _Tally:
    """What is counted over all drives."""

    all_round: Panoptic = field(default_factory=Panoptic)
    in_view: Panoptic = field(default_factory=Panoptic)  # truth that no camera sees is void
    tubes: Tubes = field(default_factory=Tubes)
    boxes: BoxTally = field(default_factory=BoxTally)
    sweeps: int = 0
    missing: list[str] = field(default_factory=list)


def evaluate(run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    """PQ of the frames that are labelled and have truth; see `vsrd_ray.labels.base.Evaluator`."""
    tally = _Tally()
    for name in run.inputs.sequences:
        drive = run.drive(name)
        _add(tally, run, drive)
        if drive.has_truth(BOXES):
            frames = set(drive.truth("points").frames)
            add_boxes(tally.boxes, run, drive, of=run, frames=frames)
    if not tally.sweeps:
        raise InputError(f"{run.output}: no labelled sweep has truth in {run.root}: nothing to compare")
    for missing in tally.missing:
        logger.warning("%s", missing)
    return Evaluation(_values(tally), _text(tally))


def _add(tally: _Tally, run: RunFolder, drive: Drive) -> None:
    """Count the sweeps of a drive."""
    labelled = set[int]()
    for sweep, true in _with_truth(run, drive):
        labelled.add(sweep.frame)
        predicted = labels_of(sweep, sweep.instances)
        tally.all_round.add(predicted, true)
        seen_truth = np.where(sweep.in_view, true, 0)
        tally.in_view.add(predicted, seen_truth)
        tally.tubes.add(drive.name, labels_of(sweep, sweep.tracks), seen_truth)
        tally.sweeps += 1
    if unlabelled := set(drive.truth("points").frames) - labelled:
        tally.missing.append(f"{drive.name}: {len(unlabelled)} frames with truth are not labelled, and do not count.")


def _with_truth(run: RunFolder, drive: Drive) -> Iterator[tuple[LabelledSweep, np.ndarray]]:
    """Labelled sweeps of a drive, and their true labels [N] as `_challenge` gives them.

    Raises:
        InputError: a sweep of another number of points than its truth.
    """
    truth = drive.truth("points")
    names, wanted = _challenge_of_number(drive.classes), set(truth.frames)
    for sweep in sweeps_of(run, drive):
        if sweep.sensor != truth.sensor or sweep.frame not in wanted:
            continue
        true = _challenge(truth.labels(sweep.frame).astype(np.int64), names)
        if len(true) != len(sweep.classes):
            raise InputError(
                f"{drive.name}, frame {sweep.frame}: {len(sweep.classes)} points are labelled, and the truth is of "
                f"{len(true)}: evaluate with the sweeps that were labelled"
            )
        yield sweep, true


def qualities(run: RunFolder, drive: Drive) -> dict[int, float]:
    """PQ of the occurring things in view, by labelled frame with truth."""
    found = {}
    for sweep, true in _with_truth(run, drive):
        one = Panoptic()
        one.add(labels_of(sweep, sweep.instances), np.where(sweep.in_view, true, 0))
        found[sweep.frame] = _means(one, one.occurring[_THINGS])["pq"]
    return found


def labels_of(sweep: LabelledSweep, instances: np.ndarray) -> np.ndarray:
    """Challenge class * `CLASS_STEP` + instance + 1 [N] of a sweep's points; 0 without a label."""
    return np.where(
        instances == NO_INSTANCE, 0, CHALLENGE_OF[sweep.classes].astype(np.int64) * CLASS_STEP + instances + 1
    )


def _challenge(labels: np.ndarray, challenge_of: np.ndarray) -> np.ndarray:
    """Challenge class * `CLASS_STEP` + instance [N] of true labels; 0 where they do not count.

    Points of things that belong to no one instance do not count.
    """
    classes, instances = challenge_of[labels // IDS_PER_CLASS], labels % IDS_PER_CLASS
    is_thing = (classes > 0) & (classes <= NUM_THINGS)
    return np.where((classes == 0) | (is_thing & (instances == 0)), 0, classes * CLASS_STEP + instances)


def _challenge_of_number(classes: ClassTable) -> np.ndarray:
    """Challenge class [66] of each class number of a dataset; things that the challenge does not have are void."""
    found = np.zeros(np.iinfo(np.uint16).max // IDS_PER_CLASS + 1, dtype=np.int64)
    for one in classes.classes[1:]:
        place, name = class_named(one.name), one.name.replace(" ", "_")
        if place is not None:
            found[one.number] = CHALLENGE_OF[place]
        elif name in CHALLENGE:
            found[one.number] = CHALLENGE.index(name)
        elif not one.is_thing:
            found[one.number] = CHALLENGE.index("manmade")  # any stuff: it only must not be void
    return found


def _means(found: Panoptic, which: np.ndarray) -> dict[str, float]:
    return {
        name: float(values[_THINGS][which].mean()) if which.any() else 0.0
        for name, values in (("pq", found.pq), ("sq", found.sq), ("rq", found.rq))
    }


def _values(tally: _Tally) -> dict[str, Any]:
    return {
        "sweeps": tally.sweeps,
        "missing": tally.missing,
        **{name: _part(found) for name, found in (("all_round", tally.all_round), ("in_view", tally.in_view))},
        "lstq": tally.tubes.values(),
        "boxes": tally.boxes.values,
    }


def _part(found: Panoptic) -> dict[str, Any]:
    occurring = found.occurring[_THINGS]
    rows = {
        CHALLENGE[number]: {
            "pq": float(found.pq[number]),
            "sq": float(found.sq[number]),
            "rq": float(found.rq[number]),
            "iou": float(found.iou[number]),
            "tp": int(found.tp[number]),
            "fp": int(found.fp[number]),
            "fn": int(found.fn[number]),
        }
        for number in np.flatnonzero(occurring) + 1
    }
    return {"things": _means(found, np.ones_like(occurring)), "occurring": _means(found, occurring), "classes": rows}


def _text(tally: _Tally) -> str:
    lines = [f"Points of {tally.sweeps} sweeps"]
    for title, found in (("All round", tally.all_round), ("In view of a camera", tally.in_view)):
        part = _part(found)
        lines += ["", f"{title:22}    PQ     SQ     RQ     TP    FP    FN"]
        for name, row in part["classes"].items():
            scores = " ".join(f"{row[score]:6.3f}" for score in ("pq", "sq", "rq"))
            lines.append(f"  {name:20} {scores} {row['tp']:6} {row['fp']:5} {row['fn']:5}")
        for label, means in (("occurring classes", part["occurring"]), ("ten things", part["things"])):
            lines.append(f"  {label:20} " + " ".join(f"{means[score]:6.3f}" for score in ("pq", "sq", "rq")))
    ids = tally.tubes.values()
    parts = f"association {ids['association']:.3f}, classes {ids['classes']:.3f}"
    if tally.boxes.truths:
        lines += ["", table({"clusters": tally.boxes})]
    return "\n".join([*lines, "", f"Ids over time, in view: LSTQ {ids['lstq']:.3f} ({parts})"])
