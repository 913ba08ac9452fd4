"""The evaluation of a run, and what is kept of it: OUTPUT/evaluation.json."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import starmap
from typing import Any

from vsrd_ray.errors import InputError, OutputError, one_line
from vsrd_ray.labels.boxes.criteria import MAX_RANGE
from vsrd_ray.labels.boxes.evaluation.quality import QualityReport, quality_report
from vsrd_ray.labels.boxes.evaluation.sequences import Criteria, evaluate_sequence
from vsrd_ray.labels.boxes.evaluation.spread import Spread, Task, results_of
from vsrd_ray.labels.boxes.parquet import Preference
from vsrd_ray.runs.folder import read_inputs
from vsrd_ray.storage import Location, absolute
from vsrd_ray.storage.atomic import atomic_write


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
    """Label quality of the run in `output`, also written to OUTPUT/evaluation.json.

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
        OutputError: OUTPUT/evaluation.json cannot be written.
    """
    names, criteria = what_to_evaluate(output, max_range=max_range, classes=classes, official=official, prefer=prefer)
    tasks = [Task(absolute(output), absolute(root), name, criteria) for name in names]
    results = results_of(evaluate_sequence, tasks, spread)
    report = quality_report(dict(zip(names, results, strict=True)), criteria)
    _write(asdict(report) | {"root": str(absolute(root))}, output / "evaluation.json")
    return report


def what_to_evaluate(
    output: Location, *, max_range: float, classes: Sequence[str] | None, official: bool, prefer: Preference
) -> tuple[tuple[str, ...], Criteria]:
    """The sequences of a run, and what counts in them; see `evaluate_run`.

    Raises:
        InputError: there is no run in `output`, or no sequence in it yet, or the range is not positive and finite.
    """
    if not 0 < max_range < math.inf:
        raise InputError(f"the range must be greater than 0 m, and finite, got {max_range}")
    inputs = read_inputs(output)
    if not inputs.sequences:
        raise InputError(f"{output} holds no labelled sequence yet: let `vsrd-ray label` go on first")
    classes = tuple(inputs.classes if classes is None else classes)
    return inputs.sequences, Criteria(inputs.camera, classes, max_range, official, prefer, inputs.has_ended)


def _write(evaluation: dict[str, Any], path: Location) -> None:
    try:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(without_nan(evaluation), indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({one_line(error)}): allow it, or make room") from error


def without_nan(value: Any) -> Any:
    """The same, with None for NaN: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
