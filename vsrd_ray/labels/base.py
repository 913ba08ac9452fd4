"""What every kind of label is: how its rows are stored, measured, handed over and shown."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import pyarrow as pa

from vsrd_ray import plugins
from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.poses.check import PoseCheck
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.runs.tables import LabelTable
from vsrd_ray.storage import Location

if TYPE_CHECKING:
    import click

    from vsrd_ray.geometry.boxes import UprightBoxes


# Called with the number of things done and of all.
Progress = Callable[[int, int], None]
# Commands that a kind can add options to.
VERBS = ("evaluate", "export", "report", "import")
REPORT = "report {output} --root {root}"  # the first thing to look at


@dataclass(frozen=True)
class Evaluation:
    """How good the labels of a run are."""

    values: Mapping[str, Any]  # for JSON
    text: str  # for people


class Evaluator(Protocol):
    """Compares labels of a kind with the truth."""

    def __call__(self, run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
        """The evaluation of a run.

        Args:
            run: its folder, with the dataset that was labelled.
            options: values of the kind's own options by their names, and `spread`: how drives are gone through.

        Raises:
            InputError: no labels of the kind in the run, or no truth in the dataset.
        """
        ...


class Exporter(Protocol):
    """Writes labels of a kind in a format of others."""

    def __call__(
        self, run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
    ) -> str:
        """Write a folder or file, which appears when all of it is written; what was written, as a sentence.

        Raises:
            InputError: no labels of the kind in the run, or options that name what is not there.
            OutputError: the destination holds other things.
        """
        ...


class Reporter(Protocol):
    """Shows labels of a kind in one HTML file that needs nothing else."""

    def __call__(
        self, run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
    ) -> Iterable[str]:
        """Write the file; what was written, as sentences. They may go on while the file is in use.

        Args:
            run: its folder, with the dataset that was labelled.
            destination: HTML file to write.
            options: values of the kind's own options by their names, and `solids`: what rows were fitted as, if known.
            progress: told how far it is.

        Raises:
            InputError: no labels of the kind in the run.
        """
        ...


@dataclass(frozen=True)
class Importer:
    """Takes labels that a human corrected back into their run."""

    # Of a run, from a source, with the values of the kind's own options: what was read, as sentences.
    # Raises InputError for a source that is none of the run's labels; then nothing is written.
    read: Callable[[RunFolder, Location, Mapping[str, Any]], Iterable[str]]
    undo: Callable[[Location], str]  # in an output folder: what was taken back, as a sentence


def _no_options() -> "Mapping[str, Sequence[click.Option]]":
    return {}


def _no_commands() -> "tuple[click.Command, ...]":
    return ()


@dataclass(frozen=True)
class Kind:
    """A kind of label: `SPEC` in the module `spec` of its folder, or what an entry point refers to."""

    name: str
    summary: str  # one line for `vsrd-ray labelers`
    table: LabelTable
    evaluate: Evaluator | None = None
    compare: Callable[[RunFolder, RunFolder, Mapping[str, Any]], Evaluation] | None = None  # of two runs
    formats: Mapping[str, Exporter] = field(default_factory=dict)  # that it can be exported to, by name
    report: Reporter | None = None
    importer: Importer | None = None
    check_poses: Callable[[Drive, pa.Table, pa.Table], PoseCheck] | None = None  # by a drive's rows and its index
    options: "Callable[[], Mapping[str, Sequence[click.Option]]]" = _no_options  # of its own, by verb of `VERBS`
    commands: "Callable[[], tuple[click.Command, ...]]" = _no_commands  # that `vsrd-ray` offers beside its own
    boxes: "Callable[[pa.Table], UprightBoxes] | None" = None  # [N] in the world, of its rows
    looks: tuple[str, ...] = (REPORT,)  # what to type to see the labels; they also know {sequence} and {sheet}


def check_rows(rows: pa.Table | None, table: LabelTable, *, frames: Collection[int]) -> None:
    """Refuse what a labeler gives as labels of a kind, but is none.

    Args:
        rows: of one group.
        table: of the kind.
        frames: the group's label frames.

    Raises:
        TypeError: no table, or one of another schema.
        ValueError: rows of frames that are not the group's.
    """
    if rows is None:
        raise TypeError(f"the labeler gave no table of {table.name}, which its spec says that it writes")
    if not rows.schema.equals(table.schema):
        raise TypeError(f"the labeler's table of {table.name} has the schema {rows.schema}, not {table.schema}")
    if strangers := set(rows["frame"].unique().to_pylist()) - set(frames):
        raise ValueError(f"the labeler gave {table.name} of frame {min(strangers)}, which the group does not label")


def kind_named(name: str) -> Kind:
    """The kind of label of a name.

    Raises:
        InputError: none is installed.
    """
    return cast(Kind, plugins.load("labels", name))


def installed_kinds() -> list[Kind]:
    """All kinds of label that are installed, by name."""
    return [kind_named(name) for name in plugins.installed("labels")]


def kinds_of(run: RunFolder) -> list[Kind]:
    """The kinds of label that a run holds, in the order of its labeler's spec.

    Raises:
        InputError: no run, or a kind that is not installed.
    """
    return [kind_named(name) for name in run.inputs.kinds]


def exporter_of(run: RunFolder, format: str) -> tuple[Kind, Exporter]:
    """What writes a run in a format.

    Raises:
        InputError: the run holds no kind of label that has this format.
    """
    kinds = kinds_of(run)
    for kind in kinds:
        if format in kind.formats:
            return kind, kind.formats[format]
    names = ", ".join(name for kind in kinds for name in kind.formats) or "none"
    held = " and ".join(kind.name for kind in kinds)
    raise InputError(f"{run.output} holds {held}, for which there is no format {format!r}: there are {names}")
