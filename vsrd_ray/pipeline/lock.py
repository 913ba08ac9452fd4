"""One run at a time into an output folder."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsrd_ray.errors import OutputError

logger = logging.getLogger(__name__)

_FILE = ".lock"


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold an output folder, which is made where it is missing, for the block.

    The lock belongs to this process and the operating system takes it back when the process ends, however it ends; the
    file stays and means nothing by itself. On file systems without locks there is none.

    Raises:
        OutputError: another run holds the folder.
    """
    output.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(output / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another vsrd-ray label is running into {output}: wait until it has ended, or give another --output"
            ) from None
        except OSError as error:
            logger.debug("%s cannot be locked: %s", output, error)
        yield
    finally:
        os.close(descriptor)
