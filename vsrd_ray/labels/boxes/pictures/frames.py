"""Which frames of a run there is something to show of."""

import pyarrow as pa

from vsrd_ray.labels.boxes.parquet import Preference, read_reviewed
from vsrd_ray.labels.boxes.selection import labelled_frames
from vsrd_ray.runs.folder import group_frames
from vsrd_ray.runs.manifest import RunInputs
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage import Location


def frames_to_show(
    output: Location, groups: pa.Table, *, sequence: str, inputs: RunInputs, prefer: Preference = "human"
) -> list[int]:
    """Frames of one sequence, ascending, that a run has dealt with, well or not; none before its turn has come.

    They are the labelled ones, among them those in which nothing of the wanted classes is to be seen, the frames of
    groups that failed, and where a human's boxes are preferred, those that a human reviewed.

    Raises:
        InputError: the sequence's index, or a table of reviewed frames, cannot be read.
    """
    frames = set(group_frames(groups, sequence=sequence))
    if RunPaths(output).index(sequence).is_file():
        frames.update(labelled_frames(output, groups, sequence=sequence, inputs=inputs))
    if prefer == "human":
        frames.update(read_reviewed(output).get((sequence, inputs.camera), ()))
    return sorted(frames)
