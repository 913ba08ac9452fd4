"""The Ray Data streams of a run, seen from the driver: frames to indexes, groups to labels. Needs a running Ray."""

import pickle
from collections.abc import Iterator
from typing import cast

import pyarrow as pa
import ray
import ray.data
from ray.actor import ActorHandle
from ray.data import ActorPoolStrategy, Dataset
from ray.exceptions import RayError

from vsrd_ray.config import VSRDConfig
from vsrd_ray.data.frames import Sequence
from vsrd_ray.data.index import all_frames
from vsrd_ray.data.loading import GroupTask
from vsrd_ray.errors import InputError, WorkerError, one_line
from vsrd_ray.pipeline.actors import LabelGroups
from vsrd_ray.pipeline.attempts import Attempts
from vsrd_ray.pipeline.factory import LabelerFactory
from vsrd_ray.pipeline.indexing import index_chunk
from vsrd_ray.pipeline.pool import Pool
from vsrd_ray.pipeline.results import GroupResult

FRAMES_PER_CHUNK = 32  # about half a second of indexing, so that a task's own cost does not show


def index_sequences(sequences: list[Sequence]) -> dict[str, pa.Table]:
    """Indexes of sequences, by name; chunks of frames are indexed in parallel.

    Raises:
        InputError: a mask that cannot be used and is not just damaged; the earliest of them is named.
        WorkerError: the workers cannot go on.
    """
    parts = [
        sequence.part(frames[start : start + FRAMES_PER_CHUNK])
        for sequence in sequences
        for frames in [all_frames(sequence)]
        for start in range(0, len(frames), FRAMES_PER_CHUNK)
    ]
    rows = [{"position": position, "part": pickle.dumps(part)} for position, part in enumerate(parts)]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(index_chunk)
    dataset.set_name("index")
    results = sorted(_rows(dataset), key=lambda row: row["position"])
    if errors := [row["error"] for row in results if row["error"]]:
        raise InputError(errors[0])
    tables: dict[str, list[pa.Table]] = {sequence.name: [] for sequence in sequences}
    for row in results:
        tables[parts[row["position"]].name].append(pickle.loads(row["index"]))
    return {name: pa.concat_tables(chunks) for name, chunks in tables.items()}


def label_groups(
    tasks: list[GroupTask], *, pool: Pool, config: VSRDConfig, labeler_factory: LabelerFactory, trace: bool
) -> Iterator[GroupResult]:
    """Results of the groups, each batch of them as soon as it is there, in no fixed order.

    Ray starts a worker that died anew, and gives it the same groups; one that goes on killing its workers is failed.

    Args:
        tasks: the groups to label.
        pool: the actors.
        config: settings of the run.
        labeler_factory: makes the labeler of an actor.
        trace: whether losses and boxes over the steps come back too.

    Raises:
        WorkerError: the workers cannot go on.
    """
    attempts = ray.remote(num_cpus=0)(Attempts).remote()
    size = pool.groups_per_batch
    rows = [{"tasks": pickle.dumps(tasks[start : start + size])} for start in range(0, len(tasks), size)]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        LabelGroups,  # pyright: ignore[reportArgumentType] - Ray makes an instance in every actor
        fn_constructor_kwargs={
            "config": config,
            "labeler_factory": labeler_factory,
            "device": pool.device,
            "trace": trace,
            "attempts": attempts,
        },
        compute=_strategy(pool, len(rows)),
        num_cpus=1,
        num_gpus=pool.num_gpus,
    )
    dataset.set_name("label")
    try:
        for row in _rows(dataset):
            if row["defect"]:
                raise WorkerError(f"the labeler cannot be set up on {pool.device}: {row['defect']}")
            yield from pickle.loads(row["results"])
    finally:
        ray.kill(cast(ActorHandle, attempts))


def _strategy(pool: Pool, num_batches: int) -> ActorPoolStrategy:
    """A pool no larger than there are batches of groups, filled at once.

    A fixed pool holds no batch back behind a busy actor; one that may grow needs two tasks in flight, since Ray Data
    grows a pool only when its actors have more to do than they can.
    """
    max_size = min(pool.max_size, num_batches)
    min_size = min(pool.min_size, max_size)
    if min_size == max_size:
        return ActorPoolStrategy(size=max_size, max_tasks_in_flight_per_actor=1)
    return ActorPoolStrategy(
        min_size=min_size, max_size=max_size, initial_size=max_size, max_tasks_in_flight_per_actor=2
    )


def _rows(dataset: Dataset) -> Iterator[dict]:
    """Rows as blocks end: with the default prefetching, each block would wait for the next one."""
    try:
        for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
            yield from cast(pa.Table, batch).to_pylist()
    except RayError as error:
        raise WorkerError(f"Ray cannot go on: {one_line(error)}") from error
