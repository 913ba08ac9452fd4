"""What the house knows of labels of depth. What is heavy is imported where it is used."""
# ruff: noqa: PLC0415

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from vsrd_ray.labels.base import Evaluation, Kind, Progress
from vsrd_ray.labels.depth.schema import TABLE
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location

_FORMATS = ("depth-png", "npz", "ply", "mesh", "rerun")


def _evaluate(run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    from vsrd_ray.labels.depth.evaluation.run import evaluate

    return evaluate(run, options)


def _export(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None, *, format: str
) -> str:
    from vsrd_ray.labels.depth.formats import export

    return export(run, destination, options, progress, format=format)


def _report(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
) -> Sequence[str]:
    from vsrd_ray.labels.depth.report import report

    return report(run, destination, options, progress)


SPEC = Kind(
    name="depth",
    summary="depth of each frame with its spread, and free space seen from above",
    table=TABLE,
    evaluate=_evaluate,
    formats={name: partial(_export, format=name) for name in _FORMATS},
    report=_report,
)
