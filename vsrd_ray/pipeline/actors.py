"""The actor that labels frame groups on Ray's workers."""

import logging
import time
from typing import Any

import cv2
import pyarrow as pa
import ray
import torch

from vsrd_ray.config import VSRDConfig
from vsrd_ray.data.frames import Sequence
from vsrd_ray.data.loading import load_group
from vsrd_ray.labels.rows import label_rows
from vsrd_ray.pipeline.factory import LabelerFactory
from vsrd_ray.pipeline.plan import plan_from_row
from vsrd_ray.pipeline.tables import to_bytes
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
        sequences: dict[str, Any],
        config: VSRDConfig,
        labeler_factory: LabelerFactory,
        device: str,
        trace: bool,
    ) -> None:
        """Set up the labeler.

        Args:
            sequences: object references of (`Sequence`, its index), by name.
            config: settings of the run.
            labeler_factory: makes the labeler.
            device: torch device of the labeler; Ray shows an actor its own GPUs alone.
            trace: whether losses and boxes over the steps come back too.
        """
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        self._sequences = sequences
        self._config = config
        self._config_hash = config.hash()
        self._labeler = labeler_factory(config, device)
        self._trace = trace
        self._opened: tuple[str, Sequence, pa.Table] | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Label one group.

        Args:
            row: a plan, as `plan_to_row` writes it.

        Returns:
            `group_id`, `status` (ok or failed), `error` (one line, or None), `seconds`, and `labels` and `trace` as
            bytes of tables (empty where there are none).
        """
        started = time.perf_counter()
        result = {"group_id": row["group_id"], "status": "ok", "error": None, "labels": b"", "trace": b""}
        recorder = TraceRecorder() if self._trace else None
        try:
            result["labels"] = to_bytes(self._label(row, recorder))
        except Exception as error:  # whatever it is, it concerns this group alone
            logger.exception("group %s failed", row["group_id"])
            result |= {"status": "failed", "error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        if recorder is not None:
            result["trace"] = to_bytes(recorder.table())
        return result | {"seconds": time.perf_counter() - started}

    def _label(self, row: dict[str, Any], recorder: TraceRecorder | None) -> pa.Table:
        plan = plan_from_row(row)
        sequence, index = self._open(plan.sequence)
        group = load_group(sequence, plan, index)
        fits = self._labeler.label(group, seed=self._config.seed, trace=recorder)
        return label_rows(
            fits, group, labeler=self._labeler.name, config_hash=self._config_hash, seed=self._config.seed
        )

    def _open(self, name: str) -> tuple[Sequence, pa.Table]:
        if self._opened is None or self._opened[0] != name:
            self._opened = name, *ray.get(self._sequences[name])
        return self._opened[1:]
