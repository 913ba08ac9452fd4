"""What is installed: datasets, labelers and kinds of label."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from vsrd_ray.options import PATH, example, sequences_option

if TYPE_CHECKING:
    from vsrd_ray.storage import Location

EXIT_NOTHING_USABLE = 2


@click.group(invoke_without_command=True, short_help="List datasets that can be read, or check drives of one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def datasets(ctx: click.Context, as_json: bool) -> None:
    """List the datasets that can be read: their cameras, layers and truth; or check drives of one."""
    from vsrd_ray import plugins
    from vsrd_ray.datasets.base import dataset_named

    if ctx.invoked_subcommand is not None:
        return
    found = [dataset_named(name) for name in plugins.installed("datasets")]
    _show(
        {
            one.name: {
                "summary": one.summary,
                "cameras": list(one.cameras),
                "layers": list(one.layers),
                "truth": list(one.truths),
            }
            for one in found
        },
        as_json=as_json,
    )


@datasets.command(short_help="Say what drives have, lack and are good for.", epilog=example("datasets check street"))
@click.argument("root", type=PATH)
@sequences_option("Sequence to look at; may be repeated.  [default: every one]")
@click.option("--dataset", metavar="NAME", help="See `vsrd-ray datasets`.  [default: the one whose layout ROOT has]")
@click.option("--camera", help="Which camera.  [default: the dataset's first]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(
    ctx: click.Context,
    *,
    root: Location,
    sequences: tuple[str, ...],
    dataset: str | None,
    camera: str | None,
    as_json: bool,
) -> None:
    """Say what drives under ROOT have, lack and are good for. A few images and masks are read, and nothing is written.

    Exit code 2 if none of the drives can be labelled by anything that is installed, else 0.
    """
    from vsrd_ray.datasets.base import dataset_named, dataset_of
    from vsrd_ray.pipeline.check import check_drives, format_check

    found = dataset_of(root) if dataset is None else dataset_named(dataset)
    drives = check_drives(found, root, sequences or None, camera=camera)
    if as_json:
        values = {one.name: one.values() for one in drives}
        click.echo(json.dumps({"root": str(root), "dataset": found.name, "drives": values}, indent=2, allow_nan=False))
    else:
        usable = sum(one.is_usable for one in drives)
        click.echo(f"{root}: {found.title}, {usable} of {len(drives)} drives can be labelled\n")
        click.echo("\n\n".join(map(format_check, drives)))
    if not any(one.is_usable for one in drives):
        ctx.exit(EXIT_NOTHING_USABLE)


@click.command(short_help="List labelers: needs, labels, configurations.", epilog=example("labelers"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def labelers(as_json: bool) -> None:
    """List the labelers that can be named by a configuration: what each needs, what it writes, what it ships."""
    from vsrd_ray import plugins
    from vsrd_ray.labelers.configs import configs_of, load_config
    from vsrd_ray.labels.base import kind_named

    rows: dict[str, dict[str, object]] = {}
    for name in plugins.installed("labelers"):
        spec, configs = plugins.load("labelers", name), configs_of(name)
        needs = {layer: None for config in configs for layer in spec.needs(load_config(config)).layers}
        rows[name] = {
            "summary": spec.summary,
            "needs": list(needs),
            "writes": [f"{kind} ({kind_named(kind).summary})" for kind in spec.writes],
            "configs": configs,
        }
    _show(rows, as_json=as_json)


def _show(rows: dict[str, dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for name, facts in rows.items():
        click.echo(f"{name}: {facts['summary']}")
        for fact, values in facts.items():
            if isinstance(values, list):
                click.echo(f"  {fact:8} {', '.join(map(str, values)) or 'none'}")
