"""The output folder of a labelling run, for what reads it: conversion, evaluation, pictures."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.index import INDEX_SCHEMA
from vsrd_ray.data.storage import Location, plain_name, read_table
from vsrd_ray.errors import InputError


@dataclass(frozen=True)
class RunInputs:
    """What a run was asked to label, from its manifest."""

    sequences: tuple[str, ...]
    camera: str
    classes: tuple[str, ...]


def read_inputs(output: Location) -> RunInputs:
    """The inputs of the run in an output folder. Their names may be joined to paths.

    Raises:
        InputError: there is no manifest, or it is none of a labelling run.
    """
    path = output / "manifest.json"
    try:
        inputs = json.loads(path.read_text())["inputs"]
        sequences = tuple(plain_name(name, what=f"{path}: sequence") for name in inputs["sequences"])
        camera = plain_name(inputs["camera"], what=f"{path}: camera")
        return RunInputs(sequences, camera, tuple(inputs["classes"]))
    except FileNotFoundError:
        raise InputError(f"no {path}: expected the output folder of `vsrd-ray label`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not the manifest of a labelling run ({error!r}); run `vsrd-ray label` again"
        ) from error


def read_index(output: Location, sequence: str) -> pa.Table:
    """The index of one sequence that a run made, in `INDEX_SCHEMA`.

    Raises:
        InputError: there is none, or it is of another version.
    """
    path = output / "index" / f"{sequence}.parquet"
    try:
        return read_table(path, schema=INDEX_SCHEMA)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: no index that can be read ({reason}); remove it, and label again") from error


def group_frames(groups: pa.Table, *, sequence: str, status: str | None = None) -> list[int]:
    """Frames of the groups of one sequence, ascending; of one status (`ok`, `failed`, `skipped`) or of every one."""
    wanted = pc.field("sequence") == sequence
    if status is not None:
        wanted = wanted & (pc.field("status") == status)
    return sorted({frame for frames in groups.filter(wanted)["frames"].to_pylist() for frame in frames})


def sequence_labels(labels: pa.Table, *, sequence: str, camera: str) -> pa.Table:
    """The labels of one camera of a sequence, in their order."""
    return labels.filter((pc.field("sequence") == sequence) & (pc.field("camera") == camera))


def rows_by_frame(rows: pa.Table, frames: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each of some frames, none where a frame has none.

    Args:
        rows: label rows of one camera of a sequence, sorted by frame.
        frames: the wanted ones.
    """
    numbers = rows["frame"].to_numpy()
    starts, ends = (np.searchsorted(numbers, frames, side=side).tolist() for side in ("left", "right"))
    for frame, start, end in zip(frames, starts, ends, strict=True):
        yield frame, rows.slice(start, end - start)
