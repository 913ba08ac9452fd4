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
from vsrd_ray.data.loading import GroupTask, load_group
from vsrd_ray.errors import one_line
from vsrd_ray.labelers.base import Labeler
from vsrd_ray.labels.rows import label_rows
from vsrd_ray.pipeline.attempts import MAX_ATTEMPTS, Attempts
from vsrd_ray.pipeline.factory import LabelerFactory
from vsrd_ray.pipeline.results import GroupResult
from vsrd_ray.pipeline.trace import TraceRecorder

logger = logging.getLogger(__name__)


class LabelGroups:
    """Labels one frame group for each row; its name is what Ray's dashboard shows.

    A group's labels depend on the group, the configuration and its seed alone, and so on neither the actor nor on what
    it labelled before.
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
            self._labeler = labeler_factory(config, device)
        except Exception as error:  # Ray would tell of it at length and on the terminal; the driver tells it in a line
            logger.exception("the labeler cannot be set up")
            self._defect = one_line(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Label one group.

        Args:
            row: a pickled `task` (`GroupTask`).

        Returns:
            A pickled `result` (`GroupResult`); or where there is no labeler to make one, why, as `defect`.
        """
        if self._labeler is None:
            return {"result": b"", "defect": self._defect}
        task = pickle.loads(row["task"])
        group_id = task.plan.group_id
        begun = cast(int, ray.get(self._attempts.begin.remote(group_id)))
        if begun > MAX_ATTEMPTS:
            error = f"the worker died {MAX_ATTEMPTS} times while it labelled this group"
            result = GroupResult(group_id, error=error, seconds=0.0, labels=None, trace=None)
        else:
            result = self._attempt(self._labeler, task)
        return {"result": pickle.dumps(result), "defect": ""}

    def _attempt(self, labeler: Labeler, task: GroupTask) -> GroupResult:
        started = time.perf_counter()
        recorder = TraceRecorder() if self._trace else None
        labels, error = None, None
        try:
            labels = self._label(labeler, task, recorder)
        except Exception as problem:  # whatever it is, it concerns this group alone
            logger.exception("group %s failed", task.plan.group_id)
            error = one_line(problem)
        return GroupResult(
            group_id=task.plan.group_id,
            error=error,
            seconds=time.perf_counter() - started,
            labels=labels,
            trace=recorder.table() if recorder is not None else None,
        )

    def _label(self, labeler: Labeler, task: GroupTask, recorder: TraceRecorder | None) -> pa.Table:
        group = load_group(task)
        fits = labeler.label(group, seed=self._config.seed, trace=recorder)
        return label_rows(fits, group, labeler=labeler.name, config_hash=self._config_hash, seed=self._config.seed)
