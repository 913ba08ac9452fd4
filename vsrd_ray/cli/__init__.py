"""The `vsrd-ray` command. Each command parses its options, calls one function and prints what it returns.

Imports of the package are inside the commands, so that `vsrd-ray --help` need not wait for torch and Ray. Labelers and
kinds of label bring commands and options of their own; here are the ones that do not depend on what is installed:
`labelling` labels and asks how far a run is, `training` trains, `kinds` measures, exports and reports runs of any kind,
`dataset` writes built-in streets and copies with bad masks, `installed` lists datasets and labelers.

Owns: options, exit codes, what is printed.
Does not own: anything that a notebook might want as well (`vsrd_ray.api`).
"""

import logging
import sys
from typing import Any, NoReturn

import click

from vsrd_ray.cli.dataset import degrade, synthesize
from vsrd_ray.cli.installed import datasets, labelers
from vsrd_ray.cli.kinds import evaluate, export, import_, report
from vsrd_ray.cli.labelling import JsonLines, label, status
from vsrd_ray.cli.training import train
from vsrd_ray.errors import TerminatedError, VSRDRayError, WorkerError, explained
from vsrd_ray.options import example

logger = logging.getLogger(__name__)

# The commands in the order of work; those of packages outside stand behind them.
_GUIDE = {
    "Begin": ("synthesize", "datasets", "labelers"),
    "Label": ("label", "train", "status"),
    "Measure and look": ("evaluate", "report", "visualize", "render", "density"),
    "Hand over, take back": ("export", "import", "convert"),
    "Study": ("degrade", "sample", "annotate", "train-prior"),
}
_MORE = "More"

EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 130, 143


class _BadInput(click.ClickException):
    """What click prints as `Error: …`."""

    exit_code = EXIT_BAD_INPUT


class _Commands(click.Group):
    """Turns errors into one line and an exit code, and has the commands of labelers and kinds beside its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._add_contributed()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands or isinstance(self.commands[cmd_name], click.Group):
            self._add_contributed()
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands in the order of work, each with the whole of its line."""
        names = self.list_commands(ctx)
        width = max(map(len, names)) + 2
        placed = {name for group in _GUIDE.values() for name in group}
        for title, group in (*_GUIDE.items(), (_MORE, [name for name in names if name not in placed])):
            rows = [
                (name, command.get_short_help_str(limit=200))
                for name in group
                if name in names and (command := self.get_command(ctx, name)) is not None and not command.hidden
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_spacing=width - max(len(name) for name, _ in rows))

    def _add_contributed(self) -> None:
        """Add what labelers and kinds of label offer; a group of theirs adds to the group of that name."""
        from vsrd_ray import plugins  # noqa: PLC0415 - specs take time, which other commands need not wait for

        for floor in ("labelers", "labels"):
            for command in (one for name in plugins.installed(floor) for one in plugins.load(floor, name).commands()):
                known = self.commands.get(command.name or "")
                if isinstance(command, click.Group) and isinstance(known, click.Group):
                    known.commands.update(command.commands)
                else:
                    self.add_command(command)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VSRDRayError as error:
            self._end(ctx, str(error), click.ClickException if isinstance(error, WorkerError) else _BadInput, error)
        except BrokenPipeError:  # the reader of what is printed has seen enough: click ends the program for it
            raise
        except OSError as error:  # of a file or folder that nobody thought of
            self._end(ctx, explained(error), _BadInput, error)
        except UnicodeEncodeError as error:  # Python takes names of any bytes, and Arrow does not
            self._end(ctx, f"{error.object[:200]!a} is no UTF-8: rename the file or folder", _BadInput, error)
        except MemoryError as error:
            self._end(ctx, f"out of memory ({error}): free some, or use a machine with more", _BadInput, error)
        except KeyboardInterrupt as error:
            ctx.exit(EXIT_TERMINATED if isinstance(error, TerminatedError) else EXIT_INTERRUPTED)

    def _end(self, ctx: click.Context, text: str, kind: type[click.ClickException], error: BaseException) -> NoReturn:
        text = " ".join(text.split())
        if not any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger("vsrd_ray").handlers):
            raise kind(text) from error
        logger.error(text)
        ctx.exit(kind.exit_code)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{example('COMMAND --help')}\n\nREADME.md and docs/ say more; `make docs` makes a site of them.",
)
@click.version_option(package_name="vsrd-ray")
def main() -> None:
    """Labels for 3D perception from images, masks, poses and LiDAR; on one machine or a Ray cluster.

    Exit codes: 0 done, 1 workers failed, 2 bad input, 3 done but for failures, 130 interrupted, 143 terminated.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("vsrd_ray")
    package.handlers = [handler]
    package.setLevel(logging.INFO)


for _command in (
    label,
    train,
    status,
    synthesize,
    degrade,
    datasets,
    labelers,
    report,
    evaluate,
    export,
    import_,
):
    main.add_command(_command)
