"""The `vsrd-ray` command. Each command parses its options, calls one function and prints what it returns.

Imports of the package are inside the commands, so that `vsrd-ray --help` need not wait for torch and Ray.
"""

import logging
import sys
from typing import Any

import click

from vsrd_ray.cli.dataset import annotate, sample, synthesize, train_prior
from vsrd_ray.cli.evaluating import evaluate
from vsrd_ray.cli.exchange import convert, export, import_
from vsrd_ray.cli.labelling import label, status
from vsrd_ray.cli.pictures import report, visualize
from vsrd_ray.errors import VSRDRayError, WorkerError

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130


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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vsrd-ray")
def main() -> None:
    """3D boxes from 2D instance masks and camera poses, by VSRD on Ray.

    Exit codes: 0 done, 1 workers failed, 2 bad input, 3 done but for failures, 130 interrupted.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("vsrd_ray")
    package.handlers = [handler]
    package.setLevel(logging.INFO)


for _command in (
    label,
    status,
    synthesize,
    annotate,
    sample,
    visualize,
    report,
    convert,
    evaluate,
    train_prior,
    export,
    import_,
):
    main.add_command(_command)
