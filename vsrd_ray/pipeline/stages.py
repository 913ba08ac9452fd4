"""The Ray Data streams of a run, seen from the driver: frames to indexes, groups to labels. Needs a running Ray."""

from collections.abc import Iterator
from functools import partial
from typing import cast

import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy, Dataset

from vsrd_ray.config import VSRDConfig
from vsrd_ray.data.frames import GroupPlan, Sequence
from vsrd_ray.data.index import all_frames
from vsrd_ray.errors import InputError
from vsrd_ray.pipeline.actors import LabelGroups
from vsrd_ray.pipeline.factory import LabelerFactory
from vsrd_ray.pipeline.indexing import index_chunk
from vsrd_ray.pipeline.plan import SequencePlan, plan_to_row
from vsrd_ray.pipeline.pool import Pool
from vsrd_ray.pipeline.sink import GroupResult
from vsrd_ray.pipeline.tables import from_bytes

FRAMES_PER_CHUNK = 32  # about half a second of indexing, so that a task's own cost does not show


def index_sequences(sequences: list[Sequence]) -> dict[str, pa.Table]:
    """Indexes of sequences, by name; chunks of frames are indexed in parallel.

    Raises:
        InputError: a mask that cannot be used and is not just damaged; the earliest of them is named.
    """
    chunks = [
        {"sequence": sequence.name, "frames": frames[start : start + FRAMES_PER_CHUNK]}
        for sequence in sequences
        for frames in [all_frames(sequence)]
        for start in range(0, len(frames), FRAMES_PER_CHUNK)
    ]
    references = {sequence.name: ray.put(sequence) for sequence in sequences}
    dataset = ray.data.from_items(chunks, override_num_blocks=len(chunks)).map(
        partial(index_chunk, sequences=references)
    )
    dataset.set_name("index")
    order = {sequence.name: position for position, sequence in enumerate(sequences)}
    rows = sorted(_rows(dataset), key=lambda row: (order[row["sequence"]], row["first_frame"]))
    if errors := [row["error"] for row in rows if row["error"]]:
        raise InputError(errors[0])
    return {
        name: pa.concat_tables(from_bytes(row["index"]) for row in rows if row["sequence"] == name) for name in order
    }


def label_groups(
    groups: list[GroupPlan],
    plans: dict[str, SequencePlan],
    *,
    pool: Pool,
    config: VSRDConfig,
    labeler_factory: LabelerFactory,
    trace: bool,
) -> Iterator[GroupResult]:
    """Results of the groups, each as soon as it is there, in no fixed order.

    Args:
        groups: what to label.
        plans: the sequences of the groups, by name.
        pool: the actors.
        config: settings of the run.
        labeler_factory: makes the labeler of an actor.
        trace: whether losses and boxes over the steps come back too.
    """
    names = {group.sequence for group in groups}
    constructor = {
        "sequences": {name: ray.put((plans[name].sequence, plans[name].index)) for name in sorted(names)},
        "config": config,
        "labeler_factory": labeler_factory,
        "device": pool.device,
        "trace": trace,
    }
    rows = [plan_to_row(group) for group in groups]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        LabelGroups,  # pyright: ignore[reportArgumentType] - Ray makes an instance in every actor
        fn_constructor_kwargs=constructor,
        compute=_strategy(pool, len(groups)),
        num_cpus=1,
        num_gpus=pool.num_gpus,
    )
    dataset.set_name("label")
    for row in _rows(dataset):
        yield GroupResult(
            group_id=row["group_id"],
            error=row["error"],
            seconds=row["seconds"],
            labels=from_bytes(row["labels"]) if row["labels"] else None,
            trace=from_bytes(row["trace"]) if row["trace"] else None,
        )


def _strategy(pool: Pool, num_groups: int) -> ActorPoolStrategy:
    """A pool no larger than there are groups, filled at once.

    A fixed pool holds no group back behind a busy actor; one that may grow needs two tasks in flight, since Ray Data
    grows a pool only when its actors have more to do than they can.
    """
    max_size = min(pool.max_size, num_groups)
    min_size = min(pool.min_size, max_size)
    if min_size == max_size:
        return ActorPoolStrategy(size=max_size, max_tasks_in_flight_per_actor=1)
    return ActorPoolStrategy(
        min_size=min_size, max_size=max_size, initial_size=max_size, max_tasks_in_flight_per_actor=2
    )


def _rows(dataset: Dataset) -> Iterator[dict]:
    """Rows as blocks end: with the default prefetching, each block would wait for the next one."""
    for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
        yield from cast(pa.Table, batch).to_pylist()
