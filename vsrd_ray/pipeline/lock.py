"""One run at a time into an output folder."""

import contextlib
import fcntl
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from vsrd_ray.data.storage import Location, remove
from vsrd_ray.errors import OutputError, one_line

logger = logging.getLogger(__name__)

_FILE = ".lock"
_BEAT = 20.0  # seconds between signs of life in an object store
_LEASE = 50.0  # seconds without one, after which a run counts as dead
_LOOK = 1.0  # seconds between looks at whether there is one


def locked(output: Location) -> AbstractContextManager[None]:
    """Hold an output folder, which is made where it is missing, for the block.

    Raises:
        OutputError: another run holds the folder, or it cannot be written.
    """
    return _locked_folder(output) if isinstance(output, Path) else _leased(output)


@contextmanager
def _locked_folder(output: Path) -> Iterator[None]:
    """Locked by this process: the operating system takes the lock back when the process ends, however it ends.

    The file stays and means nothing by itself. On file systems without locks there is none.
    """
    output.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(output / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(output) from None
        except OSError as error:
            logger.debug("%s cannot be locked: %s", output, error)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _leased(output: Location) -> Iterator[None]:
    """Held by an object that is written anew now and then: object stores have no locks.

    A run that was killed leaves it behind. The next one takes it over: on the same machine at once, elsewhere after it
    has waited in vain for a sign of life. Two runs that begin in the same instant are not kept apart.
    """
    path = output / _FILE
    try:
        if _is_held(path):
            raise _held(output)
        _beat(path)
    except OutputError:
        raise
    except Exception as error:  # the packages of the stores have no error in common
        raise OutputError(
            f"{output} cannot be written ({one_line(error)}): check the bucket, the credentials and the endpoint"
        ) from error
    stopped = threading.Event()
    thread = threading.Thread(target=_beat_on, args=(path, stopped), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        remove([path])


def _is_held(path: Location) -> bool:
    """Whether a run that lives holds the folder; that of another machine shows itself by its next beat."""
    holder = _holder(path)
    if holder is None or (holder["host"] == socket.gethostname() and not Path("/proc", str(holder["pid"])).exists()):
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


def _beat(path: Location) -> None:
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "beat": time.time()}))


def _beat_on(path: Location, stopped: threading.Event) -> None:
    while not stopped.wait(_BEAT):
        with contextlib.suppress(Exception):  # the run itself will meet what hinders this, and tell it
            _beat(path)


def _held(output: Location) -> OutputError:
    return OutputError(
        f"another vsrd-ray label is running into {output}: wait until it has ended, or give another --output"
    )
