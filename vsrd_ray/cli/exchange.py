"""Labels in the formats of others."""
# ruff: noqa: PLC0415

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from vsrd_ray.options import (
    PATH,
    camera_option,
    classes_option,
    optional_list,
    prefer_option,
    progress_bar,
    root_option,
)

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


@click.command()
@click.argument("output", type=PATH, required=False)
@click.option("--to", "destination", type=PATH, required=True, help="Folder for <sequence>/<camera>/label_2/*.txt.")
@click.option("--truth", is_flag=True, help="Convert the box XML of a sequence under ROOT, in place of labels.")
@click.option("--root", type=PATH, envvar="KITTI360_DATASET", show_envvar=True, help="Dataset, with --truth.")
@click.option("--sequence", help="Sequence, with --truth.")
@camera_option
@classes_option
def convert(
    *,
    output: Location | None,
    destination: Location,
    truth: bool,
    root: Location | None,
    sequence: str | None,
    camera: str,
    classes: tuple[str, ...],
) -> None:
    """Turn the labels of the run in OUTPUT, or with --truth the box XML, into KITTI text."""
    from vsrd_ray.labels.boxes.convert import labels_to_kitti, truth_to_kitti

    if truth == (output is not None):
        raise click.UsageError("give either OUTPUT, or --truth with --root and --sequence")
    if output is not None:
        count = labels_to_kitti(output, destination)
    elif root is None or sequence is None:
        raise click.UsageError("--truth needs --root and --sequence")
    else:
        count = truth_to_kitti(root, sequence, camera, destination, classes=classes)
    click.echo(f"{count} label files written to {destination}")


_FORMATS = ("kitti", "mmdet3d", "openpcdet", "nuscenes", "kitti360", "coco", "csv", "rerun", "cvat")


@click.command("export")
@click.argument("output", type=PATH)
@root_option
@click.option("--format", "format", type=click.Choice(_FORMATS), required=True, help="See docs/formats.md.")
@click.option("--output", "destination", type=PATH, required=True, help="Folder to write; replaces an earlier export.")
@click.option("--min-confidence", default=0.0, show_default=True, help="Least confidence of a box, 0 to 1.")
@click.option("--max-range", type=float, default=math.inf, help="Farthest box, metres from the camera.  [default: any]")
@click.option("--classes", callback=optional_list, help="Classes, with commas between them.  [default: every one]")
@click.option("--sequences", callback=optional_list, help="Sequences, with commas between them.  [default: all]")
@click.option("--exclude-moving", is_flag=True, help="Leave out boxes that are marked as moving.")
@prefer_option
def export(output: Location, root: Location, format: str, destination: Location, **filters: Any) -> None:
    """Write the labels of the run in OUTPUT in the format of a detector, a benchmark or a tool.

    The folder appears when all of it is written.
    """
    from vsrd_ray.labels.boxes.formats.export import export as run
    from vsrd_ray.labels.boxes.selection import Selection

    summary = run(
        output, root, destination, format=format, selection=Selection(**filters), progress=progress_bar("frame")
    )
    click.echo(f"{summary.boxes} boxes in {summary.frames} frames written to {destination}")


@click.command("import")
@click.argument("output", type=PATH)
@click.argument("source", type=PATH)
@root_option
@click.option("--format", "format", type=click.Choice(["kitti", "cvat"]), required=True, help="See docs/formats.md.")
@click.option("--confirm-unchanged", is_flag=True, help="Take frames without a change for reviewed as well.")
def import_(output: Location, source: Location, root: Location, format: str, confirm_unchanged: bool) -> None:
    """Read boxes that a human corrected in SOURCE back into the run in OUTPUT, as rows with source=human.

    A frame counts as a whole: a box that is not in SOURCE any more is taken away. Importing a frame again replaces what
    was imported for it before.
    """
    from vsrd_ray.labels.boxes.corrections import import_labels
    from vsrd_ray.runs.lock import locked
    from vsrd_ray.runs.manifest import read_inputs

    read_inputs(output)  # says what is wrong with a folder that is no run, before it is locked
    with locked(output):
        summary = import_labels(
            output, root, source, format=format, confirm_unchanged=confirm_unchanged, progress=progress_bar("frame")
        )
    click.echo(
        f"{summary.frames} frames imported, {summary.unchanged} without a change left as they are: "
        f"{summary.boxes} boxes, {summary.moved} changed, {summary.added} added, {summary.removed} taken away"
    )
