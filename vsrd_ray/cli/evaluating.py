"""Compare labels with ground truth."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vsrd_ray.cli.options import PATH, prefer_option, root_option
from vsrd_ray.labels.boxes.criteria import MAX_RANGE

if TYPE_CHECKING:
    from vsrd_ray.storage import Location


@click.command()
@click.argument("output", type=PATH, required=False)
@root_option
@click.option("--compare", nargs=2, type=PATH, metavar="A B", help="Compare two runs, in place of OUTPUT.")
@click.option(
    "--max-range", default=MAX_RANGE, show_default=True, help="Farthest true box that counts, metres; not for AP."
)
@click.option("--official", is_flag=True, help="Give the IoU of KITTI-360's own evaluation too.")
@prefer_option
@click.option(
    "--address",
    metavar="auto|HOST:PORT",
    envvar="RAY_ADDRESS",
    show_envvar=True,
    help="Ray cluster to evaluate sequences side by side on.  [default: this one process, without Ray]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(
    *,
    output: Location | None,
    root: Location,
    compare: tuple[Location, Location] | None,
    official: bool,
    address: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare the labels in OUTPUT with the box XML of ROOT; also written to OUTPUT/evaluation.json.

    With --compare, two runs side by side over the parked vehicles that both could label, with the 95 % interval of each
    difference; nothing is written.
    """
    if (output is None) == (compare is None):
        raise click.UsageError("give either OUTPUT, or --compare A B")
    if output is not None:
        click.echo(_evaluated(output, root, as_json=as_json, official=official, **_spread(address), **options))
    elif compare is not None:
        if official:
            raise click.UsageError("--official is for one run: leave it out, or --compare")
        click.echo(_compared(compare, root, as_json=as_json, **_spread(address), **options))


def _spread(address: str | None) -> dict[str, Any]:
    """The argument by which sequences go to a cluster, if there is one."""
    if address is None:
        return {}
    from vsrd_ray.engines.ray_data.evaluating import on_ray

    return {"spread": on_ray(address)}


def _evaluated(output: Location, root: Location, *, as_json: bool, **options: Any) -> str:
    from vsrd_ray.labels.boxes.evaluation import evaluate_run, format_report

    report = evaluate_run(output, root, **options)
    return (output / "evaluation.json").read_text().rstrip() if as_json else format_report(report)


def _compared(runs: tuple[Location, Location], root: Location, *, as_json: bool, **options: Any) -> str:
    from vsrd_ray.labels.boxes.evaluation import compare_runs, format_comparison
    from vsrd_ray.labels.boxes.evaluation.run import without_nan

    comparison = compare_runs(*runs, root, **options)
    if as_json:
        return json.dumps(without_nan(asdict(comparison)), indent=2)
    return format_comparison(comparison, (str(runs[0]), str(runs[1])))
