"""What commands over runs share."""
# ruff: noqa: PLC0415

from __future__ import annotations

from functools import wraps
from typing import Any

import click

from vsrd_ray.options import Command, root_option


def run_root_options(command: Command) -> Command:
    """Adds `--root` and `--other-root` to a command over runs: the dataset must be the one that was labelled."""

    @wraps(command)
    def checked(*arguments: Any, other_root: bool, **options: Any) -> Any:
        from vsrd_ray.runs.folder import check_root

        if not other_root:
            for output in (options["output"], *(options.get("compare") or ())):
                if output is not None:
                    check_root(output, options["root"])
        return command(*arguments, **options)

    insist = click.option(
        "--other-root", is_flag=True, help="Take ROOT though it is not the dataset that was labelled."
    )
    return root_option(insist(checked))
