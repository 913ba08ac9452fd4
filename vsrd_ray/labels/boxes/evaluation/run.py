"""The evaluation of a run, and what is kept of it: OUTPUT/evaluation.json."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import starmap
from typing import Any

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.criteria import MAX_RANGE, check_range
from vsrd_ray.labels.boxes.evaluation.quality import QualityReport, quality_report
from vsrd_ray.labels.boxes.evaluation.sequences import Criteria, evaluate_sequence
from vsrd_ray.labels.boxes.parquet import Preference
from vsrd_ray.labels.spread import Spread, Task, results_of
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.storage import Location, absolute


def evaluate_run(
    output: Location,
    root: Location,
    *,
    max_range: float = MAX_RANGE,
    classes: Sequence[str] | None = None,
    official: bool = False,
    prefer: Preference = "human",
    spread: Spread = starmap,
) -> QualityReport:
    """Label quality of the run in `output`.

    Args:
        output: folder of a labelling run.
        root: dataset with the 3D box XML of its sequences.
        max_range: metres from the camera to the true centre, for label quality; average precision has no such limit.
        classes: classes that count; None for those that the run labelled.
        official: give the IoU of the KITTI-360 evaluation beside the exact one.
        prefer: whose labels count in frames that a human has corrected; see `read_labels`.
        spread: how the sequences are gone through; `vsrd_ray.engines.ray_data.evaluating.on_ray` gives another way.

    Raises:
        InputError: no labels in `output`, no ground truth in `root`, or a range that is not positive and finite. All
            sequences with something wrong are named.
    """
    names, criteria = what_to_evaluate(output, max_range=max_range, classes=classes, official=official, prefer=prefer)
    tasks = [Task(absolute(output), absolute(root), name, criteria) for name in names]
    results = results_of(evaluate_sequence, tasks, spread)
    return quality_report(dict(zip(names, results, strict=True)), criteria)


def what_to_evaluate(
    output: Location, *, max_range: float, classes: Sequence[str] | None, official: bool, prefer: Preference
) -> tuple[tuple[str, ...], Criteria]:
    """The sequences of a run, and what counts in them; see `evaluate_run`.

    Raises:
        InputError: there is no run in `output`, or no sequence in it yet, or the range is not positive and finite.
    """
    check_range(max_range)
    inputs = read_inputs(output)
    if not inputs.sequences:
        raise InputError(f"{output} holds no labelled sequence yet: let `vsrd-ray label` go on first")
    classes = tuple(inputs.classes if classes is None else classes)
    return inputs.sequences, Criteria(inputs.camera, classes, max_range, official, prefer, inputs.has_ended)


def values_of(report: QualityReport, root: Location) -> dict[str, Any]:
    """What OUTPUT/evaluation.json holds of a report; `skipped_boxes` where there are some."""
    values = without_nan(asdict(report) | {"root": str(absolute(root))})
    return {key: value for key, value in values.items() if key != "skipped_boxes" or value}


def quality_of(output: Location, root: Location, prefer: Preference, sequences: Sequence[str]) -> dict[str, Any]:
    """What the report shows of the evaluation of some sequences, which have ground truth."""
    _, criteria = what_to_evaluate(output, max_range=MAX_RANGE, classes=None, official=False, prefer=prefer)
    results = {name: evaluate_sequence(output, root, name, criteria) for name in sequences}
    return without_nan(asdict(quality_report(results, criteria)))


def without_nan(value: Any) -> Any:
    """The same, with None for NaN: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
