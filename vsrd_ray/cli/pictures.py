"""Look at masks, labels and truth."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrd_ray.cli.options import (
    PATH,
    camera_option,
    classes_option,
    prefer_option,
    progress_bar,
    root_option,
    sequence_option,
)
from vsrd_ray.errors import ConfigError, one_line

if TYPE_CHECKING:
    from vsrd_ray.labels.boxes.parquet import Preference
    from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)


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
    from vsrd_ray.labels.boxes.pictures.images import visualize_labels as run
    from vsrd_ray.labels.boxes.pictures.sheet import write_sheet

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
    from vsrd_ray.labels.boxes.pictures.images import visualize_annotations as run

    destination = destination or Path("outputs", "annotations", sequence)
    count = run(root, sequence, camera, destination, classes=classes, progress=progress_bar("picture"))
    click.echo(f"{count} pictures written to {destination}")


@click.command()
@click.argument("output", type=PATH)
@root_option
@click.option("--output", "destination", type=PATH, help="HTML file to write.  [default: OUTPUT/report.html]")
@click.option("--sequence", "sequences", multiple=True, help="Which sequences; may be repeated.  [default: all]")
@prefer_option
def report(
    output: Location,
    root: Location,
    destination: Location | None,
    sequences: tuple[str, ...],
    prefer: Preference,
) -> None:
    """Write one HTML file that shows the run in OUTPUT: quality, a map, every frame and every instance, worst first.

    The file needs nothing else, and no network. It stays below 30 MB: of long sequences it holds chosen pictures.
    """
    from vsrd_ray.labels.boxes.report import write_report

    destination = destination or output / "report.html"
    written = write_report(
        output,
        root,
        destination,
        sequences=sequences,
        prefer=prefer,
        quality=partial(_quality, output, root, prefer),
        solids=_fitted_bodies(output),
        progress=progress_bar("frame"),
    )
    click.echo(
        f"Report written to {destination}: {written.num_bytes / 1e6:.1f} MB, {written.instances} instances, "
        f"pictures of {written.frame_pictures} of {written.frames} frames"
    )
    if written.left_out:
        click.echo(
            f"{written.left_out} further instances, the least doubtful, were left out to keep the file small: report "
            "fewer sequences at once, with --sequence, to have them"
        )


def _quality(output: Location, root: Location, prefer: Preference, sequences: Sequence[str]) -> dict[str, Any]:
    from dataclasses import asdict

    from vsrd_ray.labels.boxes.criteria import MAX_RANGE
    from vsrd_ray.labels.boxes.evaluation.quality import quality_report
    from vsrd_ray.labels.boxes.evaluation.run import what_to_evaluate, without_nan
    from vsrd_ray.labels.boxes.evaluation.sequences import evaluate_sequence

    _, criteria = what_to_evaluate(output, max_range=MAX_RANGE, classes=None, official=False, prefer=prefer)
    results = {name: evaluate_sequence(output, root, name, criteria) for name in sequences}
    return without_nan(asdict(quality_report(results, criteria)))


def _fitted_bodies(output: Location) -> Callable[[dict[str, Any]], list[Any]] | None:
    """Makes the bodies behind a run's labels; None for a run whose settings this version no longer understands."""
    from pydantic import ValidationError

    from vsrd_ray.labelers.vsrd.config import VSRDConfig
    from vsrd_ray.labelers.vsrd.shapes import LabelBodies
    from vsrd_ray.runs.folder import read_inputs

    read_inputs(output)  # says what is wrong with a folder that is no run
    settings = json.loads((output / "manifest.json").read_text()).get("config")
    try:
        return LabelBodies(VSRDConfig.model_validate(settings)).solids
    except (ValidationError, ConfigError) as error:
        why = one_line(error) if isinstance(error, ConfigError) else "the run's settings are of another version"
        logger.warning("Boxes are drawn in place of fitted bodies: %s", why)
        return None
