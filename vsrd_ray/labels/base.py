"""What every kind of label is: how its rows are stored, measured, handed over and shown."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

import pyarrow as pa

from vsrd_ray import plugins
from vsrd_ray.runs.tables import LabelTable


@dataclass(frozen=True)
class Kind:
    """A kind of label: `SPEC` in the module `spec` of its folder, or what an entry point refers to."""

    name: str
    summary: str  # one line for `vsrd-ray labelers`
    table: LabelTable


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
