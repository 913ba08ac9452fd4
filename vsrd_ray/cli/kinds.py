"""Measure, hand over and show the labels of a run, whatever kinds it holds."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vsrd_ray.errors import InputError, explained
from vsrd_ray.labels.commands import other_root_option, run_root_options
from vsrd_ray.options import PATH, example, progress_bar

if TYPE_CHECKING:
    from vsrd_ray.labels.base import Importer, Kind
    from vsrd_ray.runs.folder import RunFolder
    from vsrd_ray.storage import Location


logger = logging.getLogger(__name__)


class KindCommand(click.Command):
    """A command that every kind of label takes part in, with options of its own."""

    _is_complete = False

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, and once for all those of the kinds that are installed."""
        if not self._is_complete:
            from vsrd_ray.labels.base import installed_kinds

            self._is_complete = True
            known = {param.name for param in self.params}
            for kind in installed_kinds():
                more = [one for one in kind.options().get(self.name or "", ()) if one.name not in known]
                known.update(option.name for option in more)
                self.params.extend(more)
        return super().get_params(ctx)


class _Formats(click.Choice[str]):
    """The formats of all kinds of label that are installed, looked up when they are needed."""

    def __init__(self) -> None:
        super().__init__([])

    def __getattribute__(self, name: str) -> Any:
        if name != "choices":
            return super().__getattribute__(name)
        from vsrd_ray.labels.base import installed_kinds

        return tuple(dict.fromkeys(format for kind in installed_kinds() for format in kind.formats))


@click.command(
    cls=KindCommand,
    short_help="Measure labels against the truth, or compare two runs.",
    epilog=example("evaluate labels --root street"),
)
@click.argument("output", type=PATH, required=False)
@run_root_options
@click.option(
    "--compare", nargs=2, type=PATH, is_eager=True, metavar="A B", help="Compare two runs, in place of OUTPUT."
)
@click.option(
    "--address",
    metavar="auto|HOST:PORT",
    envvar="RAY_ADDRESS",
    show_envvar=True,
    help="Ray cluster to evaluate sequences side by side on.  [default: this one process, without Ray]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    *,
    output: Location | None,
    root: Location,
    compare: tuple[Location, Location] | None,
    address: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare the labels in OUTPUT with the truth in ROOT; also written to OUTPUT/evaluation.json, where that can be.

    With --compare, two runs side by side over the parked vehicles that both could label, with the 95 % interval of each
    difference; nothing is written.
    """
    from vsrd_ray.labels.base import kinds_of
    from vsrd_ray.runs.folder import RunFolder

    if (output is None) == (compare is None):
        raise click.UsageError("give either OUTPUT, or --compare A B")
    if address is not None:
        from vsrd_ray.engines.ray_data.evaluating import on_ray

        options["spread"] = on_ray(address)
    if compare is not None:
        runs = [RunFolder(one, root) for one in compare]
        kind = _first(runs[0], "compare")
        found = kind.compare(runs[0], runs[1], _of(ctx, kind, options)) if kind.compare is not None else None
        if found is not None:
            click.echo(json.dumps(found.values, indent=2) if as_json else found.text)
        return
    assert output is not None
    run = RunFolder(output, root)
    _first(run, "evaluate")
    values: dict[str, Any] = {}
    texts: list[str] = []
    for number, kind in enumerate(kind for kind in kinds_of(run) if kind.evaluate is not None):
        assert kind.evaluate is not None
        found = kind.evaluate(run, _of(ctx, kind, options))
        values |= found.values if number == 0 else {kind.name: dict(found.values)}
        texts.append(found.text)
    _keep_evaluation(values, run)
    click.echo(json.dumps(values, indent=2) if as_json else "\n\n".join(texts))


@click.command(
    "export",
    cls=KindCommand,
    short_help="Write labels in the format of a detector or a tool.",
    epilog=example("export labels --root street --format kitti --output exports/kitti"),
)
@click.argument("output", type=PATH)
@run_root_options
@click.option("--format", "format", type=_Formats(), required=True, help="See docs/formats.md.")
@click.option("--output", "destination", type=PATH, required=True, help="Folder to write; replaces an earlier export.")
@click.pass_context
def export(
    ctx: click.Context, *, output: Location, root: Location, format: str, destination: Location, **options: Any
) -> None:
    """Write the labels of the run in OUTPUT in the format of a detector, a benchmark or a tool.

    The folder appears when all of it is written.
    """
    from vsrd_ray.labels.base import exporter_of
    from vsrd_ray.runs.folder import RunFolder

    run = RunFolder(output, root)
    kind, write = exporter_of(run, format)
    click.echo(write(run, destination, _of(ctx, kind, options), progress_bar("frame")))


@click.command(
    cls=KindCommand,
    short_help="Write one HTML file that shows a run, worst labels first.",
    epilog=example("report labels --root street"),
)
@click.argument("output", type=PATH)
@run_root_options
@click.option("--output", "destination", type=PATH, help="HTML file to write.  [default: OUTPUT/report.html]")
@click.pass_context
def report(
    ctx: click.Context, *, output: Location, root: Location, destination: Location | None, **options: Any
) -> None:
    """Write one HTML file that shows the run in OUTPUT: quality, a map, every frame and every instance, worst first.

    The file needs nothing else, and no network. It stays below 30 MB: of long sequences it holds chosen pictures. A run
    of several kinds of label gets a file for each, the first one under the name that is given.
    """
    from vsrd_ray.labelers.configs import solids_of
    from vsrd_ray.labels.base import kinds_of
    from vsrd_ray.runs.folder import RunFolder

    run = RunFolder(output, root)
    _first(run, "report")
    options["solids"] = solids_of(run.inputs.config or {})
    first = destination or run.paths.report
    for number, kind in enumerate(kind for kind in kinds_of(run) if kind.report is not None):
        assert kind.report is not None
        path = first if number == 0 else first.with_name(f"{first.stem}-{kind.name}{first.suffix}")
        for line in kind.report(run, path, _of(ctx, kind, options), progress_bar("frame")):
            click.echo(line)


@click.command(
    "import",
    cls=KindCommand,
    short_help="Take corrected labels back into their run.",
    epilog=example("import labels exports/kitti --root street --format kitti"),
)
@click.argument("output", type=PATH)
@click.argument("source", type=PATH, required=False)
@click.option("--root", type=PATH, envvar="KITTI360_DATASET", show_envvar=True, help="Dataset: its root folder.")
@other_root_option
@click.option("--undo", is_flag=True, help="Take what was imported into OUTPUT back (of boxes, the last time).")
@click.pass_context
def import_(
    ctx: click.Context,
    *,
    output: Location,
    source: Location | None,
    root: Location | None,
    undo: bool,
    **options: Any,
) -> None:
    """Read labels that a human corrected in SOURCE back into the run in OUTPUT, as rows with source=human.

    SOURCE is an export that was edited: of boxes as kitti or cvat, or what a report saved; of points as semantickitti
    or nuscenes-panoptic; of voxels as npz.

    Of KITTI text and CVAT a frame counts as a whole: a box that is not in SOURCE any more is taken away. Importing a
    frame again replaces what was imported for it before. What a report saved counts instance by instance, and is all
    that was decided there.
    """
    from vsrd_ray.runs.folder import RunFolder

    if undo and (source is not None or options.get("dry_run")):
        raise click.UsageError("--undo is for OUTPUT alone: leave SOURCE and --dry-run out")
    if not undo and (source is None or root is None):
        raise click.UsageError("give OUTPUT, SOURCE and --root, or OUTPUT and --undo")
    run = RunFolder(output, output if root is None else root)
    owner, importer = _importer(run)
    if undo or source is None:
        click.echo(importer.undo(output))
        return
    for line in importer.read(run, source, _of(ctx, owner, options)):
        click.echo(line)


def _importer(run: RunFolder) -> tuple[Kind, Importer]:
    """The kind of label of a run that can be taken back, and what does it: it, or the run's labeler.

    Raises:
        InputError: there is none.
    """
    from vsrd_ray.labelers.configs import importer_of
    from vsrd_ray.labels.base import kinds_of

    kinds = kinds_of(run)
    by_labeler = importer_of(run.inputs.config or {})
    for kind in kinds:
        if (importer := kind.importer or by_labeler) is not None:
            return kind, importer
    raise InputError(f"{run.output} holds {' and '.join(kind.name for kind in kinds)}: there is no way to import them")


def _first(run: RunFolder, verb: str) -> Kind:
    """The first kind of label of a run that knows a verb.

    Raises:
        InputError: there is none.
    """
    from vsrd_ray.labels.base import kinds_of

    kinds = kinds_of(run)
    for kind in kinds:
        if getattr(kind, verb) is not None:
            return kind
    raise InputError(f"{run.output} holds {' and '.join(kind.name for kind in kinds)}: there is no way to {verb} them")


def _of(ctx: click.Context, kind: Kind, options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a kind's own options, and of those that every kind is given.

    Raises:
        InputError: the user gave an option of another kind.
    """
    known = {option.name for option in kind.options().get(ctx.command.name or "", ())} | {"spread", "solids"}
    for name in options.keys() - known:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InputError(f"--{name.replace('_', '-')} is not for {kind.name}: leave it out")
    return {name: value for name, value in options.items() if name in known}


def _keep_evaluation(values: Mapping[str, Any], run: RunFolder) -> None:
    """Write OUTPUT/evaluation.json, unless the run is one that can only be read."""
    from vsrd_ray.storage.atomic import atomic_write

    try:
        with atomic_write(run.paths.evaluation) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n")
    except OSError as error:
        logger.warning("The evaluation is not kept: %s", explained(error))
