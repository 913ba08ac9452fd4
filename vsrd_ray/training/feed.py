"""Batches of samples: those of a worker, read ahead by threads where there are some."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import torch

from vsrd_ray.errors import InputError, one_line
from vsrd_ray.training.base import Batch, Sample, Samples, Trainable
from vsrd_ray.training.draws import Draws

_AHEAD = 3  # batches that threads read in advance
# What a batch is made of: the step that it is of, and the numbers of its samples.
Plan = tuple[int, Sequence[int]]


def batches(
    plans: Iterable[Plan], samples: Samples, trainable: Trainable[Any], *, threads: int
) -> Iterator[tuple[Batch, list[str]]]:
    """Batches on the CPU, and the ids of their samples, in order; equal whatever the number of threads.

    Args:
        plans: what to read.
        samples: where from.
        trainable: puts samples together.
        threads: that read; 0: this one.

    Raises:
        InputError: a sample cannot be read.
    """
    seed = trainable.settings.seed
    if not threads:
        for step, numbers in plans:
            yield trainable.collate([_read(samples, one, step, seed) for one in numbers]), _ids(samples, numbers)
        return
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(threads, thread_name_prefix="samples")
        stack.callback(pool.shutdown, cancel_futures=True)
        waiting = deque[tuple[list[Any], Sequence[int]]]()
        for step, numbers in plans:
            waiting.append(([pool.submit(_read, samples, one, step, seed) for one in numbers], numbers))
            if len(waiting) > _AHEAD:
                yield _collated(*waiting.popleft(), samples, trainable)
        while waiting:
            yield _collated(*waiting.popleft(), samples, trainable)


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The tensors of a batch on a device."""
    if device.type == "cpu":
        return batch
    return {
        name: value.pin_memory().to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
    }


def _collated(
    futures: list[Any], numbers: Sequence[int], samples: Samples, trainable: Trainable[Any]
) -> tuple[Batch, list[str]]:
    return trainable.collate([one.result() for one in futures]), _ids(samples, numbers)


def _read(samples: Samples, number: int, step: int, seed: int) -> Sample:
    name = samples.ids[number]
    try:
        return samples.read(number, Draws.of(seed, step, [name], "sample"))
    except InputError as error:
        raise InputError(f"sample {name}: {error}") from error
    except OSError as error:
        raise InputError(f"sample {name} cannot be read ({one_line(error)}): restore its files") from error


def _ids(samples: Samples, numbers: Sequence[int]) -> list[str]:
    return [samples.ids[number] for number in numbers]
