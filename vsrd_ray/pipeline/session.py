"""A Ray of our own on this machine, for as long as a run needs it."""

import logging
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from vsrd_ray.pipeline.pool import Machine, this_machine

logger = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 512 * 2**20  # what passes through is small: an index per sequence, label rows per group


def available_machine() -> Machine:
    """What actors can use: the Ray that this process is connected to, or else this machine."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return this_machine()
    resources = ray.cluster_resources()
    return Machine(cpus=max(int(resources.get("CPU", 0)) - 1, 1), gpus=int(resources.get("GPU", 0)))


@contextmanager
def ray_session(machine: Machine, *, dashboard: bool = False, verbose: bool = False) -> Iterator[None]:
    """A running Ray: the one that this process is connected to, or a local one that ends with the block.

    A local one has one logical CPU more than the machine has cores, so that tasks which route rows always find a place
    beside the actors. Its progress bars are off, and its logs stay in its own files unless `verbose`.
    """
    ray = _import_ray()
    if ray.is_initialized():
        with _quiet_data(verbose=verbose):
            yield
        return
    try:
        context = ray.init(
            address="local",
            num_cpus=machine.cpus + 1,
            num_gpus=machine.gpus,
            include_dashboard=dashboard,
            log_to_driver=verbose,
            logging_level="INFO" if verbose else "ERROR",
            object_store_memory=OBJECT_STORE_BYTES,
        )
        if dashboard:
            logger.info("Ray dashboard: http://%s%s", context.dashboard_url, _token_hint())
        with _quiet_data(verbose=verbose):
            yield
    finally:
        ray.shutdown()


def _import_ray() -> ModuleType:
    """Ray, with a token of this process alone unless the user chose how to authenticate.

    Left to itself, a local Ray writes a token into the home folder, and from then on `ray start --head` asks for it.
    Ray reads these variables when it is imported.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray  # noqa: PLC0415 - after the token is set; also, it takes more than a second

    return ray


def _token_hint() -> str:
    token = os.environ.get("RAY_AUTH_TOKEN")
    return f" (token {token})" if os.environ.get("RAY_AUTH_MODE") == "token" and token else ""


@contextmanager
def _quiet_data(*, verbose: bool) -> Iterator[None]:
    """Ray Data without its own progress display: the run draws one from its results."""
    from ray.data import DataContext  # noqa: PLC0415 - see _import_ray

    logging.getLogger("ray.data").setLevel(logging.INFO if verbose else logging.ERROR)
    context = DataContext.get_current()
    before = context.enable_progress_bars, context.print_on_execution_start
    context.enable_progress_bars, context.print_on_execution_start = False, verbose
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start = before
