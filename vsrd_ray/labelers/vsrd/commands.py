"""Commands of VSRD: files of its published tools, and shape priors."""
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsrd_ray.errors import ConfigError
from vsrd_ray.options import (
    PATH,
    camera_option,
    classes_option,
    config_options,
    example,
    progress_bar,
    root_option,
    sequence_option,
)

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


_WRITABLE = "copy the dataset to where this account may write, and name the copy as --root"


@click.command(
    short_help="Write VSRD's annotation JSON of a sequence.",
    epilog=example("annotate --root street --sequence 2013_05_28_drive_0000_sync"),
)
@root_option
@sequence_option
@camera_option
def annotate(root: Location, sequence: str, camera: str) -> None:
    """Write VSRD's annotation JSON of a sequence to ROOT/annotations.

    The files hold the box XML's truth where it is there: they are for research, and `label` never reads them.
    """
    from vsrd_ray.labelers.vsrd.published.annotations import annotate as run
    from vsrd_ray.storage.targets import check_folder

    check_folder(root / "annotations", fix=_WRITABLE)
    count = run(root, sequence, camera, progress_bar("frame"))
    click.echo(f"{count} annotations written to {root / 'annotations' / sequence}")


@click.command(
    short_help="Write VSRD's text files of frame groups.",
    epilog=example("sample --root street --sequence 2013_05_28_drive_0000_sync"),
)
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
    from vsrd_ray.labelers.vsrd.config import VSRDConfig
    from vsrd_ray.labelers.vsrd.published.filenames import sample as run
    from vsrd_ray.storage.targets import check_folder

    loaded = load_config(config, overrides)
    if not isinstance(loaded, VSRDConfig):
        raise ConfigError(
            f"--config {config}: expected a configuration of the labeler vsrd, got one of {loaded.labeler}"
        )
    settings = loaded.grouping
    check_folder(root / "filenames", fix=_WRITABLE)
    groups = run(root, sequence, camera, settings, classes)
    click.echo(f"{len(groups)} groups written to {root / 'filenames' / settings.name / sequence}")


@click.command(
    "train-prior", short_help="Learn the shapes of vehicle bodies.", epilog=example("train-prior car shapes.npz")
)
@click.argument("family", type=click.Choice(["car", "box"]))
@click.argument("out", type=PATH)
@click.option("--samples", type=click.IntRange(min=100), default=4000, show_default=True, help="Random bodies.")
@click.option("--latents", type=click.IntRange(1, 32), default=8, show_default=True, help="Components that are kept.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random bodies.")
@click.option("--shapes", type=PATH, help="Mesh of a vehicle (.obj, .ply), or a folder of them, to learn from.")
def train_prior(*, family: str, out: Location, samples: int, latents: int, seed: int, shapes: Location | None) -> None:
    """Learn the shapes of a FAMILY of vehicle bodies, and write them to OUT (.npz).

    `car` is for passenger cars, `box` for trucks, buses, caravans and trailers. The priors that ship with the package
    are what this command makes with its defaults. Use another with --set box.sizes.car.body=OUT.
    With --shapes, bodies of the family are fitted to meshes of your own: one vehicle each, x forward, y left, z up.
    """
    from vsrd_ray.labelers.vsrd.meshes import mesh_files
    from vsrd_ray.labelers.vsrd.priors import prior_of_meshes, save_prior
    from vsrd_ray.labelers.vsrd.priors import train_prior as run
    from vsrd_ray.storage.targets import check_file

    check_file(out, kind="NumPy", suffixes=(".npz",), fix="give another OUT")
    if shapes is not None:
        files, tell = mesh_files(shapes), progress_bar("mesh")
        save_prior(prior_of_meshes(family, files, samples=samples, latents=latents, seed=seed, progress=tell), out)
        click.echo(f"{latents} shapes of {len(files)} meshes, as bodies of the family {family}, written to {out}")
        return
    prior = run(family, samples=samples, latents=latents, seed=seed)
    save_prior(prior, out)
    click.echo(f"{latents} shapes of {samples} bodies of the family {family} written to {out}")


@click.group(short_help="Draw masks and labels on the images, and from above.")
def visualize() -> None:
    """Draw masks and boxes on the images, and the street from above."""


@visualize.command(
    "annotations",
    short_help="Draw VSRD's annotations.",
    epilog=example("visualize annotations --root street --sequence 2013_05_28_drive_0000_sync"),
)
@root_option
@sequence_option
@camera_option
@classes_option
@click.option(
    "--to",
    "destination",
    type=PATH,
    help="Folder for PNG, or an .mp4 or .gif.  [default: ./outputs/annotations/<sequence>]",
)
def visualize_annotations(
    root: Location, sequence: str, camera: str, classes: tuple[str, ...], destination: Location | None
) -> None:
    """Draw the annotations that `vsrd-ray annotate` wrote."""
    from vsrd_ray.labelers.vsrd.published.pictures import visualize_annotations as run

    destination = destination or Path("outputs", "annotations", sequence)
    count = run(root, sequence, camera, destination, classes=classes, progress=progress_bar("picture"))
    click.echo(f"{count} pictures written to {destination}")
