"""Labels in the formats of others."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vsrd_ray.cli.options import PATH, camera_option, classes_option

if TYPE_CHECKING:
    from vsrd_ray.data.storage import Location


@click.command()
@click.argument("output", type=PATH, required=False)
@click.option("--to", "destination", type=PATH, required=True, help="Folder for <sequence>/<camera>/label_2/*.txt.")
@click.option("--truth", is_flag=True, help="Convert the box XML of a sequence under ROOT, in place of labels.")
@click.option("--root", type=PATH, envvar="KITTI360_DATASET", show_envvar=True, help="Dataset, with --truth.")
@click.option("--sequence", help="Sequence, with --truth.")
@camera_option
@classes_option
def convert(
    *,
    output: Location | None,
    destination: Location,
    truth: bool,
    root: Location | None,
    sequence: str | None,
    camera: str,
    classes: tuple[str, ...],
) -> None:
    """Turn the labels of the run in OUTPUT, or with --truth the box XML, into KITTI text."""
    from vsrd_ray.labels.convert import labels_to_kitti, truth_to_kitti

    if truth == (output is not None):
        raise click.UsageError("give either OUTPUT, or --truth with --root and --sequence")
    if output is not None:
        count = labels_to_kitti(output, destination)
    elif root is None or sequence is None:
        raise click.UsageError("--truth needs --root and --sequence")
    else:
        count = truth_to_kitti(root, sequence, camera, destination, classes=classes)
    click.echo(f"{count} label files written to {destination}")
