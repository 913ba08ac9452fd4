"""`vsrd-ray render`: films of depth and density."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vsrd_ray.labels.commands import run_root_options
from vsrd_ray.options import PATH, example

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


@click.command(
    short_help="Film depth or density, from the camera or from elsewhere.",
    epilog=example("render depths --root street --what depth --to depth.mp4"),
)
@click.argument("output", type=PATH)
@run_root_options
@click.option(
    "--what",
    type=click.Choice(["depth", "profile", "novel-view", "transition"]),
    default="depth",
    show_default=True,
    help="Image, depth and profile of every second frame, profiles alone, or views from elsewhere around one frame.",
)
@click.option("--sequence", help="Which sequence, where the run has several.")
@click.option("--frame", type=int, help="Frame that views from elsewhere are of.  [default: the first]")
@click.option(
    "--to", "destination", type=PATH, help="An .mp4 or .gif, or a folder for PNG.  [default: OUTPUT/WHAT.mp4]"
)
def render(
    *,
    output: Location,
    root: Location,
    what: str,
    sequence: str | None,
    frame: int | None,
    destination: Location | None,
) -> None:
    """Film the depth or the density field of the run in OUTPUT, as H.264."""
    from vsrd_ray.labels.depth.films import write_film
    from vsrd_ray.runs.folder import RunFolder
    from vsrd_ray.runs.paths import RunPaths
    from vsrd_ray.visualization.video import check_destination

    destination = destination or RunPaths(output).film(what)
    check_destination(destination)
    click.echo(write_film(RunFolder(output, root), destination, what=what, sequence=sequence, frame=frame))
