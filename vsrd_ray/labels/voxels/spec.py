"""What the house knows of voxel grids. What is heavy is imported where it is used."""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from vsrd_ray.labels.base import REPORT, Evaluation, Importer, Kind, Progress
from vsrd_ray.labels.voxels.schema import TABLE
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location

if TYPE_CHECKING:
    import click

_FORMATS = ("npz", "occ3d", "sscbench", "ply", "rerun")


def _evaluate(run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    from vsrd_ray.labels.voxels.evaluation.run import evaluate

    return evaluate(run, options)


def _export(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None, *, format: str
) -> str:
    from vsrd_ray.labels.voxels.formats.export import export

    return export(run, destination, options, progress, format=format)


def _report(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
) -> Sequence[str]:
    from vsrd_ray.labels.voxels.report import report

    return report(run, destination, options, progress)


def _commands() -> tuple[click.Command, ...]:
    from vsrd_ray.labels.voxels.commands import visualize

    return (visualize,)


def _read_corrections(run: RunFolder, source: Location, options: Mapping[str, Any]) -> Sequence[str]:
    from vsrd_ray.labels.voxels.corrections import import_grids
    from vsrd_ray.runs.exports import digests_of, mark_imported
    from vsrd_ray.runs.lock import locked

    with locked(run.output):
        digests = digests_of(source)
        count = import_grids(run, source)
        mark_imported(source, digests)
    return [f"{count} corrected grids imported into {run.output}"]


def _undo_corrections(output: Location) -> str:
    from vsrd_ray.labels.voxels.corrections import undo_imports
    from vsrd_ray.runs.lock import locked

    with locked(output):
        return f"{undo_imports(output)} files of corrected grids removed"


SPEC = Kind(
    name="voxels",
    summary="grids of voxels: classes, free and unknown space, density",
    table=TABLE,
    evaluate=_evaluate,
    formats={name: partial(_export, format=name) for name in _FORMATS},
    report=_report,
    importer=Importer(_read_corrections, _undo_corrections),
    commands=_commands,
    looks=("visualize voxels {output} --root {root}{sequence}", REPORT),
)
