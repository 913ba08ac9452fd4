"""How far a run is: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

from vsrd_ray.pipeline.request import format_seconds

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
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=self.line(0.0),
            bar_format="{percentage:3.0f}%|{bar}| {desc}",
            disable=not sys.stderr.isatty(),
            leave=False,
            dynamic_ncols=True,
        )

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
        now = time.monotonic()
        line = self.line(now - self._started)
        self._bar.set_description_str(line, refresh=False)
        self._bar.update()
        is_last = self._done + self._new == self._total
        if self._bar.disable and (is_last or now - self._last_line >= SECONDS_PER_LINE):
            self._last_line = now
            logger.info("%s", line)

    def line(self, seconds: float) -> str:
        """The state in one line, `seconds` after the start: groups, and once one has ended, rate, time left, failures.

        The rate is of groups that ended in this run, over all workers.
        """
        count = f"{self._done + self._new}/{self._total} groups"
        if not self._new or not seconds:
            return f"{count}, starting"
        rate = self._new / seconds
        speed = f"{60 * rate:.1f} a minute" if 60 * rate >= 1 else f"{3600 * rate:.1f} an hour"
        left = (self._total - self._done - self._new) / rate
        return f"{count}, {speed}, {format_seconds(left)} left, {self._failed} failed"
