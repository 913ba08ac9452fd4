"""Look at masks, labels and truth."""
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsrd_ray.cli.options import (
    PATH,
    camera_option,
    classes_option,
    progress_bar,
    root_option,
    sequence_option,
)

if TYPE_CHECKING:
    from vsrd_ray.data.storage import Location


@click.group()
def visualize() -> None:
    """Draw masks and boxes on the images, and the street from above."""


@visualize.command("labels")
@click.argument("output", type=PATH)
@root_option
@click.option("--sequence", help="Which sequence, where the run has several.")
@click.option("--to", "destination", type=PATH, help="Folder for PNG, or an .mp4 or .gif.  [default: OUTPUT/pictures]")
@click.option("--sheet", type=PATH, help="Draw one PNG sheet of the whole run there; with --to, the pictures as well.")
def visualize_labels(
    output: Location, root: Location, sequence: str | None, destination: Location | None, sheet: Location | None
) -> None:
    """Draw the labels of the run in OUTPUT, with ground truth where ROOT has it."""
    from vsrd_ray.visualization.sheet import write_sheet
    from vsrd_ray.visualization.video import visualize_labels as run

    if sheet is not None:
        write_sheet(output, root, sheet, sequence=sequence)
        click.echo(f"Sheet written to {sheet}")
    if destination is not None or sheet is None:
        destination = destination or output / "pictures"
        count = run(output, root, destination, sequence=sequence, progress=progress_bar("picture"))
        click.echo(f"{count} pictures written to {destination}")


@visualize.command("annotations")
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
    from vsrd_ray.visualization.video import visualize_annotations as run

    destination = destination or Path("outputs", "annotations", sequence)
    count = run(root, sequence, camera, destination, classes=classes, progress=progress_bar("picture"))
    click.echo(f"{count} pictures written to {destination}")
