"""What comes back from a worker."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class GroupResult:
    """What came of one group."""

    group_id: str
    error: str | None  # one line; None: labelled
    seconds: float
    labels: pa.Table | None  # LABEL_SCHEMA; None where the group failed
    trace: pa.Table | None  # a row for each step, where traces are kept
