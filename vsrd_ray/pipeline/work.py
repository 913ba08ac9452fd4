"""What is done with groups, wherever it is done: pixels to what a fit needs, and that to labels."""

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import pyarrow as pa

from vsrd_ray.data.loading import GroupTask, load_group
from vsrd_ray.errors import one_line
from vsrd_ray.labelers.base import Labeler, PreparedGroup
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.labels.boxes.rows import label_rows
from vsrd_ray.pipeline.factory import LabelerFactory
from vsrd_ray.runs.results import GroupResult, Seconds
from vsrd_ray.runs.trace import TraceRecorder

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

    config: VSRDConfig
    labeler_factory: LabelerFactory
    device: str  # torch's
    trace: bool  # keep losses and boxes over the steps
    num_threads: int = 1  # of torch and OpenCV

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
            prepared = labeler.prepare(load_group(task))
        except Exception as problem:  # whatever it is, it concerns this group alone
            logger.exception("group %s cannot be loaded", task.plan.group_id)
            error = one_line(problem)
        return Loaded(task.plan.group_id, prepared, error, time.perf_counter() - started)

    def label(self, labeler: Labeler, loaded: Loaded) -> GroupResult:
        """Label one group."""
        if loaded.prepared is None:
            return loaded.without_labels()
        started = time.perf_counter()
        recorder = TraceRecorder() if self.trace else None
        labels, error = None, None
        try:
            fits = labeler.label(loaded.prepared, seed=self.config.seed, trace=recorder)
            labels = self._rows(labeler, fits, loaded.prepared)
        except Exception as problem:
            logger.exception("group %s failed", loaded.group_id)
            error = one_line(problem)
        return GroupResult(
            loaded.group_id,
            error=error,
            seconds=Seconds(loaded.seconds, time.perf_counter() - started),
            labels=labels,
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
            failed = isinstance(outcome, Exception)
            results.append(
                GroupResult(
                    loaded.group_id,
                    error=one_line(outcome) if failed else None,
                    seconds=Seconds(loaded.seconds, seconds),
                    labels=None if failed else self._rows(labeler, outcome, prepared),
                )
            )
        return results

    def _rows(self, labeler: Labeler, fits: list[BoxFit], group: PreparedGroup) -> pa.Table:
        seed, config_hash = self.config.seed, self.config.hash()
        return label_rows(fits, group, labeler=labeler.name, config_hash=config_hash, seed=seed)


def _keep_to(num_threads: int) -> None:
    """Let OpenCV, and torch where a labeler has brought it, compute with so many threads."""
    cv2.setNumThreads(num_threads)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(num_threads)
