"""Where an engine takes its work from, and what an engine is."""

from collections.abc import Callable, Iterator
from typing import Protocol

import pyarrow as pa

from vsrd_ray.data.groups import Sequence
from vsrd_ray.data.loading import GroupTask
from vsrd_ray.pipeline.progress import Progress
from vsrd_ray.runs.results import GroupResult


class Source(Protocol):
    """The groups of a run that are still to be labelled. One thread at a time takes from it, any may look at it."""

    @property
    def finished(self) -> bool:
        """Whether no batch will come any more: everything has been planned, and has come back for good."""
        ...

    @property
    def num_batches(self) -> int | None:
        """The batches of the first taking, if all of them are planned by now."""
        ...

    def next_batch(self, seconds: float) -> list[GroupTask] | None:
        """The next batch; None if there is none for now, after so many seconds."""
        ...

    def rewind(self) -> None:
        """Give what was taken and did not come back once more."""
        ...


class Engine(Protocol):
    """Does the work of a run."""

    def index(self, sequence: Sequence) -> Callable[[], pa.Table]:
        """Begin to index a sequence; gives its index when it is there."""
        ...

    def label(self, source: Source) -> Iterator[GroupResult]:
        """Results of what a source gives, until it is finished; a group that fails may be given again."""
        ...

    def tell(self, progress: Progress, result: GroupResult, *, write_seconds: float) -> None:
        """A final result has been written, and that took so long."""
        ...
