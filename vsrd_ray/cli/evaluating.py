"""Compare labels with ground truth."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vsrd_ray.cli.options import PATH, root_option

if TYPE_CHECKING:
    from vsrd_ray.data.storage import Location


@click.command()
@click.argument("output", type=PATH)
@root_option
@click.option("--max-range", default=40.0, show_default=True, help="Farthest true box that counts, metres.")
@click.option("--official", is_flag=True, help="Give the IoU of KITTI-360's own evaluation too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(output: Location, root: Location, max_range: float, official: bool, as_json: bool) -> None:
    """Compare the labels in OUTPUT with the box XML of ROOT; also written to OUTPUT/evaluation.json."""
    from vsrd_ray.evaluation import evaluate_run, format_report

    report = evaluate_run(output, root, max_range=max_range, official=official)
    click.echo((output / "evaluation.json").read_text().rstrip() if as_json else format_report(report))
