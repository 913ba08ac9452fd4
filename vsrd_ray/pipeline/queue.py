"""Where an engine takes groups from, and what an engine is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.groups import GroupTask
from vsrd_ray.pipeline.pool import Machines, Pool
from vsrd_ray.runs.records import Progress
from vsrd_ray.runs.results import GroupResult

if TYPE_CHECKING:
    from vsrd_ray.pipeline.job import LabelJob
    from vsrd_ray.pipeline.work import Work


class GroupQueue(Protocol):
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

    def index(self, drive: Drive, layers: tuple[str, ...]) -> Callable[[], pa.Table]:
        """Begin to index a drive by some of its layers; gives its index when it is there."""
        ...

    def label(self, queue: GroupQueue) -> Iterator[GroupResult]:
        """Results of what a queue gives, until it is finished; a group that fails may be given again."""
        ...

    def tell(self, progress: Progress, result: GroupResult, *, write_seconds: float) -> None:
        """A final result has been written, and that took so long."""
        ...


class Backend(AbstractContextManager[object], Protocol):
    """What engines run on: this process, or a cluster for as long as the block lasts."""

    def machines(self) -> Machines:
        """What actors can use."""
        ...

    def engine(self, work: "Work", pool: Pool, job: "LabelJob") -> Engine:
        """What does a run's work; it may take seconds to start."""
        ...
