"""How far a run is: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

from vsrd_ray.pipeline.request import format_seconds
from vsrd_ray.runs.records import Progress

logger = logging.getLogger(__name__)

SECONDS_PER_LINE = 15.0


class GroupProgress:
    """Shows the groups of a run as they end, with their rate, the time that is left, and failures."""

    def __init__(self, progress: Progress, *, show_bar: bool = True) -> None:
        """Show a state, which others change.

        Args:
            progress: the state.
            show_bar: as a bar where there is a terminal.
        """
        self._progress, self._show_bar = progress, show_bar
        self._started = self._last_line = time.monotonic()
        self._bar: tqdm | None = None

    def __enter__(self) -> "GroupProgress":
        self._started = self._last_line = time.monotonic()
        self._bar = tqdm(
            bar_format="{percentage:3.0f}%|{bar}| {desc}",
            disable=not (self._show_bar and sys.stderr.isatty()),
            leave=False,
            dynamic_ncols=True,
        )
        self._draw(self._bar)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self) -> None:
        """The state has changed."""
        now = time.monotonic()
        self._progress.seconds = now - self._started
        if self._bar is not None and not self._bar.disable:
            self._draw(self._bar)
            return
        progress = self._progress
        is_last = progress.groups_ok + progress.groups_failed == progress.groups
        if is_last or now - self._last_line >= SECONDS_PER_LINE:
            self._last_line = now
            logger.info("%s", progress_line(progress))

    def _draw(self, bar: tqdm) -> None:
        bar.total = self._progress.groups
        bar.n = self._progress.groups_ok + self._progress.groups_failed
        bar.set_description_str(progress_line(self._progress), refresh=False)
        bar.refresh()


def progress_line(progress: Progress) -> str:
    """The state in one line: groups, and once one has ended, rate, time left, failures; sequences if there are many.

    The rate is of groups that ended in this run, over all workers.
    """
    ended = progress.groups_ok + progress.groups_failed
    count = f"{ended}/{progress.groups} groups"
    if progress.sequences > 1:
        count += f" of {progress.planned}/{progress.sequences} sequences"
    if not progress.groups_new or not progress.seconds:
        return f"{count}, starting"
    rate = progress.groups_new / progress.seconds
    speed = f"{60 * rate:.1f} a minute" if 60 * rate >= 1 else f"{3600 * rate:.1f} an hour"
    left = (progress.groups - ended) / rate
    retried = f", {progress.groups_retried} tried again" if progress.groups_retried else ""
    return f"{count}, {speed}, {format_seconds(left)} left, {progress.groups_failed} failed{retried}"
