"""Losses and boxes over the steps of a group, for those who tune."""

import logging
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage import Location, is_local
from vsrd_ray.storage.atomic import write_parquet

logger = logging.getLogger(__name__)


class TraceRecorder:
    """A `TraceSink` that keeps what a labeler tells."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def __call__(self, step: int, values: dict[str, Any]) -> None:
        """Keep the values of one step; numbers, arrays and CPU tensors."""
        self._rows.append({"step": step, **{name: np.asarray(value).tolist() for name, value in values.items()}})

    def table(self) -> pa.Table:
        """One row for each step: `step`, and a column for each value (arrays as nested lists; null where not told)."""
        names = list(dict.fromkeys(name for row in self._rows for name in row)) or ["step"]
        return pa.table({name: [row.get(name) for row in self._rows] for name in names})


def write_trace(table: pa.Table, *, output: Location, group_id: str) -> None:
    """Write trace/<group_id>.parquet, and to a local folder the numbers for TensorBoard, where that is installed."""
    paths = RunPaths(output)
    write_parquet(table, paths.trace(group_id))
    if not is_local(output):
        return
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional package
    except ImportError:
        logger.debug("no TensorBoard here: traces are kept as Parquet alone")
        return
    scalars = [name for name in table.column_names if name != "step" and not pa.types.is_nested(table[name].type)]
    with SummaryWriter(str(paths.tensorboard(group_id))) as writer:
        for row in table.to_pylist():
            for name in scalars:
                if row[name] is not None:
                    writer.add_scalar(name, row[name], row["step"])
