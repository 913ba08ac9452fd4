"""`vsrd-ray density`, a trained network on one's own images, and `vsrd-ray render`, films of depth and density."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from vsrd_ray.labels.commands import run_root_options
from vsrd_ray.options import PATH, example

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


@click.command(
    short_help="Depth, profile and points of images by a network.",
    epilog="\b\nExample:\n  vsrd-ray density road.png --intrinsics kitti360 --checkpoint STUDENT --output seen",
)
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--intrinsics",
    required=True,
    metavar="FX,FY,CX,CY",
    help="Of the images, in pixels; or kitti360 or kitti_raw, for images that are cut as those are.",
)
@click.option("--checkpoint", type=PATH, required=True, help="Run of `vsrd-ray train`, or a checkpoint's file.")
@click.option(
    "--role", type=click.Choice(["student", "teacher"]), default="student", show_default=True, help="Whose head."
)
@click.option("--output", type=PATH, required=True, help="Folder to write.")
def density(
    *,
    images: tuple[Location, ...],
    intrinsics: str,
    checkpoint: Location,
    role: Literal["student", "teacher"],
    output: Location,
) -> None:
    """Run a trained network on images of one's own, each for itself.

    For IMAGE.png, OUTPUT gets IMAGE-depth.png (16 bits, 256ths of a metre), IMAGE-seen.png (the image over its depth,
    beside the profile) and IMAGE.ply (what is nearer than 40 m, in the camera's axes).
    """
    from vsrd_ray.labelers.density.networks.own_images import label_images

    for line in label_images(images, intrinsics, checkpoint=checkpoint, role=role, output=output):
        click.echo(line)


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
@click.option("--sequence", help="Which sequence, where the run has several; for a network, any of ROOT.")
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
    """Film the depth or the density field of the run in OUTPUT, as H.264.

    Of a run of training, what its best network says of a drive of ROOT is filmed; nothing is labelled before.
    """
    from vsrd_ray.labelers.density.networks.films import FilmedNetwork
    from vsrd_ray.labels.depth.films import FilmedLabels, write_film
    from vsrd_ray.runs.folder import RunFolder
    from vsrd_ray.runs.paths import RunPaths, is_training
    from vsrd_ray.visualization.video import check_destination

    destination = destination or RunPaths(output).film(what)
    check_destination(destination)
    filmed = FilmedNetwork(output, root) if is_training(output) else FilmedLabels(RunFolder(output, root))
    click.echo(write_film(filmed, destination, what=what, sequence=sequence, frame=frame))
