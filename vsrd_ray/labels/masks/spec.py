"""What the house knows of masks. What is heavy is imported where it is used."""
# ruff: noqa: PLC0415

from collections.abc import Mapping, Sequence
from typing import Any

from vsrd_ray.labels.base import Evaluation, Kind, Progress
from vsrd_ray.labels.masks.schema import TABLE
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location


def _evaluate(run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    from vsrd_ray.labels.masks.quality import evaluate

    return evaluate(run, options)


def _export(run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None) -> str:
    from vsrd_ray.labels.masks.coco import export

    return export(run, destination, options, progress)


def _report(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
) -> Sequence[str]:
    from vsrd_ray.labels.masks.pictures import report

    return report(run, destination, options, progress)


SPEC = Kind(
    name="masks",
    summary="instance masks in each frame",
    table=TABLE,
    evaluate=_evaluate,
    formats={"coco": _export},
    report=_report,
)
