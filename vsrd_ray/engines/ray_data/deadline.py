"""The end of a process that takes too long for one thing: hung native code can be stopped in no other way."""

import faulthandler
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_GRACE = 10.0  # seconds more, after which the process ends even if no Python code can run in it
EXIT_OVERDUE = 75
_STDERR = 2  # of the process, which a worker's log takes


@contextmanager
def deadline(seconds: float, *, tell: Callable[[], object]) -> Iterator[None]:
    """End this process if the block takes longer; what its threads were at is then in its log.

    Args:
        seconds: the limit; 0 for none.
        tell: called first, from another thread.
    """
    if not seconds:
        yield
        return
    timer = threading.Timer(seconds, _end, [tell])
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + _GRACE, exit=True, file=_STDERR)
    try:
        yield
    finally:
        timer.cancel()
        faulthandler.cancel_dump_traceback_later()


def _end(tell: Callable[[], object]) -> None:
    faulthandler.dump_traceback(file=_STDERR)
    try:
        tell()
    finally:
        os._exit(EXIT_OVERDUE)
