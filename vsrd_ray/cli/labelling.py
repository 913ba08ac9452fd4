"""Label sequences."""
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrd_ray.cli.options import camera_option, classes_option, config_options, root_option

if TYPE_CHECKING:
    from vsrd_ray.data.storage import Location

EXIT_FAILED_GROUPS = 3


@click.command()
@root_option
@click.option("--sequence", "sequences", multiple=True, required=True, help="Sequence to label; may be repeated.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder for the results.  [default: ./outputs/<sequence>]"
)
@config_options
@classes_option
@camera_option
@click.option(
    "--grouping",
    type=click.Choice(["vsrd", "scene"]),
    help="Fit frame groups as published, or each instance once over the scene: short for --set grouping.kind=…",
)
@click.option("--limit", type=click.IntRange(min=1), help="Label the first LIMIT frame groups alone.")
@click.option("--num-actors", metavar="N|MIN:MAX", help="Workers.  [default: one a GPU, or without one, one a core]")
@click.option("--num-gpus", type=float, help="GPUs of a worker, such as 0.5.  [default: 1 where there are GPUs]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Device.")
@click.option("--trace", is_flag=True, help="Keep losses and boxes over the steps, under OUTPUT/trace.")
@click.option("--dashboard", is_flag=True, help="Start Ray's dashboard and say where it is.")
@click.option("--verbose", is_flag=True, help="Show Ray's own messages too.")
@click.pass_context
def label(
    ctx: click.Context,
    *,
    root: Location,
    sequences: tuple[str, ...],
    output: Path | None,
    config: str,
    overrides: tuple[str, ...],
    grouping: str | None,
    classes: tuple[str, ...],
    camera: str,
    num_actors: str | None,
    num_gpus: float | None,
    device: Any,
    **others: Any,
) -> None:
    """Label sequences: 3D boxes for every frame group, into OUTPUT.

    ROOT is a folder, or a URI such as s3://bucket/folder. Interrupted or killed, the same command goes on where it was.
    Failed groups are tried again.
    """
    from vsrd_ray.config import load_config
    from vsrd_ray.pipeline.pool import PoolRequest, parse_num_actors
    from vsrd_ray.pipeline.request import LabelRequest, default_output, format_summary
    from vsrd_ray.pipeline.run import label as run

    if grouping is not None:
        overrides = (*overrides, f"grouping.kind={grouping}")
    request = LabelRequest(
        root=root,
        sequences=sequences,
        output=output or default_output(sequences),
        config=load_config(config, overrides),
        camera=camera,
        classes=classes,
        pool=PoolRequest(parse_num_actors(num_actors) if num_actors else None, num_gpus, device),
        **others,
    )
    summary = run(request)
    click.echo(format_summary(summary))
    if summary.counts.groups_failed:
        ctx.exit(EXIT_FAILED_GROUPS)
