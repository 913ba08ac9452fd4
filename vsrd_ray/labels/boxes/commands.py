"""Commands and options of boxes."""
# ruff: noqa: PLC0415

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vsrd_ray.labels.boxes.criteria import MAX_RANGE, MIN_CONFIDENCE, check_range
from vsrd_ray.labels.commands import run_root_options
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
    from vsrd_ray.runs.folder import RunFolder
    from vsrd_ray.storage import Location

_READ_BACK = ("kitti", "cvat", "report")  # formats


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
        "import": (
            click.Option(
                ["--format"],
                type=click.Choice(_READ_BACK),
                help="Of boxes in SOURCE; needed for them alone. See docs/formats.md.",
            ),
            click.Option(
                ["--confirm-unchanged"], is_flag=True, help="Take frames without a change for reviewed as well."
            ),
            click.Option(
                ["--confirm-changes"], is_flag=True, help="Import even if most boxes go, or none stays where it is."
            ),
            click.Option(["--dry-run"], is_flag=True, help="Say what would change in which frame, and write nothing."),
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


def read_corrections(run: RunFolder, source: Location, options: Mapping[str, Any]) -> Iterable[str]:
    """Read boxes that a human corrected back into their run; see `vsrd_ray.labels.base.Importer`."""
    from vsrd_ray.labels.boxes.corrections import import_labels
    from vsrd_ray.runs.lock import locked

    is_dry = options["dry_run"]
    if options["format"] is None:
        raise click.UsageError(f"give --format: {', '.join(_READ_BACK)}")
    with nullcontext() if is_dry else locked(run.output):
        summary = import_labels(run.output, run.root, source, **options, progress=progress_bar("frame"))
    changes = [
        f"{change.sequence}, frame {change.frame}: {change.moved} changed, {change.added} added, "
        f"{change.removed} taken away"
        for change in summary.changes
    ]
    return [
        *(changes if is_dry else []),
        f"{summary.frames} frames {'to be ' if is_dry else ''}imported, {summary.unchanged} without a change left "
        f"as they are: {summary.boxes} boxes, {summary.moved} changed, {summary.added} added, "
        f"{summary.removed} taken away",
    ]


def undo_corrections(output: Location) -> str:
    """Take the last import of boxes back."""
    from vsrd_ray.labels.boxes.human_rows import undo_import
    from vsrd_ray.runs.lock import locked

    with locked(output):
        return f"{undo_import(output)} frames are again as they were before the last import"
