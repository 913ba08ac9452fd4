"""What the house knows of boxes. What is heavy is imported where it is used."""
# ruff: noqa: PLC0415

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import Drive
from vsrd_ray.labels.base import REPORT, Evaluation, Importer, Kind, Progress
from vsrd_ray.labels.boxes import kitti
from vsrd_ray.labels.boxes.parquet import FOLDER
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.poses.check import PoseCheck
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.runs.tables import LabelTable
from vsrd_ray.storage import Location

if TYPE_CHECKING:
    import click

    from vsrd_ray.geometry.boxes import UprightBoxes

_FORMATS = (
    *("kitti", "kitti-tracking", "kitti-object", "kitti-mots", "vsrd-annotations", "mmdet3d", "openpcdet", "nuscenes"),
    *("kitti360", "coco", "csv", "rerun", "openlabel", "mcap", "fiftyone", "cvat"),
)


@dataclass(frozen=True)
class _KittiTexts:
    """KITTI label text beside the tables: one file a frame; see `vsrd_ray.runs.tables.LabelTexts`."""

    folder: str = "kitti"

    def path(self, folder: Location, *, sequence: str, camera: str, frame: int) -> Location:
        return kitti.label_path(folder, sequence=sequence, camera=camera, frame=frame)

    def is_text(self, name: str) -> bool:
        return kitti.is_label_file(name)

    def write(self, path: Location, rows: pa.Table) -> None:
        kitti.write_frame(path, rows)


def _evaluate(run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    from vsrd_ray.labels.boxes.evaluation import evaluate_run, format_report
    from vsrd_ray.labels.boxes.evaluation.run import values_of

    report = evaluate_run(run.output, run.root, **options)
    return Evaluation(values_of(report, run.root), format_report(report))


def _compare(run_a: RunFolder, run_b: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    from vsrd_ray.labels.boxes.evaluation import compare_runs, format_comparison
    from vsrd_ray.labels.boxes.evaluation.run import without_nan

    options = {name: value for name, value in options.items() if name != "official"}
    comparison = compare_runs(run_a.output, run_b.output, run_a.root, **options)
    text = format_comparison(comparison, (str(run_a.output), str(run_b.output)))
    return Evaluation(without_nan(asdict(comparison)), text)


def _export(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None, *, format: str
) -> str:
    from vsrd_ray.labels.boxes.formats.export import export
    from vsrd_ray.labels.boxes.selection import Selection

    selection = Selection(**options)
    summary = export(run.output, run.root, destination, format=format, selection=selection, progress=progress)
    return f"{summary} written to {destination}"


def _report(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
) -> Iterable[str]:
    from vsrd_ray.labels.boxes.evaluation.run import quality_of
    from vsrd_ray.labels.boxes.report import write_report
    from vsrd_ray.labels.boxes.report.serve import serve

    options = dict(options)
    is_served = options.pop("serve", False)
    quality = partial(quality_of, run.output, run.root, options["prefer"])
    written = write_report(run.output, run.root, destination, quality=quality, progress=progress, **options)
    told = [
        f"Report written to {destination}: {written.num_bytes / 1e6:.1f} MB, {written.instances} instances, "
        f"pictures of {written.frame_pictures} of {written.frames} frames"
    ]
    if written.left_out:
        told.append(
            f"{written.left_out} further instances, the least doubtful, were left out to keep the file small: report "
            "fewer sequences at once, with --sequence, to have them"
        )
    return chain(told, serve(run.output, run.root, destination)) if is_served else told


def _check_poses(drive: Drive, rows: pa.Table, index: pa.Table) -> PoseCheck:
    from vsrd_ray.labels.boxes.stretches import scatter

    found = scatter(rows.filter(pc.field("camera") == drive.camera.name), index, drive.camera)
    return PoseCheck.of(drive.T_world_cam, drive.pose_scale, found.metres, found.num_objects)


def _boxes(rows: pa.Table) -> "UprightBoxes":
    from vsrd_ray.labels.boxes.columns import boxes_of

    return boxes_of(rows)


def _options() -> "Mapping[str, Sequence[click.Option]]":
    from vsrd_ray.labels.boxes.commands import options

    return options()


def _commands() -> "tuple[click.Command, ...]":
    from vsrd_ray.labels.boxes.commands import convert, visualize

    return convert, visualize


def _read_corrections(run: RunFolder, source: Location, options: Mapping[str, Any]) -> Iterable[str]:
    from vsrd_ray.labels.boxes.commands import read_corrections

    return read_corrections(run, source, options)


def _undo_corrections(output: Location) -> str:
    from vsrd_ray.labels.boxes.commands import undo_corrections

    return undo_corrections(output)


SPEC = Kind(
    name="boxes",
    summary="3D boxes in the world and in each frame",
    table=LabelTable(
        name="boxes",
        folder=FOLDER,
        schema=LABEL_SCHEMA,
        sort_by=("instance_id",),
        texts=_KittiTexts(),
        confidence="confidence",
        suspicion="Unless nearly everything there moves, calibration, poses and masks do not belong together: look for "
        "images that were cropped or resized, poses of another drive, camera or unit, and shifted frame numbers.",
    ),
    evaluate=_evaluate,
    compare=_compare,
    formats={name: partial(_export, format=name) for name in _FORMATS},
    report=_report,
    importer=Importer(_read_corrections, _undo_corrections),
    check_poses=_check_poses,
    options=_options,
    commands=_commands,
    boxes=_boxes,
    looks=(REPORT, "visualize labels {output} --root {root}{sequence} --sheet {sheet}"),
)
