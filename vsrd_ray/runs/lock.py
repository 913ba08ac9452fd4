"""One run at a time into an output folder."""

import errno
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from vsrd_ray.errors import OutputError, one_line
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage import Location, remove
from vsrd_ray.storage.targets import check_folder

logger = logging.getLogger(__name__)

_BEAT = 20.0  # seconds between signs of life in an object store
_LEASE = 50.0  # seconds without one, after which a run counts as dead
_LOOK = 1.0  # seconds between looks at whether there is one


class TakenOverError(OutputError):
    """Another run holds the folder now."""


def locked(output: Location) -> AbstractContextManager[Callable[[], None]]:
    """Hold an output folder, which is made where it is missing, for the block.

    Returns:
        A context of a function that raises `TakenOverError` where the folder is no longer this run's: to be called
        before anything is written.

    Raises:
        OutputError: another run holds the folder, or it cannot be written.
    """
    return _locked_folder(output) if isinstance(output, Path) else _leased(output)


@contextmanager
def _locked_folder(output: Path) -> Iterator[Callable[[], None]]:
    """Locked by this process: the operating system takes the lock back when the process ends, however it ends.

    The file stays and means nothing by itself. On file systems without locks there is none.
    """
    check_folder(output, fix="allow this account to write there")
    output.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(str(RunPaths(output).lock), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError:
            raise _held(output) from None
        except OSError as error:
            logger.warning("%s cannot be locked (%s): let no other run write to it meanwhile", output, one_line(error))
        yield lambda: None
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock an open file for this process, without waiting.

    Raises:
        BlockingIOError: another process has locked it.
        OSError: the file system has no locks, or the machine.
    """
    with suppress(ImportError):
        import fcntl  # noqa: PLC0415 - not on Windows

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    try:
        msvcrt: Any = import_module("msvcrt")  # Windows alone
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(*error.args) from error
    except ImportError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None


@contextmanager
def _leased(output: Location) -> Iterator[Callable[[], None]]:
    """Held by an object that is written anew now and then: object stores have no locks.

    A run that was killed leaves it behind. The next one takes it over: on the same machine at once, elsewhere after it
    has waited in vain for a sign of life. A run that only slept, or that began in the same instant as another, finds
    the other's sign in place of its own, and ends.
    """
    lease = _Lease(RunPaths(output).lock)
    try:
        if _is_held(lease.path):
            raise _held(output)
        lease.write()
    except OutputError:
        raise
    except Exception as error:  # the packages of the stores have no error in common
        raise OutputError(
            f"{output} cannot be written ({one_line(error)}): check the bucket, the credentials and the endpoint"
        ) from error
    stopped = threading.Event()
    thread = threading.Thread(target=lease.beat_until, args=(stopped,), name="lease", daemon=True)
    thread.start()
    try:
        yield lease.check
    finally:
        stopped.set()
        thread.join()
        with suppress(Exception):  # what hinders this has ended the run, or a later one waits for a sign
            if lease.is_ours():
                remove([lease.path])


class _Lease:
    """The object by which a run holds a folder, with the run's signs of life."""

    def __init__(self, path: Location) -> None:
        self.path = path
        self._run = uuid.uuid4().hex
        self._time = 0.0  # of the last sign of life
        self._is_lost = False

    def write(self) -> None:
        """Give a sign of life."""
        self._time = time.time()
        sign = {"host": _host(), "pid": os.getpid(), "run": self._run, "beat": self._time}
        self.path.write_text(json.dumps(sign))

    def beat(self) -> None:
        """Give a sign of life, if nobody else gave one meanwhile."""
        if self.is_ours():
            self.write()
        else:
            self._is_lost = True

    def beat_until(self, stopped: threading.Event) -> None:
        """Give signs of life until it is over, or the folder another's."""
        while not self._is_lost and not stopped.wait(_BEAT):
            with suppress(Exception):  # the run itself will meet what hinders this, and tell it
                self.beat()

    def check(self) -> None:
        """Make sure that the folder is ours, by a look at it if others may have taken this run for dead.

        Raises:
            TakenOverError: it is another's.
        """
        if abs(time.time() - self._time) > _LEASE:
            self.beat()
        if self._is_lost:
            raise TakenOverError(
                f"another vsrd-ray label has taken over {self.path.parent}, since this one gave no sign of life for "
                f"{_LEASE:g} s or began at the same time: let the other end"
            )

    def is_ours(self) -> bool:
        """Whether the last sign of life is of this run."""
        holder = _holder(self.path)
        return holder is not None and holder.get("run") == self._run


def _is_held(path: Location) -> bool:
    """Whether a run that lives holds the folder; that of another machine shows itself by its next beat."""
    holder = _holder(path)
    if holder is None:
        return False
    if holder["host"] == _host() and Path("/proc/self").exists() and not Path("/proc", str(holder["pid"])).exists():
        return False
    logger.info("Another run may be at work into %s: waiting for a sign of life", path.parent)
    end = time.monotonic() + _LEASE
    while time.monotonic() < end:
        time.sleep(_LOOK)
        now = _holder(path)
        if now is None:
            return False
        if now["beat"] != holder["beat"]:
            return True
    return False


def _holder(path: Location) -> dict[str, Any] | None:
    try:
        holder = json.loads(path.read_text())
        return holder if holder.keys() >= {"host", "pid", "beat"} else None
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError):  # not what a run writes
        return None


def _host() -> str:
    """This machine, or the container of it whose processes have numbers of their own."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _held(output: Location) -> OutputError:
    return OutputError(
        f"another vsrd-ray label is running into {output}: wait until it has ended, or give another --output"
    )
