"""What comes back from a worker."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Seconds:
    """What a group took, on whatever worker; a share of it where groups were done together."""

    load: float = 0.0  # pixels read, and what the fit needs of them found
    fit: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.load + self.fit


@dataclass(frozen=True)
class GroupResult:
    """What came of one attempt at a group."""

    group_id: str
    error: str | None = None  # one line; None: labelled
    seconds: Seconds = Seconds()
    tables: dict[str, pa.Table] | None = None  # by kind of label; None where the group failed
    trace: pa.Table | None = None  # a row for each step, where traces are kept
    attempts: int = 1  # that workers have made in this run so far; 0: lost with others, and to be tried by itself

    @property
    def num_rows(self) -> int:
        """Label rows, of every kind."""
        return sum(table.num_rows for table in (self.tables or {}).values())
