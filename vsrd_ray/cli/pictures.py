"""Look at masks, labels and truth."""
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path

import click

from vsrd_ray.cli.options import (
    PATH,
    camera_option,
    classes_option,
    root_option,
    sequence_option,
)


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
    output: Path, root: Path, sequence: str | None, destination: Path | None, sheet: Path | None
) -> None:
    """Draw the labels of the run in OUTPUT, with ground truth where ROOT has it."""
    from vsrd_ray.visualization.sheet import write_sheet
    from vsrd_ray.visualization.video import visualize_labels as run

    if sheet is not None:
        write_sheet(output, root, sheet, sequence=sequence)
        click.echo(f"Sheet written to {sheet}")
    if destination is not None or sheet is None:
        destination = destination or output / "pictures"
        count = run(output, root, destination, sequence=sequence)
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
    root: Path, sequence: str, camera: str, classes: tuple[str, ...], destination: Path | None
) -> None:
    """Draw the annotations that `vsrd-ray annotate` wrote."""
    from vsrd_ray.visualization.video import visualize_annotations as run

    destination = destination or Path("outputs", "annotations", sequence)
    count = run(root, sequence, camera, destination, classes=classes)
    click.echo(f"{count} pictures written to {destination}")
