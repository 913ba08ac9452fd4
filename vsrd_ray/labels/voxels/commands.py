"""Commands of voxels."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vsrd_ray.errors import InputError
from vsrd_ray.labels.commands import run_root_options
from vsrd_ray.options import PATH, comma_list, example

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


@click.group(short_help="Draw masks and labels on the images, and from above.")
def visualize() -> None:
    """Draw masks and boxes on the images, and the street from above."""


@visualize.command(
    "voxels",
    short_help="Draw voxels below their images, and the truth.",
    epilog=example("visualize voxels labels --root street --to voxels.mp4"),
)
@click.argument("output", type=PATH)
@run_root_options
@click.option("--sequence", help="Which sequence, where the run has several.")
@click.option("--frames", default="", callback=comma_list, help="Frames to draw, with commas.  [default: all labelled]")
@click.option("--to", "destination", type=PATH, help="Folder for PNG, or an .mp4 or .gif.  [default: OUTPUT/pictures]")
@click.option("--fps", default=5.0, show_default=True, help="Frames a second of a film.")
def visualize_voxels(
    *,
    output: Location,
    root: Location,
    sequence: str | None,
    frames: tuple[str, ...],
    destination: Location | None,
    fps: float,
) -> None:
    """Draw the voxels of the run in OUTPUT below the images, from the same cameras, and from above; and the truth."""
    from vsrd_ray.labels.voxels.pictures import visualize_voxels as draw
    from vsrd_ray.runs.folder import RunFolder
    from vsrd_ray.runs.paths import RunPaths

    if not all(frame.isdecimal() for frame in frames):
        raise InputError(f"--frames {','.join(frames)}: expected frame numbers with commas between them")
    run = RunFolder(output, root)
    names = run.inputs.sequences
    if sequence is None and len(names) != 1:
        raise InputError(f"{output} holds {len(names)} sequences: say which with --sequence")
    name = names[0] if sequence is None else sequence
    if name not in names:
        raise InputError(f"{output} holds no sequence {name!r}: give one of {', '.join(names)}")
    place = destination or RunPaths(output).pictures
    count = draw(run, name, place, frames=[int(frame) for frame in frames], frames_per_second=fps)
    click.echo(f"{count} frames of {name} drawn to {place}")
