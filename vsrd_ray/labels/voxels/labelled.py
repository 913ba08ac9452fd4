"""The grids that a run holds, by frame; what a human gave comes in place of what was labelled."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from vsrd_ray.labels.voxels.schema import TABLE, Voxels, decoded
from vsrd_ray.runs.folder import RunFolder


@dataclass(frozen=True)
class LabelledGrid:
    """One row of the kind, unpacked."""

    frame: int
    group_id: str
    source: str  # auto, or human
    time_s: float | None  # seconds, where the dataset has times
    voxels: Voxels


def grids_of(run: RunFolder, sequence: str) -> Iterator[LabelledGrid]:
    """The grids of a drive by frame and group, one in memory at a time; rows stay compressed until their turn.

    Raises:
        InputError: the run holds none, or one that cannot be read.
    """
    rows = rows_of(run, sequence)
    for place in range(rows.num_rows):
        row = rows.slice(place, 1).to_pylist()[0]
        yield LabelledGrid(row["frame"], row["group_id"], row["source"], row["time_s"], decoded(row))


def rows_of(run: RunFolder, sequence: str) -> pa.Table:
    """The rows of a drive by frame and group, without those of frames for which a human gave one.

    Raises:
        InputError: the run holds none.
    """
    rows = run.rows(TABLE, sequence)
    frames, sources = rows["frame"].to_pylist(), rows["source"].to_pylist()
    corrected = {frame for frame, source in zip(frames, sources, strict=True) if source == "human"}
    keep = [source == "human" or frame not in corrected for frame, source in zip(frames, sources, strict=True)]
    return rows.filter(pa.array(keep, type=pa.bool_()))
