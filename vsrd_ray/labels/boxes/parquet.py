"""The labels dataset as Parquet, and which frames a human has corrected."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.index import is_any_of
from vsrd_ray.errors import InputError, fix_of
from vsrd_ray.labels.boxes.columns import BOTTOM_CAM, BOX_2D, BOX_WORLD, ROTATION_Y
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.paths import RunPaths, is_brought_in
from vsrd_ray.runs.reading import LABEL_AGAIN, read_rows, reason_of
from vsrd_ray.storage import Location, names_in, read_table

Preference = Literal["human", "auto"]
FOLDER = "labels"  # of boxes, below OUTPUT
HUMAN = "human"  # `source` of corrected rows
# Frames that a human has reviewed as a whole: OUTPUT/corrections/<sequence>.parquet.
REVIEW_SCHEMA = pa.schema([("camera", pa.string()), ("frame", pa.int32())])

# Columns of labels and groups without which a row means nothing.
_NEEDED = {
    *("sequence", "camera", "frame", "instance_id", "class_name", "confidence", "frames", "status"),
    *(*BOX_WORLD, *BOTTOM_CAM, ROTATION_Y, *BOX_2D, "truncation", "occlusion"),
}


def read_labels(output: Location, *, prefer: Preference = "human", sequence: str | None = None) -> pa.Table:
    """The labels of a run: `LABEL_SCHEMA` and `sequence`, sorted by sequence, camera, frame and instance.

    Args:
        output: folder of a labelling run.
        prefer: "human": in the frames that a human reviewed corrected rows alone count, so that boxes which they took
            away are gone, and elsewhere the labeler's; "auto": the labeler's rows alone, everywhere.
        sequence: read the labels of one sequence alone.

    Raises:
        InputError: the folder holds no labels dataset, a file in it cannot be read, or corrected rows are gone.
    """
    table = read_rows(
        output, FOLDER, LABEL_SCHEMA, needed=_NEEDED, sequence=sequence, fix=lambda file: _fix(output, file)
    )
    is_human = is_any_of(table["source"], [HUMAN]).to_numpy()
    is_wanted = ~is_human if prefer == "auto" else is_human == _in_frames(table, read_reviewed(output))
    table = table.filter(pa.array(is_wanted))
    return table.sort_by([(key, "ascending") for key in ("sequence", "camera", "frame", "instance_id")])


def corrected_rows(output: Location, *, sequence: str, camera: str) -> Location:
    """The file with the corrected rows of one camera, beside the labeler's; no group is named so."""
    return RunPaths(output).brought_in(FOLDER, sequence, camera)


def is_human_file(name: str) -> bool:
    """Whether a file of the labels dataset holds corrected rows."""
    return is_brought_in(name)


def read_reviewed(output: Location) -> dict[tuple[str, str], frozenset[int]]:
    """Frames that a human has reviewed, by (sequence, camera); nothing where no correction was imported.

    Raises:
        InputError: a table of reviewed frames cannot be read, or the file with their rows is gone: without it, each of
            them would pass for a frame in which the human took every box away.
    """
    folder = RunPaths(output).corrections
    reviewed: dict[tuple[str, str], frozenset[int]] = {}
    for name in (name for name in names_in(folder) if name.endswith(".parquet") and not name.startswith(".")):
        try:
            table = read_table(folder / name, REVIEW_SCHEMA)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(
                f"{folder / name}: cannot be read as a table of reviewed frames ({reason_of(error)}); "
                f"{fix_of(error, otherwise='remove it and import again')}"
            ) from error
        sequence = name.removesuffix(".parquet")
        for camera in table["camera"].unique().to_pylist():
            rows = corrected_rows(output, sequence=sequence, camera=camera)
            if not rows.exists():
                raise InputError(
                    f"{folder / name} lists frames of {camera} that a human reviewed, but {rows} with their boxes is "
                    f"gone: put that back, or remove {folder / name} as well, which undoes the import"
                )
            frames = table.filter(pc.field("camera") == camera)["frame"].to_pylist()
            reviewed[sequence, camera] = frozenset(frames)
    return reviewed


def _in_frames(table: pa.Table, frames: Mapping[tuple[str, str], frozenset[int]]) -> np.ndarray:
    """Which label rows [R] bool lie in some frames, given by (sequence, camera)."""
    inside = np.zeros(table.num_rows, dtype=bool)
    for (sequence, camera), some in frames.items():
        here = is_any_of(table["sequence"], [sequence]).to_numpy() & is_any_of(table["camera"], [camera]).to_numpy()
        inside |= here & np.isin(table["frame"].to_numpy(), list(some))
    return inside


def _fix(output: Location, file: str) -> str:
    """What to do about a bad file of labels or groups."""
    name = PurePosixPath(file).name
    if is_human_file(name):
        return f"remove it and the sequence's file in {RunPaths(output).corrections}, and import the corrections again"
    return LABEL_AGAIN
