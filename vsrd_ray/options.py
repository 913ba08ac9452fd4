"""Options and arguments that several commands share."""
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem
from tqdm import tqdm

from vsrd_ray.errors import InputError

if TYPE_CHECKING:
    from vsrd_ray.storage import Location

Command = Callable[..., Any]
# The words that complete one that is typed: context, parameter and what there is of it.
Completer = Callable[[click.Context, click.Parameter, str], list[str]]
_ROOT_VARIABLE = "KITTI360_DATASET"
_SEQUENCES = ("--sequence", "sequences")


def example(command: str) -> str:
    """The end of a command's help: how it may look, in a line of its own."""
    return f"\b\nExample:\n  vsrd-ray {command}"


class _Location(click.ParamType):
    """A folder or file, as a local path or as the URI of an object store."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Location:
        from vsrd_ray.storage import open_location

        return open_location(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The shell completes names of files, and of nothing in a store."""
        return [] if "://" in incomplete else [CompletionItem(incomplete, type="file")]


PATH = _Location()


def comma_list(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[str, ...]:
    """The parts of a text with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def optional_list(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """The same, of an option that may be left out."""
    return None if text is None else comma_list(context, parameter, text)


def _given_root(_context: click.Context, _parameter: click.Parameter, root: Location | None) -> Location:
    if root is None:
        raise InputError(f"no dataset folder: give --root ROOT, or set {_ROOT_VARIABLE}")
    return root


def root_option(command: Command) -> Command:
    """Adds `--root`: the dataset, which must be given."""
    return click.option(
        "--root",
        type=PATH,
        envvar=_ROOT_VARIABLE,
        show_envvar=True,
        callback=_given_root,
        help="Dataset: its root folder.",
    )(command)


def camera_option(command: Command) -> Command:
    """Adds `--camera`."""
    return click.option("--camera", default="image_00", show_default=True, help="image_00 or image_01.")(command)


def classes_option(command: Command) -> Command:
    """Adds `--classes`, as a tuple."""
    return click.option(
        "--classes", default="car", show_default=True, callback=comma_list, help="Classes, with commas between them."
    )(command)


def sequence_option(command: Command) -> Command:
    """Adds `--sequence`, which must be given."""
    return click.option(
        "--sequence", required=True, shell_complete=_sequences_of_root, help="Such as 2013_05_28_drive_0000_sync."
    )(command)


def sequences_option(help: str, **others: Any) -> Callable[[Command], Command]:
    """Adds `--sequence`, which may be repeated: a tuple, `sequences`."""
    return click.option(*_SEQUENCES, multiple=True, shell_complete=_sequences_of_root, help=help, **others)


def some_sequences(help: str, *also: str, **others: Any) -> click.Option:
    """The same, for commands whose options come from kinds of label; under other names as well."""
    return click.Option([*_SEQUENCES, *also], multiple=True, shell_complete=_sequences_of_root, help=help, **others)


def _sequences_of_root(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Drives under the `--root` that stands before on the line, or under that of the environment."""
    from vsrd_ray import plugins
    from vsrd_ray.storage import open_location

    place = ctx.params.get("root") or os.environ.get(_ROOT_VARIABLE)
    if not place:
        return []
    root = open_location(place)
    for dataset in (plugins.load("datasets", name) for name in plugins.installed("datasets")):
        if dataset.recognises(root):
            return [name for name in dataset.drives(root) if name.startswith(incomplete)]
    return []


def config_options(command: Command, *, complete: Completer | None = None) -> Command:
    """Adds `--config` and `--set` (`overrides`)."""
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting: --set schedule.steps=200."
    )(command)
    return click.option(
        "--config",
        default="fast",
        show_default=True,
        metavar="NAME|FILE",
        shell_complete=complete,
        help="Settings: a YAML file, or the name of a configuration that comes with vsrd-ray, as its `base` is.",
    )(command)


def progress_bar(unit: str) -> Callable[[int, int], None]:
    """A progress bar that is told how many are done, of how many; drawn in a terminal alone."""
    bar = tqdm(unit=unit, leave=False, disable=not sys.stderr.isatty())

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show
