"""Commands and options of boxes."""
# ruff: noqa: PLC0415

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from vsrd_ray.labels.boxes.criteria import MAX_RANGE, check_range
from vsrd_ray.labels.commands import run_root_options
from vsrd_ray.options import (
    PATH,
    camera_option,
    classes_option,
    optional_list,
    progress_bar,
)

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


def _prefer() -> click.Option:
    return click.Option(
        ["--prefer"],
        type=click.Choice(["human", "auto"]),
        default="human",
        show_default=True,
        help="In frames that a human corrected: their boxes, or the labeler's.",
    )


def _checked_range(_context: click.Context, _parameter: click.Parameter, metres: float) -> float:
    check_range(metres)
    return metres


def _for_one_run(context: click.Context, _parameter: click.Parameter, is_official: bool) -> bool:
    if is_official and context.params.get("compare"):
        raise click.UsageError("--official is for one run: leave it out, or --compare")
    return is_official


def options() -> Mapping[str, Sequence[click.Option]]:
    """What boxes add to the commands that all kinds of label share."""
    return {
        "evaluate": (
            click.Option(
                ["--max-range"],
                default=MAX_RANGE,
                show_default=True,
                callback=_checked_range,
                help="Farthest true box that counts, metres; not for AP.",
            ),
            click.Option(
                ["--official"],
                is_flag=True,
                callback=_for_one_run,
                help="Give the IoU of KITTI-360's own evaluation too.",
            ),
            _prefer(),
        ),
        "export": (
            click.Option(
                ["--min-confidence"], default=0.0, show_default=True, help="Least confidence of a box, 0 to 1."
            ),
            click.Option(
                ["--max-range"],
                type=float,
                default=math.inf,
                help="Farthest box, metres from the camera.  [default: any]",
            ),
            click.Option(
                ["--classes"],
                callback=optional_list,
                help="Classes, with commas between them.  [default: every one]",
            ),
            click.Option(
                ["--sequences"],
                callback=optional_list,
                help="Sequences, with commas between them.  [default: all]",
            ),
            click.Option(["--exclude-moving"], is_flag=True, help="Leave out boxes that are marked as moving."),
            _prefer(),
        ),
        "report": (
            click.Option(
                ["--sequence", "sequences"], multiple=True, help="Which sequences; may be repeated.  [default: all]"
            ),
            _prefer(),
        ),
    }


@click.group()
def visualize() -> None:
    """Draw masks and boxes on the images, and the street from above."""


@visualize.command("labels")
@click.argument("output", type=PATH)
@run_root_options
@click.option("--sequence", help="Which sequence, where the run has several.")
@click.option("--to", "destination", type=PATH, help="Folder for PNG, or an .mp4 or .gif.  [default: OUTPUT/pictures]")
@click.option("--sheet", type=PATH, help="Draw one PNG sheet of the whole run there; with --to, the pictures as well.")
def visualize_labels(
    output: Location, root: Location, sequence: str | None, destination: Location | None, sheet: Location | None
) -> None:
    """Draw the labels of the run in OUTPUT, with ground truth where ROOT has it."""
    from vsrd_ray.labels.boxes.pictures.images import visualize_labels as run
    from vsrd_ray.labels.boxes.pictures.sheet import write_sheet
    from vsrd_ray.runs.paths import RunPaths
    from vsrd_ray.visualization.video import check_destination

    if destination is not None:
        check_destination(destination)
    if sheet is not None:
        write_sheet(output, root, sheet, sequence=sequence)
        click.echo(f"Sheet written to {sheet}")
    if destination is not None or sheet is None:
        destination = destination or RunPaths(output).pictures
        count = run(output, root, destination, sequence=sequence, progress=progress_bar("picture"))
        click.echo(f"{count} pictures written to {destination}")


@click.command()
@click.argument("output", type=PATH, required=False)
@click.option("--to", "destination", type=PATH, required=True, help="Folder for <sequence>/<camera>/label_2/*.txt.")
@click.option("--truth", is_flag=True, help="Convert the box XML of a sequence under ROOT, in place of labels.")
@click.option("--root", type=PATH, envvar="KITTI360_DATASET", show_envvar=True, help="Dataset, with --truth.")
@click.option("--sequence", help="Sequence, with --truth.")
@camera_option
@classes_option
@click.pass_context
def convert(
    ctx: click.Context,
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
    from vsrd_ray.storage.targets import check_folder

    if truth == (output is not None):
        raise click.UsageError("give either OUTPUT, or --truth with --root and --sequence")
    check_folder(destination, fix="give another --to")
    if output is not None:
        for name in ("camera", "classes"):
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name} is for --truth: labels are converted as the run made them")
        count = labels_to_kitti(output, destination)
    elif root is None or sequence is None:
        raise click.UsageError("--truth needs --root and --sequence")
    else:
        count = truth_to_kitti(root, sequence, camera, destination, classes=classes)
    click.echo(f"{count} label files written to {destination}")


@click.command("import")
@click.argument("output", type=PATH)
@click.argument("source", type=PATH)
@run_root_options
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
