"""What is done with groups, wherever it is done: pixels to what a fit needs, and that to labels."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import pyarrow as pa

from vsrd_ray.data.groups import GroupTask
from vsrd_ray.errors import VSRDRayError, one_line
from vsrd_ray.labelers.base import Labeler, PreparedGroup, Provenance
from vsrd_ray.labels.base import check_rows, kind_named
from vsrd_ray.runs.results import GroupResult, Seconds
from vsrd_ray.runs.trace import TraceRecorder
from vsrd_ray.settings import LabelerSettings

# Makes a labeler from a configuration and a torch device.
LabelerFactory = Callable[[Any, str], Labeler]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A group without its pixels, ready to be fitted; or why it cannot be."""

    group_id: str
    prepared: PreparedGroup | None = None
    error: str | None = None  # one line
    seconds: float = 0.0
    attempts: int = 1  # at loading; 0: lost with others, and to be tried by itself

    def without_labels(self) -> GroupResult:
        """What came of a group that cannot be fitted."""
        seconds = Seconds(load=self.seconds)
        return GroupResult(self.group_id, error=self.error, seconds=seconds, attempts=self.attempts)


@dataclass(frozen=True)
class Work:
    """How groups are loaded and labelled."""

    config: LabelerSettings
    labeler_factory: LabelerFactory
    device: str  # torch's
    trace: bool  # keep losses and boxes over the steps
    num_threads: int = 1  # of torch and OpenCV
    kinds: tuple[str, ...] = ("boxes",)  # of label, that the labeler writes

    def labeler(self) -> Labeler:
        """A labeler for the device, not set up, in a process that keeps to its threads."""
        labeler = self.labeler_factory(self.config, self.device)
        _keep_to(self.num_threads)
        return labeler

    def preparer(self) -> Labeler:
        """A labeler that needs no device, to prepare groups."""
        labeler = self.labeler_factory(self.config, "cpu")
        _keep_to(1)
        return labeler

    def load(self, labeler: Labeler, task: GroupTask) -> Loaded:
        """Read a group's pixels, and keep what its fit needs of them."""
        started = time.perf_counter()
        prepared, error = None, None
        try:
            prepared = labeler.prepare(task.group())
        except Exception as problem:  # whatever it is, it concerns this group alone
            error = _told(problem, task.plan.group_id)
        return Loaded(task.plan.group_id, prepared, error, time.perf_counter() - started)

    def label(self, labeler: Labeler, loaded: Loaded) -> GroupResult:
        """Label one group."""
        if loaded.prepared is None:
            return loaded.without_labels()
        started = time.perf_counter()
        recorder = TraceRecorder() if self.trace else None
        tables, error = None, None
        try:
            found = labeler.label(loaded.prepared, seed=self.config.seed, trace=recorder)
            tables = self._tables(labeler, found, loaded.prepared)
        except Exception as problem:
            error = _told(problem, loaded.group_id)
        return GroupResult(
            loaded.group_id,
            error=error,
            seconds=Seconds(loaded.seconds, time.perf_counter() - started),
            tables=tables,
            trace=recorder.table() if recorder is not None else None,
        )

    def label_together(self, labeler: Labeler, batch: Sequence[Loaded]) -> list[GroupResult]:
        """Label many groups, at once where the labeler can."""
        if self.trace or len(batch) == 1:
            return [self.label(labeler, loaded) for loaded in batch]
        fitted = [(loaded, loaded.prepared) for loaded in batch if loaded.prepared is not None]
        results = [loaded.without_labels() for loaded in batch if loaded.prepared is None]
        started = time.perf_counter()
        outcomes = labeler.label_many([prepared for _, prepared in fitted], seed=self.config.seed)
        seconds = (time.perf_counter() - started) / max(len(fitted), 1)
        for (loaded, prepared), outcome in zip(fitted, outcomes, strict=True):
            tables, error = None, outcome
            if not isinstance(outcome, Exception):
                try:
                    tables, error = self._tables(labeler, outcome, prepared), None
                except Exception as problem:
                    _told(problem, loaded.group_id)
                    error = problem
            results.append(
                GroupResult(
                    loaded.group_id,
                    error=None if error is None else one_line(error),
                    seconds=Seconds(loaded.seconds, seconds),
                    tables=tables,
                )
            )
        return results

    def _tables(self, labeler: Labeler, found: Any, group: PreparedGroup) -> dict[str, pa.Table]:
        """What was found in a group, a table for each kind of label that the labeler writes."""
        tables = labeler.output(found, group, Provenance.of(self.config))
        for name in self.kinds:
            check_rows(tables.get(name), kind_named(name).table, frames=group.plan.label_frames)
        return tables


def _told(problem: Exception, group_id: str) -> str:
    """The error of a group in one line, and in the log: with its traceback, unless it is of what was given."""
    error = one_line(problem)
    is_foreseen = isinstance(problem, VSRDRayError | OSError)
    logger.error("group %s failed: %s", group_id, error, exc_info=None if is_foreseen else problem)
    return error


def _keep_to(num_threads: int) -> None:
    """Let OpenCV, and torch where a labeler has brought it, compute with so many threads."""
    cv2.setNumThreads(num_threads)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(num_threads)
