"""What the house knows of labels of points. What is heavy is imported where it is used."""
# ruff: noqa: PLC0415

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from vsrd_ray.labels.base import Evaluation, Kind, Progress
from vsrd_ray.labels.points.schema import TABLE
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location

_FORMATS = ("nuscenes-panoptic", "mixsup", "semantickitti", "clusters", "coco", "rerun")


def _evaluate(run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    from vsrd_ray.labels.points.evaluation.run import evaluate

    return evaluate(run, options)


def _compare(run_a: RunFolder, run_b: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    from vsrd_ray.labels.points.evaluation.boxes import compare

    return compare(run_a, run_b, options)


def _export(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None, *, format: str
) -> str:
    from vsrd_ray.labels.points.formats.export import export

    return export(run, destination, options, progress, format=format)


def _report(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
) -> Sequence[str]:
    from vsrd_ray.labels.points.report import report

    return report(run, destination, options, progress)


SPEC = Kind(
    name="points",
    summary="a class and an instance for each LiDAR point",
    table=TABLE,
    evaluate=_evaluate,
    compare=_compare,
    formats={name: partial(_export, format=name) for name in _FORMATS},
    report=_report,
)
