"""The `vsrd-ray` command. Each command parses its options, calls one function and prints what it returns.

Imports are inside the commands, so that `vsrd-ray --help` need not wait for torch and Ray.
"""
# ruff: noqa: PLC0415

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from vsrd_ray.errors import InputError, VSRDRayError, WorkerError

EXIT_BAD_INPUT, EXIT_FAILED_GROUPS, EXIT_INTERRUPTED = 2, 3, 130

Command = Callable[..., Any]


class _BadInput(click.ClickException):
    """What click prints as `Error: …`."""

    exit_code = EXIT_BAD_INPUT


class _Commands(click.Group):
    """Turns errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VSRDRayError as error:
            kind = click.ClickException if isinstance(error, WorkerError) else _BadInput
            raise kind(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)


def _path(**kwargs: Any) -> click.Path:
    return click.Path(path_type=Path, **kwargs)


def _comma_list(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _given_root(_context: click.Context, _parameter: click.Parameter, root: Path | None) -> Path:
    if root is None:
        raise InputError("no dataset folder: give --root ROOT, or set KITTI360_DATASET")
    return root


def _root_option(command: Command) -> Command:
    return click.option(
        "--root",
        type=_path(),
        envvar="KITTI360_DATASET",
        show_envvar=True,
        callback=_given_root,
        help="Dataset in KITTI-360's layout.",
    )(command)


def _camera_option(command: Command) -> Command:
    return click.option("--camera", default="image_00", show_default=True, help="image_00 or image_01.")(command)


def _classes_option(command: Command) -> Command:
    return click.option(
        "--classes", default="car", show_default=True, callback=_comma_list, help="Classes, with commas between them."
    )(command)


def _sequence_option(command: Command) -> Command:
    return click.option("--sequence", required=True, help="Such as 2013_05_28_drive_0000_sync.")(command)


def _config_options(command: Command) -> Command:
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting: --set schedule.steps=200."
    )(command)
    return click.option(
        "--config",
        default="fast",
        show_default=True,
        metavar="NAME|FILE",
        help="Settings: a YAML file, or the name of a configuration that comes with vsrd-ray.",
    )(command)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vsrd-ray")
def main() -> None:
    """3D boxes from 2D instance masks and camera poses, by VSRD on Ray.

    Exit codes: 0 done, 1 workers failed, 2 bad input, 3 done but for failed groups, 130 interrupted.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("vsrd_ray")
    package.handlers = [handler]
    package.setLevel(logging.INFO)


@main.command()
@_root_option
@click.option("--sequence", "sequences", multiple=True, required=True, help="Sequence to label; may be repeated.")
@click.option("--output", type=_path(), help="Folder for the results.  [default: ./outputs/<sequence>]")
@_config_options
@_classes_option
@_camera_option
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
    root: Path,
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

    Interrupted or killed, the same command goes on where it was. Failed groups are tried again.
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


@main.command()
@click.argument("out", type=_path())
@click.option("--frames", type=int, help="Frames of the drive.  [default: 60]")
@click.option("--cars", type=int, help="Parked cars.  [default: 12]")
@click.option("--moving", type=int, help="Cars that drive.  [default: 0]")
@click.option("--trucks", type=int, help="Parked trucks.  [default: 0]")
@click.option("--buses", type=int, help="Parked buses.  [default: 0]")
@click.option("--caravans", type=int, help="Parked caravans.  [default: 0]")
@click.option("--trailers", type=int, help="Parked trailers.  [default: 0]")
@click.option("--seed", type=int, help="Another seed, another street.  [default: 0]")
@click.option("--image-size", metavar="WxH", help="Pixels.  [default: 1408x376]")
@click.option("--mask-noise", type=float, help="Roughness of mask outlines, pixels.  [default: 1]")
@click.option("--sequence", help="Name of the sequence.  [default: 2013_05_28_drive_0000_sync]")
def synthesize(out: Path, image_size: str | None, **others: Any) -> None:
    """Write a built-in street with known boxes to OUT, in KITTI-360's layout."""
    from pydantic import ValidationError

    from vsrd_ray.data.synthetic import StreetSettings
    from vsrd_ray.data.synthetic import synthesize as run

    given = {name: value for name, value in others.items() if value is not None}
    if image_size is not None:
        given["image_size"] = _parse_size(image_size)
    try:
        settings = StreetSettings.model_validate(given)
    except ValidationError as error:
        raise InputError("; ".join(map(_explain, error.errors()))) from error
    run(out, settings, _bar("frame"))
    num_others = sum(settings.others.values())
    click.echo(
        f"{settings.sequence} written to {out}: {settings.frames} frames, {settings.cars + settings.moving} cars"
        + (f", {num_others} other vehicles" if num_others else "")
    )
    click.echo(f"Next: vsrd-ray label --root {out} --sequence {settings.sequence}")


@main.command()
@_root_option
@_sequence_option
@_camera_option
def annotate(root: Path, sequence: str, camera: str) -> None:
    """Write VSRD's annotation JSON of a sequence to ROOT/annotations.

    The files hold the box XML's truth where it is there: they are for research, and `label` never reads them.
    """
    from vsrd_ray.data.kitti360.annotations import annotate as run

    count = run(root, sequence, camera, _bar("frame"))
    click.echo(f"{count} annotations written to {root / 'annotations' / sequence}")


@main.command()
@_root_option
@_sequence_option
@_camera_option
@_classes_option
@_config_options
def sample(
    *, root: Path, sequence: str, camera: str, classes: tuple[str, ...], config: str, overrides: tuple[str, ...]
) -> None:
    """Write VSRD's text files of frame groups to ROOT/filenames.

    Of the configuration, `grouping` alone counts; groups are the published ones whatever its kind.
    """
    from vsrd_ray.config import load_config
    from vsrd_ray.data.kitti360.filenames import sample as run

    settings = load_config(config, overrides).grouping
    groups = run(root, sequence, camera, settings, classes)
    click.echo(f"{len(groups)} groups written to {root / 'filenames' / settings.name / sequence}")


@main.group()
def visualize() -> None:
    """Draw masks and boxes on the images, and the street from above."""


@visualize.command("labels")
@click.argument("output", type=_path())
@_root_option
@click.option("--sequence", help="Which sequence, where the run has several.")
@click.option(
    "--to", "destination", type=_path(), help="Folder for PNG, or an .mp4 or .gif.  [default: OUTPUT/pictures]"
)
@click.option(
    "--sheet", type=_path(), help="Draw one PNG sheet of the whole run there; with --to, the pictures as well."
)
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
@_root_option
@_sequence_option
@_camera_option
@_classes_option
@click.option(
    "--to",
    "destination",
    type=_path(),
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


@main.command()
@click.argument("output", type=_path(), required=False)
@click.option("--to", "destination", type=_path(), required=True, help="Folder for <sequence>/<camera>/label_2/*.txt.")
@click.option("--truth", is_flag=True, help="Convert the box XML of a sequence under ROOT, in place of labels.")
@click.option("--root", type=_path(), envvar="KITTI360_DATASET", show_envvar=True, help="Dataset, with --truth.")
@click.option("--sequence", help="Sequence, with --truth.")
@_camera_option
@_classes_option
def convert(
    *,
    output: Path | None,
    destination: Path,
    truth: bool,
    root: Path | None,
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


@main.command()
@click.argument("output", type=_path())
@_root_option
@click.option("--max-range", default=40.0, show_default=True, help="Farthest true box that counts, metres.")
@click.option("--official", is_flag=True, help="Give the IoU of KITTI-360's own evaluation too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(output: Path, root: Path, max_range: float, official: bool, as_json: bool) -> None:
    """Compare the labels in OUTPUT with the box XML of ROOT; also written to OUTPUT/evaluation.json."""
    from vsrd_ray.evaluation import evaluate_run, format_report

    report = evaluate_run(output, root, max_range=max_range, official=official)
    click.echo((output / "evaluation.json").read_text().rstrip() if as_json else format_report(report))


@main.command("train-prior")
@click.argument("family", type=click.Choice(["car", "box"]))
@click.argument("out", type=_path())
@click.option("--samples", type=click.IntRange(min=100), default=4000, show_default=True, help="Random bodies.")
@click.option("--latents", type=click.IntRange(1, 32), default=8, show_default=True, help="Components that are kept.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random bodies.")
def train_prior(family: str, out: Path, samples: int, latents: int, seed: int) -> None:
    """Learn the shapes of a FAMILY of vehicle bodies, and write them to OUT (.npz).

    `car` is for passenger cars, `box` for trucks, buses, caravans and trailers. The priors that ship with the package
    are what this command makes with its defaults. Use another with --set box.sizes.car.body=OUT.
    """
    from vsrd_ray.labelers.vsrd.priors import save_prior
    from vsrd_ray.labelers.vsrd.priors import train_prior as run

    prior = run(family, samples=samples, latents=latents, seed=seed)
    save_prior(prior, out)
    click.echo(f"{latents} shapes of {samples} bodies of the family {family} written to {out}")


def _parse_size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise InputError(f"--image-size {text}: expected WIDTHxHEIGHT, such as 1408x376") from None
    return width, height


def _explain(error: Any) -> str:
    if not error["loc"]:
        return error["msg"]
    return f"--{str(error['loc'][0]).replace('_', '-')}: {error['msg']} (got {error['input']})"


def _bar(unit: str) -> Callable[[int, int], None]:
    """A progress bar that is told how many are done, of how many; drawn in a terminal alone."""
    bar = tqdm(unit=unit, leave=False, disable=not sys.stderr.isatty())

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show
