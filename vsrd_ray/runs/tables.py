"""What storing labels takes to know of a kind of label; what people do with one is in `vsrd_ray.labels`."""

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from vsrd_ray.storage import Location

GROUPS_A_FILE = 512  # of small rows


class LabelTexts(Protocol):
    """Text files of labels, one a frame, written once all groups that label the frame are done."""

    @property
    def folder(self) -> str:
        """Name of the folder below OUTPUT."""
        ...

    def path(self, folder: Location, *, sequence: str, camera: str, frame: int) -> Location:
        """Where the text of a frame lies; those of one drive and camera lie in one folder."""
        ...

    def is_text(self, name: str) -> bool:
        """Whether a file in that folder is one of these texts, by its name."""
        ...

    def write(self, path: Location, rows: pa.Table) -> None:
        """Write the text of a frame, whole or not at all; no rows give an empty file."""
        ...


@dataclass(frozen=True)
class LabelTable:
    """The table of one kind of label, with a row for each thing in each frame."""

    name: str  # of the kind
    folder: str  # below OUTPUT
    schema: pa.Schema  # with the columns `frame` (int32) and `group_id` (string), and without the drive's name
    sort_by: tuple[str, ...]  # columns that order the rows of a frame
    groups_a_file: int = GROUPS_A_FILE  # groups whose rows are put together into one file; fewer where rows are large
    texts: LabelTexts | None = None
    confidence: str | None = None  # column in [0, 1] of what a labeler thinks of its labels; None: kinds without one
    suspicion: str | None = None  # a sentence on what is wrong where nearly all labels of a drive are doubtful

    def __post_init__(self) -> None:
        for name, kind in (("frame", pa.int32()), ("group_id", pa.string())):
            if name not in self.schema.names or self.schema.field(name).type != kind:
                raise ValueError(f"the schema of {self.name} needs a column {name} of type {kind}")
