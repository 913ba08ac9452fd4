"""The actor that labels frame groups on Ray's workers."""

import logging
import pickle
import time
from typing import Any, cast

import cv2
import pyarrow as pa
import ray
import torch
from ray.actor import ActorProxy

from vsrd_ray.config import VSRDConfig
from vsrd_ray.data.frames import GroupFrames
from vsrd_ray.data.loading import GroupTask, load_group
from vsrd_ray.errors import one_line
from vsrd_ray.labelers.base import Labeler
from vsrd_ray.labels.fits import BoxFit
from vsrd_ray.labels.rows import label_rows
from vsrd_ray.pipeline.attempts import MAX_ATTEMPTS, Attempts
from vsrd_ray.pipeline.factory import LabelerFactory
from vsrd_ray.pipeline.results import GroupResult
from vsrd_ray.pipeline.trace import TraceRecorder

logger = logging.getLogger(__name__)


class LabelGroups:
    """Labels a batch of frame groups for each row; its name is what Ray's dashboard shows.

    A group's labels depend on the group, the configuration and its seed alone, and so on neither the actor nor on what
    it labelled before, nor, but for rounding on a GPU, on the batch.
    """

    def __init__(
        self,
        *,
        config: VSRDConfig,
        labeler_factory: LabelerFactory,
        device: str,
        trace: bool,
        attempts: ActorProxy[Attempts],
    ) -> None:
        """Set up the labeler.

        Args:
            config: settings of the run.
            labeler_factory: makes the labeler.
            device: torch device of the labeler; Ray shows an actor its own GPUs alone.
            trace: whether losses and boxes over the steps come back too.
            attempts: counts how often a worker has begun a group.
        """
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        self._config = config
        self._config_hash = config.hash()
        self._trace = trace
        self._attempts = attempts
        self._labeler: Labeler | None = None
        self._defect = ""
        try:
            labeler = labeler_factory(config, device)
            labeler.setup()
            self._labeler = labeler
        except Exception as error:  # Ray would tell of it at length and on the terminal; the driver tells it in a line
            logger.exception("the labeler cannot be set up")
            self._defect = one_line(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Label a batch of groups.

        Args:
            row: pickled `tasks` (a list of `GroupTask`).

        Returns:
            Pickled `results` (a list of `GroupResult`); or where there is no labeler to make any, why, as `defect`.
        """
        if self._labeler is None:
            return {"results": b"", "defect": self._defect}
        tasks = pickle.loads(row["tasks"])
        results = self._label_together(self._labeler, tasks) if len(tasks) > 1 and not self._trace else None
        if results is None:
            results = [self._label_alone(self._labeler, task) for task in tasks]
        return {"results": pickle.dumps(results), "defect": ""}

    def _label_together(self, labeler: Labeler, tasks: list[GroupTask]) -> list[GroupResult] | None:
        """Results of a batch; None if it has killed a worker or fails as a whole, so that each must go alone."""
        if self._begin("batch of " + " ".join(task.plan.group_id for task in tasks)) > 1:
            return None
        started = time.perf_counter()
        try:
            groups = [labeler.prepare(load_group(task)) for task in tasks]
            outcomes = labeler.label_many(groups, seed=self._config.seed)
        except Exception:
            logger.exception("a batch of %d groups failed, and is labelled group by group", len(tasks))
            return None
        seconds = (time.perf_counter() - started) / len(tasks)
        return [
            GroupResult(group.plan.group_id, error=one_line(outcome), seconds=seconds, labels=None, trace=None)
            if isinstance(outcome, Exception)
            else GroupResult(
                group.plan.group_id, error=None, seconds=seconds, labels=self._rows(labeler, outcome, group), trace=None
            )
            for group, outcome in zip(groups, outcomes, strict=True)
        ]

    def _label_alone(self, labeler: Labeler, task: GroupTask) -> GroupResult:
        group_id = task.plan.group_id
        if self._begin(group_id) > MAX_ATTEMPTS:
            error = f"the worker died {MAX_ATTEMPTS} times while it labelled this group"
            return GroupResult(group_id, error=error, seconds=0.0, labels=None, trace=None)
        started = time.perf_counter()
        recorder = TraceRecorder() if self._trace else None
        labels, error = None, None
        try:
            group = labeler.prepare(load_group(task))
            labels = self._rows(labeler, labeler.label(group, seed=self._config.seed, trace=recorder), group)
        except Exception as problem:  # whatever it is, it concerns this group alone
            logger.exception("group %s failed", group_id)
            error = one_line(problem)
        return GroupResult(
            group_id=group_id,
            error=error,
            seconds=time.perf_counter() - started,
            labels=labels,
            trace=recorder.table() if recorder is not None else None,
        )

    def _begin(self, what: str) -> int:
        """Count that this worker begins something, and say how often one has."""
        return cast(int, ray.get(self._attempts.begin.remote(what)))

    def _rows(self, labeler: Labeler, fits: list[BoxFit], group: GroupFrames) -> pa.Table:
        return label_rows(fits, group, labeler=labeler.name, config_hash=self._config_hash, seed=self._config.seed)
