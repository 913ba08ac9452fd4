"""How many actors, on what: chosen from the machines that there are or may come; refused where none can hold them."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from vsrd_ray.errors import InputError
from vsrd_ray.pipeline.cores import num_cores

logger = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda"]

_ACTORS_A_LOADER = 3  # loading takes a CPU about a third of the time that a fit takes one


@dataclass(frozen=True)
class Node:
    """Machines of one kind."""

    cpus: float
    gpus: float
    accelerator: str | None = None  # type of the GPUs, as Ray names it
    count: int = 1  # how many there are, or may be

    def places(self, *, num_cpus: float, num_gpus: float, accelerator: str | None) -> int:
        """Actors that fit on all of them."""
        if accelerator is not None and accelerator != self.accelerator:
            return 0
        places = int(self.cpus / num_cpus + 1e-9)
        if 0 < num_gpus < 1:  # a share lies on one GPU
            places = min(places, int(self.gpus) * int(1 / num_gpus + 1e-9))
        elif num_gpus:
            places = min(places, int(self.gpus / num_gpus + 1e-9))
        return self.count * places


@dataclass(frozen=True)
class Machines:
    """What there is to run on, and what may be started when it is asked for."""

    present: tuple[Node, ...]
    possible: tuple[Node, ...] = ()  # all that an autoscaler may have running at a time, the present ones included
    may_be_more: bool = False  # others may come, of which nothing is known
    busy_cpus: float = 0.0  # of the present ones; other jobs hold them, or this one's own entry point
    is_local: bool = False  # one machine, on which tasks that load may share the cores of the actors

    @property
    def cpus(self) -> float:
        """CPUs, as far as they can come."""
        return max(sum(node.cpus * node.count for node in nodes) for nodes in (self.present, self.possible))

    @property
    def gpus(self) -> float:
        """GPUs, as far as they can come."""
        return max(sum(node.gpus * node.count for node in nodes) for nodes in (self.present, self.possible))

    @property
    def accelerators(self) -> set[str]:
        """Types of the GPUs."""
        return {node.accelerator for node in (*self.present, *self.possible) if node.accelerator}


@dataclass(frozen=True)
class PoolRequest:
    """What the user asked for; None leaves the choice to the machines."""

    num_actors: tuple[int, int] | None = None  # smallest and largest number of actors
    initial_actors: int | None = None
    num_gpus: float | None = None  # of an actor
    num_cpus: int = 1  # of an actor
    accelerator: str | None = None
    batch_size: int | None = None
    device: Device = "auto"


@dataclass(frozen=True)
class Pool:
    """An actor pool that can be placed."""

    min_size: int
    max_size: int
    initial_size: int
    num_gpus: float  # of an actor
    num_cpus: int  # of an actor, and threads of its numerical libraries
    accelerator: str | None
    batch_size: int  # groups that an actor is given at once; on a GPU it fits them together
    device: Literal["cpu", "cuda"]


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


def this_machine() -> Machines:
    """The CPU cores that this process may use, and the GPUs that torch can use."""
    import torch  # noqa: PLC0415 - takes a second, and pools are parsed without it

    return Machines(present=(Node(cpus=num_cores(), gpus=torch.cuda.device_count()),), is_local=True)


def resolve_pool(request: PoolRequest, machines: Machines, *, gpu_batch: int = 1) -> Pool:
    """The pool to start: by default one actor for each GPU, or where there is none, for each core.

    On a cluster that grows, the pool may grow with it, and asks for all of it at once.

    Args:
        request: what the user asked for.
        machines: what there is.
        gpu_batch: groups that an actor on a GPU is given at once, as the labeler says.

    Raises:
        InputError: the pool could never be placed; the message holds the arithmetic.
    """
    if machines.may_be_more and (request.device == "auto" or request.num_actors is None):
        raise InputError(
            "machines may join this cluster of which nothing is known here: give --device cpu or cuda, and --num-actors"
        )
    device = request.device if request.device != "auto" else ("cuda" if machines.gpus else "cpu")
    if device == "cuda" and not machines.gpus and not machines.may_be_more:
        raise InputError("--device cuda: there is no CUDA device here; use --device cpu, or run where there is one")
    num_gpus = request.num_gpus if request.num_gpus is not None else float(device == "cuda")
    _check_share(num_gpus, device)
    if request.num_cpus < 1:
        raise InputError(f"--num-cpus {request.num_cpus}: an actor needs at least 1 CPU")
    is_known = request.accelerator is None or request.accelerator in machines.accelerators
    if not is_known and not machines.may_be_more:
        known = ", ".join(sorted(machines.accelerators)) or "none"
        raise InputError(f"--accelerator-type {request.accelerator}: no such GPU here; there are {known}")
    fitting, present = (
        _fitting(nodes, request, num_gpus=num_gpus, is_local=machines.is_local)
        for nodes in ((machines.possible or machines.present), machines.present)
    )
    fitting = max(fitting, present)
    if request.num_actors is None and machines.busy_cpus and not machines.possible:
        fitting = present = _fitting(
            machines.present, request, num_gpus=num_gpus, is_local=machines.is_local, busy=machines.busy_cpus
        )
    min_size, max_size = request.num_actors or (min(max(present, 1), max(fitting, 1)), max(fitting, 1))
    if max_size > fitting and not machines.may_be_more:
        raise InputError(_arithmetic(max_size, fitting, request, num_gpus=num_gpus, machines=machines))
    initial_size = request.initial_actors if request.initial_actors is not None else max_size
    if not min_size <= initial_size <= max_size:
        raise InputError(f"--initial-actors {initial_size}: expected a number from {min_size} to {max_size}")
    _warn_of_waiting(min_size, request, num_gpus=num_gpus, machines=machines)
    return Pool(
        min_size=min_size,
        max_size=max_size,
        initial_size=initial_size,
        num_gpus=num_gpus,
        num_cpus=request.num_cpus,
        accelerator=request.accelerator,
        batch_size=request.batch_size or (gpu_batch if device == "cuda" else 1),
        device=device,
    )


def loaders(num_actors: int) -> int:
    """CPUs beside a number of actors that keep them supplied with loaded groups."""
    return -(-num_actors // _ACTORS_A_LOADER)


def _fitting(nodes: Iterable[Node], request: PoolRequest, *, num_gpus: float, is_local: bool, busy: float = 0.0) -> int:
    """Actors that fit on some machines, some of whose CPUs are busy, and leave CPUs for the tasks that load."""
    nodes = list(nodes)
    places = sum(
        node.places(num_cpus=request.num_cpus, num_gpus=num_gpus, accelerator=request.accelerator) for node in nodes
    )
    if is_local:  # there Ray is told of more cores than there are
        return places
    cpus = sum(node.cpus * node.count for node in nodes) - busy
    while places and _cpus_for(places, request, num_gpus=num_gpus) > cpus:
        places -= 1
    return places


def _cpus_for(size: int, request: PoolRequest, *, num_gpus: float) -> int:
    """CPUs of a pool on a cluster, and of the tasks that load for it."""
    return size * request.num_cpus + (1 if num_gpus else loaders(size))


def _warn_of_waiting(size: int, request: PoolRequest, *, num_gpus: float, machines: Machines) -> None:
    """Say so where a pool of a size has to wait for CPUs that others hold: it may be for ever."""
    needed, free = _cpus_for(size, request, num_gpus=num_gpus), machines.cpus - machines.busy_cpus
    if machines.busy_cpus and needed > free:
        logger.warning(
            "%g CPUs are needed, and others hold %g of %g: the run waits until they are free, and for ever if they are "
            "its own entry point's (leave --entrypoint-num-cpus out).",
            needed,
            machines.busy_cpus,
            machines.cpus,
        )


def _arithmetic(size: int, fitting: int, request: PoolRequest, *, num_gpus: float, machines: Machines) -> str:
    gpus = f" and {size * num_gpus:g} GPUs" if num_gpus else ""
    loading = 0 if machines.is_local else (1 if num_gpus else loaders(size))
    each = f"{request.num_cpus} CPU" + (f" + {num_gpus:g} GPU" if num_gpus else "")
    total = f"{size * request.num_cpus + loading} CPUs{gpus}"
    more = f" and {loading} CPU to load" if loading else ""
    there = "there can be" if machines.possible else "there are"
    busy = f" ({machines.busy_cpus:g} of them in use by others)" if machines.busy_cpus else ""
    kind = f" of type {request.accelerator}" if request.accelerator else ""
    return (
        f"a pool of {size} actors x ({each}){more} needs {total}, and {there} {machines.cpus:g} CPUs{busy} and "
        f"{machines.gpus:g} GPUs{kind}: at most --num-actors {fitting} fits"
    )


def _check_share(num_gpus: float, device: str) -> None:
    if not num_gpus >= 0 or (num_gpus > 1 and not float(num_gpus).is_integer()):
        raise InputError(
            f"--num-gpus {num_gpus:g}: expected a share of one GPU, such as 0.5, or a whole number of them"
        )
    if device == "cuda" and not num_gpus:
        raise InputError("--num-gpus 0 with CUDA: an actor without a GPU cannot use one; give a share, or --device cpu")
    if device == "cpu" and num_gpus:
        raise InputError(
            f"--num-gpus {num_gpus:g} on the CPU: there is nothing to use it for; leave it out, or use CUDA"
        )
