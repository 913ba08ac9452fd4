"""A Ray for as long as a run needs it: one of our own on this machine, or a cluster that runs."""

import io
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stdout
from functools import cache
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from vsrd_ray.engines.ray_data.startable import is_unknown, node_types
from vsrd_ray.errors import InputError, WorkerError, one_line
from vsrd_ray.pipeline.job import LabelJob
from vsrd_ray.pipeline.pool import Machines, Node, Pool, loaders, this_machine
from vsrd_ray.pipeline.queue import Engine
from vsrd_ray.pipeline.work import Work
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage import absolute

logger = logging.getLogger(__name__)

_SETTLING, _LOOK = 10.0, 0.2  # seconds for CPUs of an earlier run to become free, and between looks
_LONGEST_FOLDER = 35  # bytes of a path, so that those of sockets below it have no more than 103 (107 on Linux)
_STARTS = 3  # of a local Ray, before it counts as one that does not start
_ANSWER = 10.0  # seconds that a cluster may take to answer
_HEAD = "node:__internal_head__"  # a resource of the head alone
_STDERR = 2  # the process's own, which Ray's C++ part writes to
_STORE_BYTES = 512 * 2**20  # of a local object store: what passes through is small, for most labelers
_PAYLOADS_STORED = 32  # prepared groups that it holds at least


class _Nowhere(io.TextIOBase):
    """Takes whatever is printed, and keeps nothing."""

    def write(self, text: str, /) -> int:
        return len(text)


class RayOnDemand:
    """A `ray_session` that begins when it is first asked for, and ends with the block.

    Meanwhile nothing is printed unless it is `verbose`: Ray prints what becomes of its tasks and actors, whatever its
    settings, such as that an interrupted one is to be tried again.
    """

    def __init__(self, *, address: str | None, dashboard: bool, verbose: bool) -> None:
        self._address, self._dashboard, self._verbose = address, dashboard, verbose
        self._started = False
        self._stack = ExitStack()

    def __enter__(self) -> "RayOnDemand":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def machines(self) -> Machines:
        """What actors can use: the cluster, which is connected to for that, or this machine."""
        if self._address is not None:
            self.start()
        ray = sys.modules.get("ray")
        return cluster_machines() if ray is not None and ray.is_initialized() else this_machine()

    def engine(self, work: Work, pool: Pool, job: LabelJob) -> Engine:
        """The stream of a run, on a Ray that is started now."""
        self.start(payload_bytes=job.resources.payload_bytes)
        from vsrd_ray.engines.ray_data.stages import RayEngine  # noqa: PLC0415 - imports Ray, which starts first

        request, limit = job.request, job.request.group_timeout
        return RayEngine(
            work=work,
            pool=pool,
            max_attempts=request.max_attempts,
            seconds=job.resources.seconds_a_batch if limit is None else limit,
            attempts_file=RunPaths(absolute(request.output)).attempts,
            payload_bytes=job.resources.payload_bytes,
        )

    def start(self, *, payload_bytes: int = 0) -> None:
        """Start Ray or connect to it, unless that is done.

        Args:
            payload_bytes: of a prepared group, of which a local Ray's object store is to hold several.
        """
        if self._started:
            return
        if not self._verbose:
            self._stack.enter_context(redirect_stdout(_Nowhere()))
        self._stack.enter_context(
            ray_session(
                address=self._address,
                dashboard=self._dashboard,
                verbose=self._verbose,
                store_bytes=max(_STORE_BYTES, _PAYLOADS_STORED * payload_bytes),
            )
        )
        self._started = True


def cluster_machines() -> Machines:
    """The machines of the cluster that this process is connected to, and those that it may start."""
    ray = _import_ray(is_local=False)
    present = tuple(_node(node["Resources"]) for node in ray.nodes() if node["Alive"])
    kinds = node_types(ray.get_runtime_context().gcs_address)
    heads = [node for node in ray.nodes() if node["Alive"] and _HEAD in node["Resources"]]
    possible = [_node(kind.resources, accelerator=kind.accelerator, count=kind.count) for kind in kinds]
    possible += [_node(node["Resources"]) for node in heads if kinds]
    busy = _busy_cpus(ray, sum(node.cpus for node in present))
    return Machines(present, tuple(possible), may_be_more=is_unknown(), busy_cpus=busy)


def _busy_cpus(ray: ModuleType, cpus: float) -> float:
    """CPUs of a cluster that are held, and not just by what is about to end."""
    end = time.monotonic() + _SETTLING
    while (busy := max(cpus - ray.available_resources().get("CPU", 0.0), 0.0)) and time.monotonic() < end:
        time.sleep(_LOOK)
    return busy


def _node(resources: dict[str, float], *, accelerator: str | None = None, count: int = 1) -> Node:
    prefix = "accelerator_type:"
    types = [name.removeprefix(prefix) for name in resources if name.startswith(prefix)]
    return Node(
        cpus=resources.get("CPU", 0),
        gpus=resources.get("GPU", 0),
        accelerator=accelerator or (types[0] if types else None),
        count=count,
    )


@contextmanager
def ray_session(
    machines: Machines | None = None,
    *,
    address: str | None = None,
    dashboard: bool = False,
    verbose: bool = False,
    store_bytes: int = _STORE_BYTES,
) -> Iterator[None]:
    """A Ray to work with: the one that this process is connected to, that at an address, or a local one.

    A connection and a local Ray end with the block. A local one has some logical CPUs more than the machine has cores,
    so that tasks which load groups always find a place beside the actors. Ray's progress bars are off, and its logs
    stay in its own files unless `verbose`.

    Args:
        machines: what a local Ray may use; by default this machine.
        address: of a running cluster, such as "auto" or "10.0.0.1:6379"; None for a local one.
        dashboard: whether a local Ray has one, on the loopback.
        verbose: whether Ray says what it does.
        store_bytes: of a local Ray's object store.

    Raises:
        InputError: nothing answers at the address.
        WorkerError: a local Ray does not start; or from the block, with the place of Ray's logs added.
    """
    ray = _import_ray(is_local=address is None)
    if ray.is_initialized():
        with _logs_named(), _quiet_data(verbose=verbose):
            yield
        return
    level = "INFO" if verbose else "ERROR"
    try:
        with _own_sigterm_kept(), nullcontext() if verbose else _without_native_messages():
            if address is not None:
                context = _connect(ray, address, log_to_driver=verbose, logging_level=level)
            else:
                (machine,) = (machines or this_machine()).present
                context = start_local(
                    num_cpus=int(machine.cpus) + loaders(int(machine.cpus)),
                    num_gpus=int(machine.gpus),
                    include_dashboard=dashboard,
                    dashboard_host="127.0.0.1",
                    log_to_driver=verbose,
                    logging_level=level,
                    object_store_memory=store_bytes,
                )
        if dashboard:
            logger.info("Ray dashboard: http://%s%s", context.dashboard_url, _token_hint())
        with _logs_named(), _quiet_data(verbose=verbose):
            yield
    finally:
        ray.shutdown()


def start_local(*, starts: int = _STARTS, **options: Any) -> Any:
    """`ray.init` of a Ray of this machine's own, tried again where it does not come up.

    Its processes give up on each other after some seconds, which on a busy machine is too soon.

    Raises:
        WorkerError: it does not start.
    """
    import ray  # noqa: PLC0415 - see _import_ray

    try:
        return ray.init(address="local", **_short_folder(), **options)
    except Exception as error:  # Ray has no error of its own for it
        ray.shutdown()
        is_path_too_long = "AF_UNIX" in str(error)  # then no start will do any better
        if starts == 1 or is_path_too_long:
            fix = ": set RAY_TMPDIR to a folder with a short path, such as /tmp" if is_path_too_long else ""
            raise WorkerError(f"Ray does not start on this machine ({one_line(error)}){fix}") from error
        logger.warning("Ray did not start (%s) and is started again", one_line(error))
    return start_local(starts=starts - 1, **options)


def _short_folder() -> dict[str, str]:
    """The folder of a local Ray's sockets, where that of TMPDIR has too long a path, as those of batch jobs may."""
    folder = os.environ.get("TMPDIR", "")
    if "RAY_TMPDIR" in os.environ or len(os.fsencode(folder)) <= _LONGEST_FOLDER or not os.access("/tmp", os.W_OK):
        return {}
    return {"_temp_dir": "/tmp/ray"}  # where Ray has them without TMPDIR


def _connect(ray: ModuleType, address: str, **options: Any) -> Any:
    is_of_variable = address == os.environ.get("RAY_ADDRESS")
    given = f"RAY_ADDRESS={address}" if is_of_variable else f"--address {address}"
    leave = "unset RAY_ADDRESS" if is_of_variable else "leave --address out"
    if "://" in address:
        raise InputError(
            f"{given}: expected HOST:PORT or auto; a run's driver has to be on a node of the cluster: "
            f"start it there, or with `ray job submit`, or {leave} for a Ray of this machine's own"
        )
    try:
        if ":" in address:
            _check_answer(address)
        return ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{given}: no Ray cluster can be reached there ({one_line(error)}); start one with "
            "`ray start --head`, give this process its token (RAY_AUTH_MODE=token and RAY_AUTH_TOKEN) if it asks for "
            f"one, or {leave} for a Ray of this machine's own"
        ) from error


def _check_answer(address: str) -> None:
    """Find out whether anything listens at "host:port": where nothing does, Ray goes on trying for minutes.

    Raises:
        OSError: nothing does.
        ValueError: the port is no number.
    """
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()


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
def _own_sigterm_kept() -> Iterator[None]:
    """For the start of Ray, whose C++ part has the process abort on SIGTERM, with a dump: our handler stays."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if callable(handler) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _logs_named() -> Iterator[None]:
    try:
        yield
    except WorkerError as error:
        import ray  # noqa: PLC0415 - see _import_ray

        context = ray.get_runtime_context()
        logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
        raise WorkerError(f"{error}; Ray's logs are in {logs}") from error


def _import_ray(*, is_local: bool) -> ModuleType:
    """Ray; a local one with a token of this process alone, unless the user chose how to authenticate.

    Left to itself, a local Ray writes a token into the home folder, and from then on `ray start --head` asks for it.
    Ray reads these variables when it is imported.
    """
    if is_local and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", _own_token())
    import ray  # noqa: PLC0415 - after the token is set; also, it takes more than a second

    return ray


def _token_hint() -> str:
    """The token to type into the dashboard, if it is this process's own: others are secrets of their clusters."""
    return f" (token {_own_token()})" if os.environ.get("RAY_AUTH_TOKEN") == _own_token() else ""


@cache
def _own_token() -> str:
    return secrets.token_hex(32)


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
