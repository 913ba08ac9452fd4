"""The evaluation of runs on Ray: a task a sequence."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from vsrd_ray.engines.ray_data.session import ray_session
from vsrd_ray.errors import WorkerError, one_line
from vsrd_ray.labels.spread import Spread, Task


def on_ray(address: str | None) -> Spread:
    """Spreads sequences over the nodes of a cluster, side by side, for `evaluate_run` and `compare_runs`.

    What each task reads lies where the runs and the dataset lie, and every node can read there; what comes back is a
    few numbers a box.

    Args:
        address: of a running cluster, such as "auto" or "10.0.0.1:6379"; None for a Ray on this machine.

    Raises:
        InputError: once sequences are given: nothing answers at the address.
        WorkerError: likewise: the workers cannot go on.
    """
    return partial(_spread, address=address)


def _spread(work: Callable[..., Any], tasks: Sequence[Task], *, address: str | None) -> list[Any]:
    with ray_session(address=address):
        import ray  # noqa: PLC0415 - once the session has begun
        from ray.exceptions import RayError  # noqa: PLC0415

        remote = ray.remote(_do)
        started = []
        for task in tasks:
            named = remote.options(name=f"evaluate {task.sequence}", retry_exceptions=[OSError])  # a store's bad moment
            started.append(named.remote(work, task))
        try:
            return ray.get(started)
        except RayError as error:
            raise WorkerError(f"Ray cannot go on: {one_line(error)}") from error


def _do(work: Callable[..., Any], task: Task) -> Any:
    return work(*task)
