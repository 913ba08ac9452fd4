"""Commands and options of boxes."""
# ruff: noqa: PLC0415

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from vsrd_ray.labels.boxes.criteria import MAX_RANGE, MIN_CONFIDENCE, check_range
from vsrd_ray.labels.commands import other_root_option, run_root_options
from vsrd_ray.options import (
    PATH,
    camera_option,
    classes_option,
    comma_list,
    example,
    optional_list,
    progress_bar,
    some_sequences,
)

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


def _parts(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...] | None:
    """Sequences, of which a text may name several, with commas between them; none where none is given."""
    return tuple(name for text in texts for name in comma_list(context, parameter, text)) if texts else None


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
            some_sequences("Which sequences; may be repeated.  [default: all]", "--sequences", callback=_parts),
            click.Option(
                ["--reviewed-only"],
                is_flag=True,
                help="Leave out boxes that no human has accepted, corrected or added.",
            ),
            click.Option(["--exclude-moving"], is_flag=True, help="Leave out boxes that are marked as moving."),
            click.Option(
                ["--keep-doubtful"],
                is_flag=True,
                help=f"Hand over boxes believed to be wrong too: moving without a velocity, or of a confidence "
                f"under {MIN_CONFIDENCE:g}.",
            ),
            click.Option(
                ["--split"],
                default="vsrd",
                show_default=True,
                metavar="vsrd|random:SEED|FILE",
                help="Into train, val and test; FILE has a line `SEQUENCE train|val|test` for each.",
            ),
            _prefer(),
        ),
        "report": (
            some_sequences("Which sequences; may be repeated.  [default: all]"),
            _prefer(),
            click.Option(
                ["--serve"],
                is_flag=True,
                help="Then serve it to a browser on this machine, and take over corrections as work goes on.",
            ),
        ),
    }


@click.group(short_help="Draw masks and labels on the images, and from above.")
def visualize() -> None:
    """Draw masks and boxes on the images, and the street from above."""


@visualize.command(
    "labels",
    short_help="Draw the labels of a run, and the truth.",
    epilog=example("visualize labels labels --root street --sheet sheet.png"),
)
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


@click.command(short_help="Turn labels, or true boxes, into KITTI text.", epilog=example("convert labels --to texts"))
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


@click.command(
    "import",
    short_help="Take corrected labels back into their run.",
    epilog=example("import labels exports/kitti --root street --format kitti"),
)
@click.argument("output", type=PATH)
@click.argument("source", type=PATH, required=False)
@click.option("--root", type=PATH, envvar="KITTI360_DATASET", show_envvar=True, help="Dataset: its root folder.")
@other_root_option
@click.option("--format", "format", type=click.Choice(["kitti", "cvat", "report"]), help="See docs/formats.md.")
@click.option("--confirm-unchanged", is_flag=True, help="Take frames without a change for reviewed as well.")
@click.option("--confirm-changes", is_flag=True, help="Import even if most boxes go, or none stays where it is.")
@click.option("--dry-run", is_flag=True, help="Say what would change in which frame, and write nothing.")
@click.option("--undo", is_flag=True, help="Take the last import into OUTPUT back, in place of SOURCE.")
def import_(
    *,
    output: Location,
    source: Location | None,
    root: Location | None,
    format: str | None,
    confirm_unchanged: bool,
    confirm_changes: bool,
    dry_run: bool,
    undo: bool,
) -> None:
    """Read boxes that a human corrected in SOURCE back into the run in OUTPUT, as rows with source=human.

    Of KITTI text and CVAT a frame counts as a whole: a box that is not in SOURCE any more is taken away. Importing a
    frame again replaces what was imported for it before. What a report saved counts instance by instance, and is all
    that was decided there.
    """
    from vsrd_ray.labels.boxes.corrections import import_labels
    from vsrd_ray.labels.boxes.human_rows import undo_import
    from vsrd_ray.runs.lock import locked
    from vsrd_ray.runs.manifest import read_inputs

    if undo:
        if source is not None or dry_run:
            raise click.UsageError("--undo is for OUTPUT alone: leave SOURCE and --dry-run out")
        read_inputs(output)  # says what is wrong with a folder that is no run, before it is locked
        with locked(output):
            click.echo(f"{undo_import(output)} frames are again as they were before the last import")
        return
    if source is None or root is None or format is None:
        raise click.UsageError("give OUTPUT, SOURCE, --root and --format, or OUTPUT and --undo")
    read_inputs(output)
    with nullcontext() if dry_run else locked(output):
        summary = import_labels(
            output,
            root,
            source,
            format=format,
            confirm_unchanged=confirm_unchanged,
            confirm_changes=confirm_changes,
            dry_run=dry_run,
            progress=progress_bar("frame"),
        )
    if dry_run:
        for change in summary.changes:
            place = f"{change.sequence}, frame {change.frame}"
            click.echo(f"{place}: {change.moved} changed, {change.added} added, {change.removed} taken away")
    click.echo(
        f"{summary.frames} frames {'to be ' if dry_run else ''}imported, {summary.unchanged} without a change left as "
        f"they are: {summary.boxes} boxes, {summary.moved} changed, {summary.added} added, {summary.removed} taken away"
    )
