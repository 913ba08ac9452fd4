"""A Ray of our own on this machine, for as long as a run needs it."""

import io
import logging
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from types import ModuleType, TracebackType

from vsrd_ray.errors import WorkerError
from vsrd_ray.pipeline.pool import Machine, this_machine

logger = logging.getLogger(__name__)

_STDERR = 2  # the process's own, which Ray's C++ part writes to
OBJECT_STORE_BYTES = 512 * 2**20  # what passes through is small: an index per sequence, label rows per group


def available_machine() -> Machine:
    """What actors can use: the Ray that this process is connected to, or else this machine."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return this_machine()
    resources = ray.cluster_resources()
    return Machine(cpus=max(int(resources.get("CPU", 0)) - 1, 1), gpus=int(resources.get("GPU", 0)))


class RayOnDemand:
    """A `ray_session` that begins when it is first asked for, and ends with the block.

    Meanwhile nothing is printed unless it is `verbose`: Ray prints what becomes of its tasks and actors, whatever its
    settings, such as that an interrupted one is to be tried again.
    """

    def __init__(self, machine: Machine, *, dashboard: bool, verbose: bool) -> None:
        self._session: AbstractContextManager[None] | None = ray_session(machine, dashboard=dashboard, verbose=verbose)
        self._verbose = verbose
        self._stack = ExitStack()

    def __enter__(self) -> "RayOnDemand":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def start(self) -> None:
        """Start Ray, unless that is done."""
        if self._session is None:
            return
        if not self._verbose:
            self._stack.enter_context(redirect_stdout(io.StringIO()))
        self._stack.enter_context(self._session)
        self._session = None


@contextmanager
def ray_session(machine: Machine, *, dashboard: bool = False, verbose: bool = False) -> Iterator[None]:
    """A running Ray: the one that this process is connected to, or a local one that ends with the block.

    A local one has one logical CPU more than the machine has cores, so that tasks which route rows always find a place
    beside the actors. Its progress bars are off, and its logs stay in its own files unless `verbose`.

    Raises:
        WorkerError: from the block, with the place of Ray's logs added.
    """
    ray = _import_ray()
    if ray.is_initialized():
        with _logs_named(), _quiet_data(verbose=verbose):
            yield
        return
    try:
        with nullcontext() if verbose else _without_native_messages():
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
        with _logs_named(), _quiet_data(verbose=verbose):
            yield
    finally:
        ray.shutdown()


@contextmanager
def _without_native_messages() -> Iterator[None]:
    """For the start of Ray: what its C++ part has to say of its own affairs is kept from the terminal from then on.

    It would warn at each run of how Ray Data starts its actors. RAY_BACKEND_LOG_LEVEL is the only way to stop that, and
    taking it up is itself announced on the process's stderr. What workers write goes to their logs as ever.
    """
    if "RAY_BACKEND_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"
    stderr = os.dup(_STDERR)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(stderr, _STDERR)
        os.close(stderr)
        del os.environ["RAY_BACKEND_LOG_LEVEL"]


@contextmanager
def _logs_named() -> Iterator[None]:
    try:
        yield
    except WorkerError as error:
        import ray  # noqa: PLC0415 - see _import_ray

        context = ray.get_runtime_context()
        logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
        raise WorkerError(f"{error}; Ray's logs are in {logs}") from error


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
