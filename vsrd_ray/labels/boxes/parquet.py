"""The labels dataset as Parquet, and which frames a human has corrected."""

import logging
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vsrd_ray.data.index import is_any_of
from vsrd_ray.datasets.base import dataset_named
from vsrd_ray.errors import InputError, fix_of
from vsrd_ray.labels.boxes.checks import Fault, first_bad_value, first_doubled
from vsrd_ray.labels.boxes.columns import BOX_2D, BOX_CAM, BOX_WORLD
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.folder import digest_of_inputs, read_index
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.paths import RunPaths, is_brought_in
from vsrd_ray.runs.reading import LABEL_AGAIN, read_rows, reason_of
from vsrd_ray.storage import Location, names_in, open_dataset, read_table

logger = logging.getLogger(__name__)

Preference = Literal["human", "auto"]
FOLDER = "labels"  # of boxes, below OUTPUT
HUMAN = "human"  # `source` of corrected rows
IMPORTED = (
    "import-"  # begins `labeler` of those that a human has seen; others stood in a frame that was reviewed in part
)
# Frames that a human has reviewed as a whole: OUTPUT/corrections/<sequence>.parquet.
REVIEW_SCHEMA = pa.schema([("camera", pa.string()), ("frame", pa.int32())])

# Columns of labels and groups without which a row means nothing.
_NEEDED = {
    *("sequence", "camera", "frame", "instance_id", "class_name", "confidence", "frames", "status"),
    *(*BOX_WORLD, *BOX_CAM, *BOX_2D, "truncation", "occlusion"),
}
_FINGERPRINT = b"vsrd_ray.fingerprint"  # of the inputs that corrections are of, in the metadata of both their files


def read_labels(output: Location, *, prefer: Preference = "human", sequence: str | None = None) -> pa.Table:
    """The labels of a run: `LABEL_SCHEMA` and `sequence`, sorted by sequence, camera, frame and instance.

    Args:
        output: folder of a labelling run.
        prefer: "human": in the frames that a human reviewed corrected rows alone count, so that boxes which they took
            away are gone, and elsewhere the labeler's; "auto": the labeler's rows alone, everywhere.
        sequence: read the labels of one sequence alone.

    Raises:
        InputError: the folder holds no labels dataset, a file in it cannot be read, corrected rows are gone or of other
            inputs, or a row is none: a value that no label has, a class, frame, instance, camera or sequence that the
            run does not know, or the same box twice. The file is named.
    """
    table = read_rows(
        output, FOLDER, LABEL_SCHEMA, needed=_NEEDED, sequence=sequence, fix=lambda file: _fix(output, file)
    )
    is_human = is_any_of(table["source"], [HUMAN]).to_numpy()
    if prefer == "auto":
        table = table.filter(pa.array(~is_human))
    _check_values(output, table)
    if prefer == "human":
        is_reviewed = _in_frames(table, read_reviewed(output))
        if count := int((is_human & ~is_reviewed).sum()):
            logger.warning(
                "%d rows of a human do not count: %s does not list their frames, as `vsrd-ray import` does.",
                count,
                RunPaths(output).corrections,
            )
        table = table.filter(pa.array(is_human == is_reviewed))
    table = table.sort_by([(key, "ascending") for key in ("sequence", "camera", "frame", "instance_id")])
    if (fault := first_doubled(table)) is not None:
        raise _error_of(output, table, fault)
    return table


def _check_values(output: Location, table: pa.Table) -> None:
    """Refuse rows that are no labels of the run; of a folder without a manifest, values alone are looked at."""
    sequences = sorted(table["sequence"].unique().to_pylist())
    classes, frames = None, {}
    if RunPaths(output).manifest.exists():
        inputs = read_inputs(output)
        classes = dataset_named(inputs.dataset).classes
        for name in sequences:
            if inputs.has_ended and name not in inputs.sequences:
                folder = RunPaths(output).table(FOLDER, name)
                raise InputError(f"{folder}: the run in {output} has no sequence {name}: move the folder away")
            if RunPaths(output).index(name).exists():
                index = read_index(output, name)
                frames[name] = index["frame"].unique().to_numpy()
                _warn_of_strangers(output, table.filter(pc.field("sequence") == name), index)
        strangers = [name for name in table["camera"].unique().to_pylist() if name != inputs.camera]
        if strangers:
            row = table["camera"].to_pylist().index(strangers[0])
            raise _error_of(output, table, Fault(row, f"rows of {strangers[0]!r}, but the run is of {inputs.camera}"))
    if (fault := first_bad_value(table, classes, frames)) is not None:
        raise _error_of(output, table, fault)


def _warn_of_strangers(output: Location, rows: pa.Table, index: pa.Table) -> None:
    """Say that rows of a labeler are of instances without any mask; those of a human may be new ones."""
    masks = index["instance_id"].drop_null().unique()
    is_known = is_any_of(rows["instance_id"], masks.to_pylist()).to_numpy()
    is_human = is_any_of(rows["source"], [HUMAN]).to_numpy()
    strangers = rows.filter(pa.array(~is_known & ~is_human))
    if len(masks) and strangers.num_rows:
        logger.warning(
            "%d rows in %s are of instances without any mask, such as %d: look who has written them.",
            strangers.num_rows,
            RunPaths(output).table(FOLDER, strangers["sequence"][0].as_py()),
            strangers["instance_id"][0].as_py(),
        )


def _error_of(output: Location, table: pa.Table, fault: Fault) -> InputError:
    """Names the files that hold the row of a fault."""
    row = table.slice(fault.row, 1).to_pylist()[0]
    wanted = pc.scalar(True)
    for name in ("camera", "frame", "instance_id"):
        wanted = wanted & (pc.field(name) == row[name])
    folder = RunPaths(output).table(FOLDER, row["sequence"])
    fragments = open_dataset(folder, schema=LABEL_SCHEMA).get_fragments()
    holding = [one.path for one in fragments if one.to_table(schema=LABEL_SCHEMA, filter=wanted).num_rows]
    files = " and ".join(holding) or str(folder)
    return InputError(f"{files}: {fault.text}; {_fix(output, files)}")


def corrected_rows(output: Location, *, sequence: str, camera: str) -> Location:
    """The file with the corrected rows of one camera, beside the labeler's; no group is named so."""
    return RunPaths(output).brought_in(FOLDER, sequence, camera)


def is_human_file(name: str) -> bool:
    """Whether a file of the labels dataset holds corrected rows."""
    return is_brought_in(name)


def read_reviewed(output: Location) -> dict[tuple[str, str], frozenset[int]]:
    """Frames that a human has reviewed, by (sequence, camera); nothing where no correction was imported.

    Raises:
        InputError: a table of reviewed frames cannot be read, it or its rows are of other inputs than the run's, or the
            file with the rows is gone: without it, each of the frames would pass for one in which the human took every
            box away.
    """
    folder = RunPaths(output).corrections
    reviewed: dict[tuple[str, str], frozenset[int]] = {}
    for name in (name for name in names_in(folder) if name.endswith(".parquet") and not name.startswith(".")):
        sequence = name.removesuffix(".parquet")
        try:
            table = read_table(folder / name)
            frames_of = table.select(REVIEW_SCHEMA.names).cast(REVIEW_SCHEMA)
            if any(column.null_count for column in frames_of.columns):
                raise ValueError("a row without a camera or a frame")
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{folder / name}: cannot be read as a table of reviewed frames ({reason_of(error)}); "
                f"{fix_of(error, otherwise='remove it and import again')}"
            ) from error
        _check_inputs(output, sequence, table.schema, folder / name)
        for camera in frames_of["camera"].unique().to_pylist():
            rows = corrected_rows(output, sequence=sequence, camera=camera)
            if not rows.exists():
                raise InputError(
                    f"{folder / name} lists frames of {camera} that a human reviewed, but {rows} with their boxes is "
                    f"gone: put that back, or remove {folder / name} as well, which undoes the import"
                )
            _check_inputs(output, sequence, _schema_of(output, rows), rows)
            frames = frozenset(frames_of.filter(pc.field("camera") == camera)["frame"].to_pylist())
            if RunPaths(output).index(sequence).exists():
                known = read_index(output, sequence)["frame"].to_pylist()
                if strange := frames.difference(known):
                    raise InputError(
                        f"{folder / name}: frame {min(strange)} is none of the run's; remove it and import again"
                    )
            reviewed[sequence, camera] = frames
    return reviewed


def of_inputs(schema: pa.Schema, fingerprint: str | None) -> pa.Schema:
    """A schema whose metadata names the inputs, by their fingerprint, that corrections are of."""
    known = {} if fingerprint is None else {_FINGERPRINT: fingerprint.encode()}
    return schema.with_metadata({**(schema.metadata or {}), **known})


def _check_inputs(output: Location, sequence: str, schema: pa.Schema, path: Location) -> None:
    """Refuse corrections of other inputs than those that are labelled; older files do not say what they are of."""
    corrected = (schema.metadata or {}).get(_FINGERPRINT)
    labelled = digest_of_inputs(output, sequence)
    if corrected is not None and labelled is not None and corrected.decode() != labelled:
        listed = RunPaths(output).corrections / f"{sequence}.parquet"
        rows = RunPaths(output).table(FOLDER, sequence) / "human-*.parquet"
        raise InputError(
            f"{path}: corrections of other inputs than those of {sequence} that {output} holds labels of: "
            f"move {listed} and {rows} away, and correct the labels as they are now"
        )


def _schema_of(output: Location, rows: Location) -> pa.Schema:
    try:
        with rows.open("rb") as file:
            return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{rows}: cannot be read as Parquet ({reason_of(error)}); {_fix(output, str(rows))}"
        ) from error


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
    if not name.endswith(".parquet"):
        return "it is no file of a run: move it away"
    if is_human_file(name):
        return f"remove it and the sequence's file in {RunPaths(output).corrections}, and import the corrections again"
    return LABEL_AGAIN
