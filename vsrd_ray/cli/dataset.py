"""Built-in streets."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vsrd_ray.errors import InputError
from vsrd_ray.options import PATH, progress_bar

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


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
def synthesize(out: Location, image_size: str | None, **others: Any) -> None:
    """Write a built-in street with known boxes to OUT, in KITTI-360's layout."""
    from pydantic import ValidationError

    from vsrd_ray.synthetic import StreetSettings
    from vsrd_ray.synthetic import synthesize as run

    given = {name: value for name, value in others.items() if value is not None}
    if image_size is not None:
        given["image_size"] = _parse_size(image_size)
    try:
        settings = StreetSettings.model_validate(given)
    except ValidationError as error:
        raise InputError("; ".join(map(_explain, error.errors()))) from error
    run(out, settings, progress_bar("frame"))
    num_others = sum(settings.others.values())
    click.echo(
        f"{settings.sequence} written to {out}: {settings.frames} frames, {settings.cars + settings.moving} cars"
        + (f", {num_others} other vehicles" if num_others else "")
    )
    click.echo(f"Next: vsrd-ray label --root {out} --sequence {settings.sequence}")


def _parse_size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise InputError(f"--image-size {text}: expected WIDTHxHEIGHT, such as 1408x376") from None
    return width, height


def _explain(error: Any) -> str:
    if not error["loc"]:
        return error["msg"]
    return f"--{str(error['loc'][0]).replace('_', '-')}: {error['msg']} (got {error['input']})"
