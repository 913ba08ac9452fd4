"""`vsrd-ray density`: a trained network on one's own images."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from vsrd_ray.options import PATH

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
