"""The Ray Data stream of a run, seen from the driver: frames to indexes, groups to labels. Needs a running Ray."""

import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import pyarrow as pa
import ray
import ray.data
from ray.actor import ActorHandle
from ray.data import ActorPoolStrategy, Dataset
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import all_frames
from vsrd_ray.engines.ray_data.actors import FIT, LOAD, LabelGroups, RetryPolicy, load_groups
from vsrd_ray.engines.ray_data.attempts import AttemptLedger, is_alive
from vsrd_ray.engines.ray_data.feed import Feed, frame_groups
from vsrd_ray.engines.ray_data.indexing import index_chunk
from vsrd_ray.engines.ray_data.metrics import RunMetrics
from vsrd_ray.errors import InputError, WorkerError, explained, one_line
from vsrd_ray.pipeline.pool import Pool
from vsrd_ray.pipeline.queue import GroupQueue
from vsrd_ray.pipeline.work import Work
from vsrd_ray.runs.records import Progress
from vsrd_ray.runs.results import GroupResult
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

FRAMES_PER_CHUNK = 32  # about half a second of indexing, so that a task's own cost does not show
_PATIENCE = 1800.0  # seconds beyond a group's limit without any result, after which the stream counts as stuck
_POLL = 0.2  # seconds
_ACCELERATOR = "ray.io/accelerator-type"  # the label by which Ray and its autoscalers know a node's GPUs
# After so many batches a loading process makes room for a new one. That it has such a limit, and actors have none, also
# keeps Ray from fusing the two stages: then nothing would be loaded while an actor is busy.
_LOADS_A_PROCESS = 4096
_BATCHES_A_STREAM = 20_000  # Ray Data keeps some kilobytes about each of them; then another stream goes on
_BYTES_AHEAD = 16 * 2**30  # of prepared groups, over all of a cluster
_HURRY = 5.0  # seconds
_FRUITLESS_STREAMS = 3  # one after the other, after which Ray cannot go on


@dataclass(frozen=True)
class RayEngine:
    """Does a run's work on Ray."""

    work: Work
    pool: Pool
    max_attempts: int
    seconds: float  # limit of a batch at each stage; 0: none
    attempts_file: Location
    payload_bytes: int  # of a prepared group, about
    metrics: RunMetrics = field(default_factory=RunMetrics)

    def index(self, drive: Drive, layers: tuple[str, ...]) -> Callable[[], pa.Table]:
        """Begin to index a drive, chunks of its frames in parallel; gives the index when it is there.

        Raises:
            InputError: a mask that cannot be used and is not just damaged; the earliest of them is named. Or a file
                that cannot be read.
            WorkerError: the workers cannot go on.
        """
        frames = all_frames(drive, layers)
        logger.info("Indexing %d frames", len(frames))
        chunks = [frames[start : start + FRAMES_PER_CHUNK] for start in range(0, len(frames), FRAMES_PER_CHUNK)]
        task = ray.remote(num_cpus=0.5)(index_chunk)
        task = task.options(name=f"index {drive.name}", retry_exceptions=[OSError])  # such as a store's bad moment
        return partial(_index_of, [task.remote(drive.part(chunk), layers) for chunk in chunks], drive.name)

    def label(self, queue: GroupQueue) -> Iterator[GroupResult]:
        """Results of what a queue gives, each batch of them as soon as it is there, in no fixed order.

        Ray starts workers and tasks that died anew. Should the stream as a whole break down, it is begun again with
        what had not come back, unless nothing comes back any more.

        Raises:
            WorkerError: no labeler can be set up, or the workers cannot go on.
        """
        attempts = _on_this_node(AttemptLedger, restarts=True).remote(
            self.attempts_file, max_attempts=self.max_attempts, lives=is_alive
        )
        fruitless = 0  # streams, one after the other
        try:
            while not queue.finished:
                count = 0
                try:
                    for result in self._stream(queue, attempts):
                        count += 1
                        yield result
                        if result.attempts and (result.error is None or result.attempts >= self.max_attempts):
                            attempts.end.remote([RetryPolicy.name(stage, [result.group_id]) for stage in (LOAD, FIT)])
                except (RayError, ExecutionTimeoutError) as error:
                    fruitless = 0 if count else fruitless + 1
                    if fruitless and (fruitless == _FRUITLESS_STREAMS or isinstance(error, ExecutionTimeoutError)):
                        raise WorkerError(f"Ray cannot go on: {one_line(error)}") from error
                    logger.warning("Ray's stream broke down and is begun again: %s", one_line(error))
                    queue.rewind()
        finally:
            ray.kill(attempts)

    def tell(self, progress: Progress, result: GroupResult, *, write_seconds: float) -> None:
        """Let the metrics show a result."""
        self.metrics.update(progress, result, write_seconds=write_seconds)

    def _stream(self, queue: GroupQueue, attempts: ActorHandle) -> Iterator[GroupResult]:
        num_batches = queue.num_batches
        with _data_settings(self.seconds), _Supply.running(queue, ahead=self._ahead) as supply:
            dataset = self._dataset(supply.feed, attempts, num_batches=num_batches)
            for row in _rows(dataset):
                supply.came_back(row["number"])
                if row["defect"]:
                    raise WorkerError(f"the labeler cannot be set up on {self.pool.device}: {row['defect']}")
                yield from pickle.loads(row["results"])

    @property
    def _ahead(self) -> int:
        """Batches that are under way at most: some for each actor, and of large groups fewer."""
        fitting = _BYTES_AHEAD // max(self.payload_bytes * self.pool.batch_size, 1)
        return max(min(4 * self.pool.max_size + 16, fitting), 2 * self.pool.max_size)

    def _dataset(self, feed: ActorHandle, attempts: ActorHandle, *, num_batches: int | None) -> Dataset:
        policy = RetryPolicy(cast(Any, attempts), self.max_attempts, self.seconds)
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        dataset = (
            ray.data.range(1, override_num_blocks=1)
            .flat_map(partial(frame_groups, feed=cast(Any, feed)), num_cpus=0, label_selector=here)
            .map(partial(load_groups, work=self.work, policy=policy), num_cpus=1, max_calls=_LOADS_A_PROCESS)
            .map(
                LabelGroups,  # pyright: ignore[reportArgumentType] - Ray makes an instance in every actor
                fn_constructor_kwargs={"work": self.work, "policy": policy},
                compute=_strategy(self.pool, num_batches),
                num_cpus=self.pool.num_cpus,
                num_gpus=self.pool.num_gpus,
                label_selector={_ACCELERATOR: self.pool.accelerator} if self.pool.accelerator else None,
            )
        )
        # What the dashboard shows a run as, beside the functions' names: "label vsrd into street-labels".
        dataset.set_name(f"label {self.work.config.labeler} into {self.attempts_file.parent.name}")
        return dataset


@dataclass(frozen=True)
class _Supply:
    """Moves batches from a queue into a feed, so many ahead of the results."""

    queue: GroupQueue
    feed: ActorHandle
    slots: threading.Semaphore
    stopped: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)

    @staticmethod
    @contextmanager
    def running(queue: GroupQueue, *, ahead: int) -> "Iterator[_Supply]":
        """A supply that runs beside the block, and whose error the block ends with."""
        supply = _Supply(queue, _on_this_node(Feed).remote(), threading.Semaphore(ahead))
        thread = threading.Thread(target=supply.run, name="supply", daemon=True)
        thread.start()
        patience = None
        try:
            yield supply
        except KeyboardInterrupt:
            patience = _HURRY  # it may be at a sequence's index, and ends with the process
            raise
        finally:
            supply.stopped.set()
            thread.join(patience)
            ray.kill(supply.feed)
        if supply.errors:
            raise supply.errors[0]

    def run(self) -> None:
        """Supply until the source is finished, or the stream is as long as Ray Data can well keep count of."""
        try:
            for _ in range(_BATCHES_A_STREAM):
                if (batch := self._next()) is None:
                    break
                ray.get(self.feed.put.remote(pickle.dumps(batch)))
        except BaseException as error:
            self.errors.append(error)
        finally:
            self.feed.close.remote()

    def came_back(self, number: int) -> None:
        """A batch is done with: there is a place for another."""
        self.feed.drop.remote(number)
        self.slots.release()

    def _next(self) -> list | None:
        while not self.stopped.is_set() and not self.slots.acquire(timeout=_POLL):
            pass
        while not self.stopped.is_set() and not self.queue.finished:
            if batch := self.queue.next_batch(_POLL):
                return batch
        return None


@contextmanager
def _data_settings(seconds: float) -> Iterator[None]:
    """Ray Data as a stream needs it, and as it was after the block."""
    context = ray.data.DataContext.get_current()
    settings = {
        "target_max_block_size": 1,  # so that each row is a block: a unit of work, and of what can be lost
        "max_consecutive_actor_init_deaths": 5,
        "execution_no_progress_timeout_s": seconds + _PATIENCE if seconds else -1,
    }
    before = {name: getattr(context, name) for name in settings}
    for name, value in settings.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _index_of(chunks: list[ray.ObjectRef], sequence: str) -> pa.Table:
    try:
        parts = ray.get(chunks)
    except RayTaskError as error:  # what the task met in the files, and not what became of its worker
        cause = error.cause if isinstance(error.cause, Exception) else error
        reason = explained(cause) if isinstance(cause, OSError) else one_line(cause)
        raise InputError(f"{sequence} cannot be indexed: {reason}") from error
    except RayError as error:
        raise WorkerError(f"{sequence} cannot be indexed: {one_line(error)}") from error
    if errors := [part for part in parts if isinstance(part, str)]:
        raise InputError(errors[0])
    return pa.concat_tables(parts)


def _on_this_node(kind: type, *, restarts: bool = False) -> Any:
    """An actor class whose actors live on the driver's own machine, and take nothing from the others' share."""
    lives = -1 if restarts else 0
    return ray.remote(num_cpus=0)(kind).options(scheduling_strategy=_here(), max_restarts=lives, max_task_retries=lives)


def _here() -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _strategy(pool: Pool, num_batches: int | None) -> ActorPoolStrategy:
    """A pool no larger than there are batches, as far as that is known, in which the next batch waits at each actor.

    But where batches are few, none is held back behind a busy actor.
    """
    most = pool.max_size if num_batches is None else max(num_batches, 1)
    max_size, min_size = min(pool.max_size, most), min(pool.min_size, most)
    if min_size == max_size:
        few = num_batches is not None and num_batches <= 4 * max_size
        return ActorPoolStrategy(size=max_size, max_tasks_in_flight_per_actor=1 if few else 2)
    return ActorPoolStrategy(
        min_size=min_size,
        max_size=max_size,
        initial_size=min(pool.initial_size, max_size),
        max_tasks_in_flight_per_actor=2,
    )


def _rows(dataset: Dataset) -> Iterator[dict]:
    """Rows as blocks end: with the default prefetching, each block would wait for the next one."""
    for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
        yield from cast(pa.Table, batch).to_pylist()
