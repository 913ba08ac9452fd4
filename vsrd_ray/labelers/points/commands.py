"""Commands of labels of points."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vsrd_ray.labels.commands import run_root_options
from vsrd_ray.options import PATH, example, progress_bar

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


@click.command(
    "import-points",
    short_help="Take corrected labels of points back into their run.",
    epilog=example("import-points labels exports/semantickitti --root street"),
)
@click.argument("output", type=PATH)
@click.argument("source", type=PATH, required=False)
@run_root_options
@click.option("--undo", is_flag=True, help="Take all corrected labels of points in OUTPUT back, in place of SOURCE.")
def import_points(*, output: Location, source: Location | None, root: Location, undo: bool) -> None:
    """Read labels of points that a human corrected in SOURCE, an export, back into the run in OUTPUT.

    SOURCE is an export as semantickitti or nuscenes-panoptic. Files that were edited count, each as a whole.
    """
    from pathlib import Path

    from vsrd_ray.labelers.points import corrections
    from vsrd_ray.runs.folder import RunFolder
    from vsrd_ray.runs.lock import locked

    run = RunFolder(output, root)
    if undo != (source is None):
        raise click.UsageError("give OUTPUT and SOURCE, or OUTPUT and --undo")
    if source is not None and not isinstance(source, Path):
        raise click.UsageError(f"{source}: give a local folder")
    with locked(output):
        if source is None:
            click.echo(f"{corrections.undo_imports(run)} files of corrected labels removed")
            return
        found = corrections.import_points(run, source, progress_bar("drive"))
    click.echo(f"{found.sweeps} sweeps imported, {found.points} points changed")
