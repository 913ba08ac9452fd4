"""Built-in streets."""
# ruff: noqa: PLC0415

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from vsrd_ray.errors import InputError
from vsrd_ray.options import PATH, progress_bar

if TYPE_CHECKING:
    from vsrd_ray.storage import Location

_LAYERS_HELP = """\
Comma-separated: depth (a map an image), lidar (sweeps), semantics (a class a pixel), panoptic (class and instance of
LiDAR points), occupancy (voxels), right (the second camera), fisheye (two, to the sides), surround (six, and a LiDAR,
as nuScenes has them), or all.  [default: none]"""


@click.command()
@click.argument("out", type=PATH)
@click.option("--frames", type=int, help="Frames of the drive.  [default: 60]")
@click.option("--cars", type=int, help="Parked cars.  [default: 12]")
@click.option("--moving", type=int, help="Cars that drive.  [default: 0]")
@click.option("--trucks", type=int, help="Parked trucks.  [default: 0]")
@click.option("--buses", type=int, help="Parked buses.  [default: 0]")
@click.option("--caravans", type=int, help="Parked caravans.  [default: 0]")
@click.option("--trailers", type=int, help="Parked trailers.  [default: 0]")
@click.option("--seed", type=int, help="Another seed, another street.  [default: 0]")
@click.option("--image-size", metavar="WxH", help="Pixels.  [default: 1408x376]")
@click.option("--mask-noise", type=float, help="Roughness of mask outlines, pixels.  [default: 1]")
@click.option("--sequence", help="Name of the sequence.  [default: 2013_05_28_drive_0000_sync]")
@click.option("--layers", metavar="NAMES", help=_LAYERS_HELP)
@click.option(
    "--texture",
    type=click.Choice(["plain", "rich"]),
    help="rich: marks on every surface, fine enough to match images by their colours.  [default: plain]",
)
@click.option("--exact-depth", is_flag=True, default=None, help="Beside 16-bit depth maps, write float32 .npy.")
@click.option("--lidar-rings", type=int, help="Rings of the LiDAR.  [default: 64]")
@click.option("--lidar-columns", type=int, help="Rays of a ring in one turn.  [default: 2048]")
@click.option("--lidar-noise", type=float, help="Standard deviation of ranges, metres.  [default: 0.02]")
@click.option("--lidar-dropout", type=float, help="Share of returns that are lost nearby.  [default: 0.04]")
@click.option("--lidar-range", type=float, help="Farthest return, metres.  [default: 100]")
@click.option(
    "--lidar-motion", is_flag=True, default=None, help="Points are where the moving sensor saw them: not corrected."
)
@click.option("--lidar-delay", type=float, help="Seconds from an image to the middle of its sweep.  [default: 0]")
@click.option(
    "--occupancy-grid",
    type=click.Choice(["occ3d", "sscbench"]),
    help="occ3d: 200 x 200 x 16 voxels of 0.4 m; sscbench: 256 x 256 x 32 of 0.2 m, ahead.  [default: occ3d]",
)
@click.option("--fisheye-side", type=int, help="Pixels of the square fisheye images.  [default: 448]")
@click.option("--surround-size", metavar="WxH", help="Pixels of the six images around.  [default: 416x234]")
@click.option("--keyframe-every", type=int, help="Frames from one nuScenes sample to the next.  [default: 5]")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes that render frames.  [default: one a core]")
def synthesize(
    out: Location,
    image_size: str | None,
    surround_size: str | None,
    layers: str | None,
    jobs: int | None,
    **others: Any,
) -> None:
    """Write a built-in street with known boxes to OUT, in KITTI-360's layout.

    Layers add what other labelers read, with exact truth: docs/street.md says what each holds and where.
    """
    from pydantic import ValidationError

    from vsrd_ray.pipeline.cores import num_cores
    from vsrd_ray.synthetic import StreetSettings
    from vsrd_ray.synthetic import synthesize as run

    given = {name: value for name, value in others.items() if value is not None}
    if image_size is not None:
        given["image_size"] = _parse_size(image_size, "--image-size")
    if surround_size is not None:
        given["surround_size"] = _parse_size(surround_size, "--surround-size")
    if layers is not None:
        given["layers"] = [name.strip() for name in layers.split(",") if name.strip()]
    try:
        settings = StreetSettings.model_validate(given)
    except ValidationError as error:
        raise InputError("; ".join(map(_explain, error.errors()))) from error
    written = run(out, settings, progress_bar("frame"), jobs=jobs or num_cores())
    num_others = sum(settings.others.values())
    click.echo(
        f"{settings.sequence} written to {out}: {settings.frames} frames, {settings.cars + settings.moving} cars"
        + (f", {num_others} other vehicles" if num_others else "")
    )
    if settings.layers:
        for name, place in written:
            click.echo(f"  {name}: {place}")
    click.echo(f"Next: vsrd-ray label --root {shlex.quote(str(out))} --sequence {settings.sequence}")


def _parse_size(text: str, option: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise InputError(f"{option} {text}: expected WIDTHxHEIGHT, such as 1408x376") from None
    return width, height


def _explain(error: Any) -> str:
    if not error["loc"]:
        return error["msg"]
    if error["type"] == "value_error":  # it says what was got
        return f"--{str(error['loc'][0]).replace('_', '-')}: {error['ctx']['error']}"
    return f"--{str(error['loc'][0]).replace('_', '-')}: {error['msg']} (got {error['input']})"
