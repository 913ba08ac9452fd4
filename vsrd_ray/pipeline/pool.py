"""How many actors label, and on what: the sizes of the pool, checked before anything starts."""

import os
from dataclasses import dataclass
from typing import Literal

from vsrd_ray.errors import InputError

GPU_BATCH = 16  # groups that an actor takes at once on a GPU; how many instances it fits at a time, its memory says

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Machine:
    """What there is to run on."""

    cpus: int  # for actors; what Ray needs beside them is not counted
    gpus: int


@dataclass(frozen=True)
class PoolRequest:
    """What the user asked for; None leaves the choice to the machine."""

    num_actors: tuple[int, int] | None = None  # smallest and largest number of actors
    num_gpus: float | None = None  # of an actor
    device: Device = "auto"


@dataclass(frozen=True)
class Pool:
    """An actor pool that can be placed. Every actor takes one CPU."""

    min_size: int
    max_size: int
    num_gpus: float  # of an actor
    device: Literal["cpu", "cuda"]

    @property
    def groups_per_batch(self) -> int:
        """Groups that an actor is given at once: on a GPU many, which it fits together."""
        return GPU_BATCH if self.device == "cuda" else 1


def parse_num_actors(text: str) -> tuple[int, int]:
    """The smallest and largest number of actors that "N" or "MIN:MAX" names.

    Raises:
        InputError: the text is neither, or the numbers are not 1 <= MIN <= MAX.
    """
    low, separator, high = text.partition(":")
    try:
        sizes = int(low), int(high) if separator else int(low)
    except ValueError:
        raise InputError(f"--num-actors {text}: expected N or MIN:MAX, such as 4 or 1:8") from None
    if not 1 <= sizes[0] <= sizes[1]:
        raise InputError(f"--num-actors {text}: expected 1 <= MIN <= MAX")
    return sizes


def this_machine() -> Machine:
    """The CPU cores that this process may use, and the GPUs that torch can use."""
    import torch  # noqa: PLC0415 - takes a second, and pools are parsed without it

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(cpus=cpus, gpus=torch.cuda.device_count())


def resolve_pool(request: PoolRequest, machine: Machine) -> Pool:
    """The pool to start: by default one actor for each GPU, or where there is none, for each core.

    Raises:
        InputError: the pool could never be placed on the machine; the message holds the arithmetic.
    """
    device = request.device if request.device != "auto" else ("cuda" if machine.gpus else "cpu")
    if device == "cuda" and not machine.gpus:
        raise InputError("--device cuda: torch finds no CUDA device here; use --device cpu, or run where there is one")
    num_gpus = request.num_gpus if request.num_gpus is not None else float(device == "cuda")
    _check_share(num_gpus, device)
    fitting = min(machine.cpus, int(machine.gpus / num_gpus + 1e-9)) if num_gpus else machine.cpus
    min_size, max_size = request.num_actors or (max(fitting, 1), max(fitting, 1))
    if max_size > fitting:
        needed = f"{max_size} CPUs" + (f" and {max_size * num_gpus:g} GPUs" if num_gpus else "")
        each = "1 CPU" + (f" + {num_gpus:g} GPU" if num_gpus else "")
        raise InputError(
            f"a pool of {max_size} actors x ({each}) needs {needed}, and there are {machine.cpus} CPUs and "
            f"{machine.gpus} GPUs: at most --num-actors {fitting} fits"
        )
    return Pool(min_size=min_size, max_size=max_size, num_gpus=num_gpus, device=device)


def _check_share(num_gpus: float, device: str) -> None:
    if num_gpus < 0 or (num_gpus > 1 and not float(num_gpus).is_integer()):
        raise InputError(
            f"--num-gpus {num_gpus:g}: expected a share of one GPU, such as 0.5, or a whole number of them"
        )
    if device == "cuda" and not num_gpus:
        raise InputError("--num-gpus 0 with CUDA: an actor without a GPU cannot use one; give a share, or --device cpu")
    if device == "cpu" and num_gpus:
        raise InputError(
            f"--num-gpus {num_gpus:g} on the CPU: there is nothing to use it for; leave it out, or use CUDA"
        )
