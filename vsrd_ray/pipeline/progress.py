"""How far a run is: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

logger = logging.getLogger(__name__)

SECONDS_PER_LINE = 15.0


class GroupProgress:
    """Counts the groups of a run as they end, with their rate, the time that is left, and failures."""

    def __init__(self, *, total: int, done: int) -> None:
        """Start counting.

        Args:
            total: groups of the run.
            done: those that earlier runs have labelled.
        """
        self._total, self._done = total, done
        self._new = self._failed = 0
        self._started = self._last_line = time.monotonic()
        self._bar = tqdm(total=total, initial=done, unit="group", disable=not sys.stderr.isatty())

    def __enter__(self) -> "GroupProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()

    def update(self, *, failed: bool) -> None:
        """One more group has ended."""
        self._new += 1
        self._failed += failed
        self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update()
        now = time.monotonic()
        is_last = self._done + self._new == self._total
        if self._bar.disable and (is_last or now - self._last_line >= SECONDS_PER_LINE):
            self._last_line = now
            logger.info("%s", self.line(now - self._started))

    def line(self, seconds: float) -> str:
        """The state in one line, `seconds` after the start."""
        rate = self._new / seconds if seconds else 0.0
        left = (self._total - self._done - self._new) / rate if rate else 0.0
        return (
            f"{self._done + self._new}/{self._total} groups, {rate * 60:.1f} a minute, "
            f"{tqdm.format_interval(left)} left, {self._failed} failed"
        )
