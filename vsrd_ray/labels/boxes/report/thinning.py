"""What a report has room for where the numbers of a run would fill it: every frame, and the doubtful instances."""

from collections.abc import Sequence

import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.report.choice import doubt_of_instances
from vsrd_ray.labels.boxes.report.contents import sequence_contents
from vsrd_ray.labels.boxes.report.page import embedded
from vsrd_ray.labels.boxes.report.tables import SequenceTables, keep_instances


def thin_numbers(parts: Sequence[SequenceTables], num_bytes: int) -> list[SequenceTables]:
    """The sequences with as many of their instances as fit, the most doubtful of all sequences first.

    Args:
        parts: the sequences.
        num_bytes: for all their numbers; kept to but for a few percent, since rows differ in their digits.

    Raises:
        InputError: there is no room even for the frames without instances.
    """
    whole = sum(map(_num_bytes, parts))
    if whole <= num_bytes:
        return list(parts)
    bare = sum(_num_bytes(keep_instances(tables, np.zeros(len(tables.instance_ids), dtype=bool))) for tables in parts)
    if bare > num_bytes:
        names = ", ".join(tables.sequence.name for tables in parts)
        raise InputError(
            f"the {sum(len(tables.frames) for tables in parts)} frames of {names} alone fill the report, which has "
            f"{max(num_bytes, 0)} bytes for numbers: report fewer sequences at once, with --sequence"
        )
    num_rows = np.concatenate([_rows_of_instances(tables) for tables in parts])
    doubts = np.concatenate([doubt_of_instances(tables) for tables in parts])
    order = np.argsort(-doubts, kind="stable")
    affordable = num_rows.sum() * (num_bytes - bare) / (whole - bare)
    kept = np.zeros(len(order), dtype=bool)
    kept[order] = np.cumsum(num_rows[order]) <= affordable
    ends = np.cumsum([len(tables.instance_ids) for tables in parts])[:-1]
    return [keep_instances(tables, some) for tables, some in zip(parts, np.split(kept, ends), strict=True)]


def _rows_of_instances(tables: SequenceTables) -> np.ndarray:
    """How many rows [N] each instance has."""
    return np.bincount(tables.rows.instances, minlength=len(tables.instance_ids))


def _num_bytes(tables: SequenceTables) -> int:
    return len(embedded(sequence_contents(tables)))
