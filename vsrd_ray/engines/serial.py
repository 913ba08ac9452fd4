"""A run's work in this process, without Ray: what its results are compared with, and what a debugger steps through."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.errors import InputError, WorkerError, one_line
from vsrd_ray.pipeline.job import LabelJob
from vsrd_ray.pipeline.pool import Machines, Pool, this_machine
from vsrd_ray.pipeline.queue import Engine, GroupQueue
from vsrd_ray.pipeline.work import Work
from vsrd_ray.runs.records import Progress
from vsrd_ray.runs.results import GroupResult

if TYPE_CHECKING:
    from vsrd_ray.pipeline.training import TrainingDisplay
    from vsrd_ray.training.base import Piece
    from vsrd_ray.training.loop import TrainingJob

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SerialEngine:
    """Does a run's work one after the other."""

    work: Work

    def index(self, drive: Drive, layers: tuple[str, ...]) -> Callable[[], pa.Table]:
        """The index of a drive, made when it is asked for.

        Raises:
            InputError: a mask that cannot be used and is not just damaged.
        """
        return partial(_index, drive, layers)

    def label(self, queue: GroupQueue) -> Iterator[GroupResult]:
        """Results of what a queue gives, in its order.

        Raises:
            InputError: from the queue.
            WorkerError: no labeler can be set up.
        """
        try:
            labeler = self.work.labeler()
            labeler.setup()
        except Exception as error:
            raise WorkerError(f"the labeler cannot be set up on {self.work.device}: {one_line(error)}") from error
        attempts: Counter[str] = Counter()
        while not queue.finished:
            for task in queue.next_batch(0.0) or ():
                attempts[task.plan.group_id] += 1
                result = self.work.label(labeler, self.work.load(labeler, task))
                yield replace(result, attempts=attempts[result.group_id])

    def tell(self, progress: Progress, result: GroupResult, *, write_seconds: float) -> None:
        """There is nobody to tell."""


def _index(drive: Drive, layers: tuple[str, ...]) -> pa.Table:
    frames = all_frames(drive, layers)
    logger.info("Indexing %d frames", len(frames))
    return index_frames(drive, frames, layers=layers)


class SerialBackend(nullcontext[None]):
    """This process."""

    def machines(self) -> Machines:
        """This machine."""
        return this_machine()

    def engine(self, work: Work, pool: Pool, job: LabelJob) -> Engine:
        """An engine that is there at once."""
        return SerialEngine(work)


class SerialTraining:
    """Training in this process: what other engines' losses are compared with."""

    def __enter__(self) -> "SerialTraining":
        return self

    def __exit__(self, *error: object) -> None:
        """There is nothing to end."""

    def device(self, wanted: str) -> str:
        """See `vsrd_ray.pipeline.training.TrainingEngine`."""
        import torch  # noqa: PLC0415 - takes two seconds

        has_gpu = torch.cuda.is_available()
        if wanted == "cuda" and not has_gpu:
            raise InputError(
                "--device cuda: there is no CUDA device here; use --device cpu, or train where there is one"
            )
        return "cuda" if has_gpu and wanted != "cpu" else "cpu"

    def make(self, job: "TrainingJob", pieces: "Sequence[Piece]") -> Iterator[int]:
        """See `vsrd_ray.pipeline.training.TrainingEngine`."""
        from vsrd_ray.training.pieces import make_piece  # noqa: PLC0415 - as above

        trainable = job.build(job.settings)
        for done, piece in enumerate(pieces, 1):
            make_piece(trainable, piece, job.store)
            yield done

    def train(self, job: "TrainingJob", display: "TrainingDisplay") -> None:
        """See `vsrd_ray.pipeline.training.TrainingEngine`."""
        import torch  # noqa: PLC0415 - as above

        from vsrd_ray.training.loop import train  # noqa: PLC0415
        from vsrd_ray.training.sums import Alone  # noqa: PLC0415

        train(job, Alone(), device=torch.device(job.device), listener=display.update)
