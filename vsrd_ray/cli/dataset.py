"""Built-in streets, the files of the published tools, and shape priors."""
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrd_ray.cli.options import (
    PATH,
    camera_option,
    classes_option,
    config_options,
    progress_bar,
    root_option,
    sequence_option,
)
from vsrd_ray.errors import InputError

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


@click.command()
@root_option
@sequence_option
@camera_option
def annotate(root: Location, sequence: str, camera: str) -> None:
    """Write VSRD's annotation JSON of a sequence to ROOT/annotations.

    The files hold the box XML's truth where it is there: they are for research, and `label` never reads them.
    """
    from vsrd_ray.datasets.kitti360.annotations import annotate as run

    count = run(root, sequence, camera, progress_bar("frame"))
    click.echo(f"{count} annotations written to {root / 'annotations' / sequence}")


@click.command()
@root_option
@sequence_option
@camera_option
@classes_option
@config_options
def sample(
    *, root: Location, sequence: str, camera: str, classes: tuple[str, ...], config: str, overrides: tuple[str, ...]
) -> None:
    """Write VSRD's text files of frame groups to ROOT/filenames.

    Of the configuration, `grouping` alone counts; groups are the published ones whatever its kind.
    """
    from vsrd_ray.labelers.configs import load_config
    from vsrd_ray.labelers.vsrd.filenames import sample as run

    settings = load_config(config, overrides).grouping
    groups = run(root, sequence, camera, settings, classes)
    click.echo(f"{len(groups)} groups written to {root / 'filenames' / settings.name / sequence}")


@click.command("train-prior")
@click.argument("family", type=click.Choice(["car", "box"]))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--samples", type=click.IntRange(min=100), default=4000, show_default=True, help="Random bodies.")
@click.option("--latents", type=click.IntRange(1, 32), default=8, show_default=True, help="Components that are kept.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random bodies.")
def train_prior(family: str, out: Path, samples: int, latents: int, seed: int) -> None:
    """Learn the shapes of a FAMILY of vehicle bodies, and write them to OUT (.npz).

    `car` is for passenger cars, `box` for trucks, buses, caravans and trailers. The priors that ship with the package
    are what this command makes with its defaults. Use another with --set box.sizes.car.body=OUT.
    """
    from vsrd_ray.labelers.vsrd.priors import save_prior
    from vsrd_ray.labelers.vsrd.priors import train_prior as run

    prior = run(family, samples=samples, latents=latents, seed=seed)
    save_prior(prior, out)
    click.echo(f"{latents} shapes of {samples} bodies of the family {family} written to {out}")


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
