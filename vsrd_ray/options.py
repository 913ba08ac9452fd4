"""Options and arguments that several commands share."""
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from vsrd_ray.errors import InputError

if TYPE_CHECKING:
    from vsrd_ray.storage import Location

Command = Callable[..., Any]


class _Location(click.ParamType):
    """A folder or file, as a local path or as the URI of an object store."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Location:
        from vsrd_ray.storage import open_location

        return open_location(value)


PATH = _Location()


def comma_list(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[str, ...]:
    """The parts of a text with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def optional_list(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """The same, of an option that may be left out."""
    return None if text is None else comma_list(context, parameter, text)


def _given_root(_context: click.Context, _parameter: click.Parameter, root: Location | None) -> Location:
    if root is None:
        raise InputError("no dataset folder: give --root ROOT, or set KITTI360_DATASET")
    return root


def root_option(command: Command) -> Command:
    """Adds `--root`: the dataset, which must be given."""
    return click.option(
        "--root",
        type=PATH,
        envvar="KITTI360_DATASET",
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
    return click.option("--sequence", required=True, help="Such as 2013_05_28_drive_0000_sync.")(command)


def config_options(command: Command) -> Command:
    """Adds `--config` and `--set` (`overrides`)."""
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting: --set schedule.steps=200."
    )(command)
    return click.option(
        "--config",
        default="fast",
        show_default=True,
        metavar="NAME|FILE",
        help="Settings: a YAML file, or the name of a configuration that comes with vsrd-ray, as its `base` is.",
    )(command)


def progress_bar(unit: str) -> Callable[[int, int], None]:
    """A progress bar that is told how many are done, of how many; drawn in a terminal alone."""
    bar = tqdm(unit=unit, leave=False, disable=not sys.stderr.isatty())

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show
