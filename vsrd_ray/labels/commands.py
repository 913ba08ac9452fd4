"""What commands over runs share."""
# ruff: noqa: PLC0415

from __future__ import annotations

from functools import wraps
from typing import Any

import click

from vsrd_ray.options import Command, root_option


def run_root_options(command: Command) -> Command:
    """Adds `--root` and `--other-root` to a command over runs: the dataset must be the one that was labelled."""
    return root_option(other_root_option(command))


def other_root_option(command: Command) -> Command:
    """Adds `--other-root`: without it, a `--root` that is given must be the dataset that was labelled into OUTPUT."""

    @wraps(command)
    def checked(*arguments: Any, other_root: bool, **options: Any) -> Any:
        from vsrd_ray.runs.folder import check_root
        from vsrd_ray.runs.paths import is_training

        outputs = [options["output"]] if options["output"] is not None else []
        compared = options.get("compare") or ()
        if not other_root and options["root"] is not None and not (outputs and compared):  # who gives both is told so
            for output in (*outputs, *compared):
                if not is_training(output):  # what a network says may be asked of any dataset
                    check_root(output, options["root"])
        return command(*arguments, **options)

    return click.option("--other-root", is_flag=True, help="Take ROOT though it is not the dataset that was labelled.")(
        checked
    )
