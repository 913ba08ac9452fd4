"""Train networks of labelers."""
# ruff: noqa: PLC0415

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from vsrd_ray.errors import InputError
from vsrd_ray.options import PATH, example, root_option, sequences_option

if TYPE_CHECKING:
    pass


def _shipped(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of configurations, for the shell to complete."""
    from vsrd_ray.labelers.trainables import shipped_training_configs

    return [name for name in shipped_training_configs() if name.startswith(incomplete)]


@click.command(
    short_help="Train a network of a labeler.",
    epilog=example("train --config colours --root street --sequence all --output colours"),
)
@root_option
@sequences_option("Sequence to train on; may be repeated. `all`: every one.", required=True)
@click.option(
    "--val-sequence", "val_sequences", multiple=True, help="Sequence to validate on.  [default: samples held out]"
)
@click.option("--output", type=PATH, required=True, help="Folder of the run; `RUN` of other commands.")
@click.option(
    "--config", required=True, shell_complete=_shipped, help="Configuration of training that ships, or a YAML file."
)
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a value; may be repeated.")
@click.option("--teacher", type=PATH, metavar="RUN", help="Run, or output of labelling, to learn from.")
@click.option("--init", type=PATH, metavar="RUN", help="Run, or checkpoint, of the weights to start with.")
@click.option("--cache", type=PATH, help="Folder for samples that are prepared once.  [default: OUTPUT/cache]")
@click.option("--camera", help="Which camera.  [default: the dataset's first, or all where they are needed]")
@click.option("--dataset", metavar="NAME", help="See `vsrd-ray datasets`.  [default: the one whose layout ROOT has]")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Of Ray Train; 0: no Ray.")
@click.option("--num-cpus", type=click.IntRange(min=1), default=1, show_default=True, help="CPUs of a worker.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Device.")
@click.option(
    "--address",
    metavar="auto|HOST:PORT",
    envvar="RAY_ADDRESS",
    show_envvar=True,
    help="Ray cluster to train on, from one of its nodes.  [default: a Ray of its own on this machine]",
)
@click.option(
    "--max-attempts",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Starts of the workers, before training counts as failed.",
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of messages."
)
@click.option("--verbose", is_flag=True, help="Show Ray's own messages too.")
def train(
    config: str, overrides: tuple[str, ...], workers: int, address: str | None, log_format: str, **others: Any
) -> None:
    """Train a network of a labeler into OUTPUT, from posed images.

    Interrupted or killed, the same command goes on from the newest checkpoint. Without --workers it trains in this
    process; with them, on Ray, to the same losses.
    """
    from vsrd_ray.cli.labelling import JsonLines
    from vsrd_ray.engines import train as run
    from vsrd_ray.labelers.trainables import load_training_config
    from vsrd_ray.pipeline.training import TrainRequest, format_train_summary

    if log_format == "json":
        for handler in logging.getLogger("vsrd_ray").handlers:
            handler.setFormatter(JsonLines())
    if others["verbose"]:
        logging.getLogger("vsrd_ray").setLevel(logging.DEBUG)
    source = click.get_current_context().get_parameter_source("address")
    if address is not None and not workers and source is click.core.ParameterSource.COMMANDLINE:
        raise InputError(f"--address {address}: without --workers nothing runs on Ray: give both, or neither")
    request = TrainRequest(
        settings=load_training_config(config, overrides),
        title=" ".join([config, *(f"--set {one}" for one in overrides)]),
        workers=workers,
        address=address,
        show_bar=log_format == "text",
        **others,
    )
    click.echo(format_train_summary(run(request)))
