"""What is installed: datasets, labelers and kinds of label."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def datasets(as_json: bool) -> None:
    """List the datasets that can be read: their cameras, layers and truth."""
    from vsrd_ray import plugins
    from vsrd_ray.datasets.base import dataset_named

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


@click.command()
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
