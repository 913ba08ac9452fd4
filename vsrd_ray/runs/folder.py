"""The output folder of a labelling run, for what reads it: conversion, evaluation, pictures."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.index import INDEX_SCHEMA
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.parquet import is_human_file
from vsrd_ray.storage import Location, names_in, plain_name, read_table


@dataclass(frozen=True)
class RunInputs:
    """What a run was asked to label, from its manifest."""

    sequences: tuple[str, ...]
    camera: str
    classes: tuple[str, ...]
    has_ended: bool
    num_groups: int | None = None  # that have their marks; None where the manifest does not say so


def read_inputs(output: Location) -> RunInputs:
    """The inputs of the run in an output folder. Their names may be joined to paths.

    Raises:
        InputError: there is no manifest, or it is none of a labelling run.
    """
    path = output / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        inputs = manifest["inputs"]
        sequences, (camera,) = _names(inputs["sequences"], "sequences"), _names([inputs["camera"]], "camera")
        return RunInputs(
            sequences=tuple(plain_name(name, what=f"{path}: sequence") for name in sequences),
            camera=plain_name(camera, what=f"{path}: camera"),
            classes=_some_names(inputs["classes"], "classes"),
            has_ended=manifest.get("status") != "running",
            num_groups=_num_groups(manifest.get("counts")),
        )
    except FileNotFoundError:
        raise InputError(f"no {path}: expected the output folder of `vsrd-ray label`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not the manifest of a labelling run ({error!r}); run `vsrd-ray label` again"
        ) from error


def _names(names: Any, key: str) -> tuple[str, ...]:
    """A list of names, of one key of a manifest's inputs."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"inputs.{key}: expected names, got {names!r}")
    return tuple(names)


def _some_names(names: Any, key: str) -> tuple[str, ...]:
    if names == []:
        raise ValueError(f"inputs.{key}: expected one name at least, got none")
    return _names(names, key)


def _num_groups(counts: Any) -> int | None:
    if not isinstance(counts, dict) or not {"groups_ok", "groups_failed"} <= counts.keys():
        return None
    return int(counts["groups_ok"]) + int(counts["groups_failed"])


def read_index(output: Location, sequence: str) -> pa.Table:
    """The index of one sequence that a run made, in `INDEX_SCHEMA`.

    Raises:
        InputError: there is none, or it is of another version.
    """
    path = output / "index" / f"{sequence}.parquet"
    try:
        return read_table(path, schema=INDEX_SCHEMA)
    except FileNotFoundError:
        raise InputError(f"{path}: no index that can be read (no such file); bring it back, or label again") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: no index that can be read ({reason}); remove it, and label again") from error


def check_files(output: Location, groups: pa.Table, *, sequence: str) -> None:
    """Refuse a sequence of which files of labels or groups were lost, such as in copying.

    A run leaves a file of labels, if an empty one, beside each file of groups some of which succeeded, and none without
    one. Its manifest says how many groups there are.

    Args:
        output: folder of a labelling run.
        groups: all of the run.
        sequence: name of the sequence.

    Raises:
        InputError: there is one of the two alone, or there are fewer groups than the run had when it ended.
    """
    folder = output / "labels" / f"sequence={sequence}"
    there = {name for name in names_in(folder) if name.endswith(".parquet") and not is_human_file(name)}
    if not there and group_frames(groups, sequence=sequence, status="ok"):
        raise InputError(
            f"{folder} holds no labels, though {output / 'groups'} says that there are some: bring its files back, "
            "or label again"
        )
    inputs = read_inputs(output)
    if not inputs.has_ended:  # before, files are put together
        return
    failed = groups.filter((pc.field("sequence") == sequence) & (pc.field("status") != "ok"))["group_id"].to_pylist()
    labels, marks = (
        {name for name in names if name.startswith(f"{sequence}-")} for names in (there, names_in(output / "groups"))
    )
    _refuse_lost(marks - labels - {f"{group_id}.parquet" for group_id in failed}, folder, beside=output / "groups")
    _refuse_lost(labels - marks, output / "groups", beside=folder)
    if groups.num_rows < (inputs.num_groups or 0):
        raise InputError(
            f"{output / 'groups'} has {groups.num_rows} groups, though {output / 'manifest.json'} counts "
            f"{inputs.num_groups}: bring its files back, or label again"
        )


def _refuse_lost(names: set[str], folder: Location, *, beside: Location) -> None:
    if names:
        lost = min(names)
        raise InputError(f"{folder / lost} is gone, though {beside / lost} is there: bring it back, or label again")


def group_frames(groups: pa.Table, *, sequence: str, status: str | None = None) -> list[int]:
    """Frames of the groups of one sequence, ascending; of one status (`ok`, `failed`, `skipped`) or of every one."""
    wanted = pc.field("sequence") == sequence
    if status is not None:
        wanted = wanted & (pc.field("status") == status)
    return sorted({frame for frames in groups.filter(wanted)["frames"].to_pylist() for frame in frames})


def num_failed_groups(groups: pa.Table, sequences: Sequence[str]) -> int:
    """How many groups of some sequences have failed."""
    return groups.filter(pc.field("sequence").isin(list(sequences)) & (pc.field("status") == "failed")).num_rows


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
