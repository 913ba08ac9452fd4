"""Label sequences, and ask how far a run is."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vsrd_ray.errors import InputError
from vsrd_ray.options import PATH, config_options, example, optional_list, root_option, sequences_option

if TYPE_CHECKING:
    from vsrd_ray.storage import Location

EXIT_FAILED_GROUPS = 3


class JsonLines(logging.Formatter):
    """A message as a JSON object in a line: time, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {"time": time, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        return json.dumps(fields | ({"error": self.formatException(record.exc_info)} if record.exc_info else {}))


def _shipped(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of configurations, for the shell to complete."""
    from vsrd_ray.labelers.configs import shipped_configs

    return [name for name in shipped_configs() if name.startswith(incomplete)]


@click.command(
    short_help="Label sequences: 3D boxes, or whatever --config gives.",
    epilog=example("label --root street --sequence 2013_05_28_drive_0000_sync --output labels"),
)
@root_option
@sequences_option("Sequence to label; may be repeated. `all`: every one.", required=True)
@click.option("--output", type=PATH, help="Folder for the results.  [default: ./outputs/<sequence>]")
@partial(config_options, complete=_shipped)
@click.option("--classes", callback=optional_list, help="Classes, with commas between them.  [default: car, for boxes]")
@click.option("--camera", help="Which camera.  [default: the dataset's first, image_00 of KITTI-360]")
@click.option("--masks", type=PATH, help="File or folder of instance masks, in place of the dataset's.")
@click.option("--masks-format", metavar="NAME", help="Of --masks: see docs/own_masks.md.  [default: by its content]")
@click.option(
    "--poses",
    metavar="NAME|FILE",
    help="Poses: given, oxts, oxts-published, visual, or a file; the last two are scaled by the dataset's own unless "
    "--set poses.scale=none.",
)
@click.option(
    "--boxes",
    metavar="OUTPUT",
    help="Of occupancy: a run of boxes, by which moving things are carried on to the target's time: short for --set "
    "boxes=…",
)
@click.option(
    "--depth",
    metavar="OUTPUT",
    help="Of occupancy: a run of depth maps, as by density, in place of the dataset's: short for --set depth_run=…",
)
@click.option("--dataset", metavar="NAME", help="See `vsrd-ray datasets`.  [default: the one whose layout ROOT has]")
@click.option(
    "--grouping",
    type=click.Choice(["vsrd", "scene"]),
    help="Fit frame groups as published, or each instance once over the scene: short for --set grouping.kind=…",
)
@click.option(
    "--frames", metavar="6,12|A:B:STEP", help="Label these target frames alone; B is not one.  [default: the labeler's]"
)
@click.option("--limit", type=click.IntRange(min=1), help="Label the first LIMIT frame groups alone.")
@click.option(
    "--address",
    metavar="auto|HOST:PORT",
    envvar="RAY_ADDRESS",
    show_envvar=True,
    help="Ray cluster to run on, from one of its nodes.  [default: a Ray of its own on this machine]",
)
@click.option("--serial", is_flag=True, help="Work in this one process, without Ray.")
@click.option("--num-actors", metavar="N|MIN:MAX", help="Workers.  [default: one a GPU, or without one, one a core]")
@click.option("--initial-actors", type=click.IntRange(min=1), help="Workers to start with.  [default: all]")
@click.option("--num-gpus", type=float, help="GPUs of a worker, such as 0.5.  [default: 1 where there are GPUs]")
@click.option("--num-cpus", type=click.IntRange(min=1), default=1, show_default=True, help="CPUs of a worker.")
@click.option("--accelerator-type", "accelerator", metavar="TYPE", help="Kind of GPU, as Ray names it, such as A100.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Device.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Frame groups that a worker is given at once.  [default: 16 on a GPU, else 1]",
)
@click.option(
    "--max-attempts",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Tries of a frame group before it counts as failed.",
)
@click.option(
    "--group-timeout",
    type=click.FloatRange(min=0, max=1e6),
    metavar="SECONDS",
    help="Time for a batch, then its worker is replaced; 0: any.  [default: 600, or a day with volumetric steps]",
)
@click.option("--trace", is_flag=True, help="Keep losses and boxes over the steps, under OUTPUT/trace.")
@click.option("--dashboard", is_flag=True, help="Start Ray's dashboard and say where it is.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of messages."
)
@click.option("--verbose", is_flag=True, help="Show Ray's own messages too, and where unforeseen errors came from.")
@click.pass_context
def label(
    ctx: click.Context,
    *,
    root: Location,
    sequences: tuple[str, ...],
    output: Location | None,
    config: str,
    overrides: tuple[str, ...],
    grouping: str | None,
    boxes: str | None,
    depth: str | None,
    classes: tuple[str, ...] | None,
    camera: str | None,
    dataset: str | None,
    masks: Location | None,
    masks_format: str | None,
    poses: str | None,
    num_actors: str | None,
    initial_actors: int | None,
    num_gpus: float | None,
    num_cpus: int,
    accelerator: str | None,
    batch_size: int | None,
    device: Any,
    log_format: str,
    **others: Any,
) -> None:
    """Label sequences, frame group by frame group, into OUTPUT: 3D boxes, or whatever the labeler of --config gives.

    ROOT and OUTPUT are folders, or URIs such as s3://bucket/folder. Interrupted or killed, the same command goes on
    where it was. Failed groups are tried again.
    """
    from vsrd_ray.data.given import Given
    from vsrd_ray.engines import label as run
    from vsrd_ray.labelers.configs import load_config, title_of
    from vsrd_ray.pipeline.pool import PoolRequest, parse_num_actors
    from vsrd_ray.pipeline.request import LabelRequest, default_output, format_summary

    for option, name, given in (
        ("--grouping", "grouping.kind", grouping),
        ("--boxes", "boxes", boxes),
        ("--depth", "depth_run", depth),
    ):
        if given is not None:
            _check_takes(config, overrides, name, said=f"{option} {given}")
            overrides = (*overrides, f"{name}={json.dumps(given)}")
    if masks_format is not None and masks is None:
        raise InputError(f"--masks-format {masks_format}: there are no --masks: give both, or neither")
    posed, overrides = _poses_given(poses, overrides)
    _check_serial(ctx)
    if log_format == "json":
        for handler in logging.getLogger("vsrd_ray").handlers:
            handler.setFormatter(JsonLines())
    if others["verbose"]:
        logging.getLogger("vsrd_ray").setLevel(logging.DEBUG)
    request = LabelRequest(
        root=root,
        sequences=sequences,
        output=output or default_output(sequences),
        config=load_config(config, overrides),
        config_title=title_of(config, overrides),
        dataset=dataset,
        camera=camera,
        classes=classes,
        given=Given(masks=masks, masks_format=masks_format, **posed),
        pool=PoolRequest(
            num_actors=parse_num_actors(num_actors) if num_actors else None,
            initial_actors=initial_actors,
            num_gpus=num_gpus,
            num_cpus=num_cpus,
            accelerator=accelerator,
            batch_size=batch_size,
            device=device,
        ),
        show_bar=log_format == "text",
        **others,
    )
    summary = run(request)
    click.echo(format_summary(summary))
    if summary.has_failures:
        ctx.exit(EXIT_FAILED_GROUPS)


def _check_takes(config: str, overrides: tuple[str, ...], name: str, *, said: str) -> None:
    """Refuse an option that is short for a setting which the labeler of a configuration does not have."""
    from vsrd_ray.labelers.configs import load_config

    settings = load_config(config, overrides)
    if name.partition(".")[0] not in type(settings).model_fields:
        raise InputError(
            f"{said}: the labeler {settings.labeler} takes none: leave it out, or give a --config of one that does"
        )


def _poses_given(poses: str | None, overrides: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of `Given` that `--poses` and `--set poses.scale` mean, and all other overrides."""
    from vsrd_ray.poses.source import NAMES, OWN, VISUAL
    from vsrd_ray.storage import open_location

    scales = [text.partition("=")[2].strip() for text in overrides if text.startswith("poses.scale=")]
    others = tuple(text for text in overrides if not text.startswith("poses.scale="))
    if unknown := [scale for scale in scales if scale not in ("own", "none")]:
        raise InputError(f"--set poses.scale={unknown[0]}: give own, by the dataset's own poses, or none")
    if poses is None or poses in NAMES:
        if scales:
            raise InputError("--set poses.scale is of a pose file: give one as --poses, or leave it out")
        return {"poses": None if poses == OWN else poses}, others
    scale = "none" if scales[-1:] == ["none"] else None
    if poses == VISUAL:
        return {"poses": VISUAL, "pose_scale": scale}, others
    return {"pose_file": open_location(poses), "pose_scale": scale}, others


def _check_serial(ctx: click.Context) -> None:
    """Refuse options about Ray beside `--serial`; RAY_ADDRESS in the environment is none."""
    asked = [name for name in ("address", "dashboard") if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if ctx.params["serial"] and asked:
        raise InputError(f"--serial works without Ray: leave --{asked[0]} out, or --serial")


@click.command(short_help="Say how far a run is, or how it ended.", epilog=example("status labels"))
@click.argument("output", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(output: Location, as_json: bool) -> None:
    """Say how far the run in OUTPUT is, or how it ended; from any machine that can read OUTPUT."""
    from vsrd_ray.pipeline.status import format_status, read_status
    from vsrd_ray.pipeline.training import format_training_status, read_training_status
    from vsrd_ray.runs.paths import is_training

    trains = is_training(output)
    state = read_training_status(output) if trains else read_status(output)
    text = format_training_status if trains else format_status
    click.echo(json.dumps(state, indent=2) if as_json else text(state))
