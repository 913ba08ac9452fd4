"""What an output folder holds, for what reads it: conversion, evaluation, pictures."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.data.given import Given
from vsrd_ray.data.identity import differences, identity_of
from vsrd_ray.data.index import INDEX_SCHEMA
from vsrd_ray.datasets.base import ALL_CAMERAS, open_drive
from vsrd_ray.errors import InputError, UnreadableFrameError, fix_of
from vsrd_ray.runs.manifest import RunInputs, read_inputs
from vsrd_ray.runs.paths import RunPaths, drive_of, is_brought_in
from vsrd_ray.runs.reading import LABEL_AGAIN, read_rows, reason_of
from vsrd_ray.runs.tables import LabelTable
from vsrd_ray.storage import Location, names_in, read_table


@dataclass(frozen=True)
class RunFolder:
    """The output folder of a run, beside the dataset that was labelled."""

    output: Location
    root: Location  # of the dataset

    @cached_property
    def inputs(self) -> RunInputs:
        """What the run was asked to label.

        Raises:
            InputError: there is no manifest, or it is none of a labelling run.
        """
        return read_inputs(self.output)

    @property
    def paths(self) -> RunPaths:
        """Where its files lie."""
        return RunPaths(self.output)

    def drive(self, name: str) -> Drive:
        """One of its drives, with the camera or cameras that were labelled.

        Raises:
            InputError: the dataset has no such drive, or one that cannot be used.
        """
        return open_labelled(self.inputs, self.root, name)

    def rows(self, table: LabelTable, sequence: str | None = None) -> pa.Table:
        """The labels of a kind, in its schema and `sequence`, sorted by drive, frame and the kind's own columns.

        Args:
            table: of the kind.
            sequence: read one drive alone.

        Raises:
            InputError: the folder holds none, or a file in it cannot be read.
        """
        needed = ("frame", "group_id")
        rows = read_rows(self.output, table.folder, table.schema, needed=needed, sequence=sequence)
        return rows.sort_by([(name, "ascending") for name in ("sequence", "frame", *table.sort_by)])


def open_labelled(inputs: RunInputs, root: Location, name: str) -> Drive:
    """A drive of a run, as it was labelled: with its camera or cameras, and what was given in the dataset's stead.

    Args:
        inputs: of the run.
        root: of the dataset.
        name: of the drive.

    Raises:
        InputError: the dataset has no such drive, or one that cannot be used, or what was given is not there.
    """
    given = Given.recorded(inputs.given, root)
    camera = ALL_CAMERAS if inputs.all_cameras else inputs.camera
    return open_drive(root, name, camera, dataset=inputs.dataset, given=given, with_ids=inputs.mask_ids)


def digest_of_inputs(output: Location, sequence: str) -> str | None:
    """What tells, by content, the inputs of a sequence that a run has labelled; None where no manifest does."""
    if not RunPaths(output).manifest.exists():
        return None
    identity = read_inputs(output).identities.get(sequence)
    return "-".join(identity.values()) if identity else None


def check_root(output: Location, root: Location) -> None:
    """Refuse a dataset that is not the one that a run labelled, by its content. Runs of old versions do not tell.

    Raises:
        InputError: calibration, poses or a layer of a drive differ, or images are not of the calibration's size.
    """
    inputs = read_inputs(output)
    for name, recorded in inputs.identities.items():
        try:
            drive = open_labelled(inputs, root, name)
            found = identity_of(drive, recorded.keys() - {"calibration", "poses"})
        except (InputError, OSError):
            continue  # who needs it says what is wrong with it
        if odd := differences(recorded, found):
            raise InputError(
                f"{root} is not the dataset that was labelled into {output}: {' and '.join(odd)} of {name} differ. "
                f"Give the --root of the run (it was {inputs.root}), or --other-root to insist on this one"
            )
        frames = drive.frames_with(IMAGES, drive.camera.name)
        for frame in {*frames[:1], *frames[-1:]}:
            with suppress(UnreadableFrameError, OSError):  # pictures go without those
                drive.read(IMAGES, drive.camera.name, frame)


def read_index(output: Location, sequence: str) -> pa.Table:
    """The index of one sequence that a run made, in `INDEX_SCHEMA`.

    Raises:
        InputError: there is none, or it is of another version.
    """
    path = RunPaths(output).index(sequence)
    try:
        return read_table(path, schema=INDEX_SCHEMA)
    except FileNotFoundError:
        raise InputError(f"{path}: no index that can be read (no such file); bring it back, or label again") from None
    except (pa.ArrowException, OSError) as error:
        fix = fix_of(error, otherwise=LABEL_AGAIN)
        raise InputError(f"{path}: no index that can be read ({reason_of(error)}); {fix}") from error


def check_files(output: Location, groups: pa.Table, *, sequence: str, folder: str) -> None:
    """Refuse a drive of which files of labels or groups were lost, such as in copying.

    A run leaves a file of labels, if an empty one, beside each file of groups some of which succeeded, and none without
    one. Its manifest says how many groups there are.

    Args:
        output: folder of a labelling run.
        groups: all of the run.
        sequence: name of the drive.
        folder: of a kind of label, below the output folder.

    Raises:
        InputError: there is one of the two alone, or there are fewer groups than the run had when it ended.
    """
    paths = RunPaths(output)
    labels_folder = paths.table(folder, sequence)
    files = {name for name in names_in(labels_folder) if name.endswith(".parquet")}
    there = {name for name in files if not is_brought_in(name, sequence)}
    if not there and group_frames(groups, sequence=sequence, status="ok"):
        raise InputError(
            f"{labels_folder} holds no labels, though {paths.groups} says that there are some: bring its files back, "
            "or label again"
        )
    inputs = read_inputs(output)
    if not inputs.has_ended:  # before, files are put together
        return
    failed = groups.filter((pc.field("sequence") == sequence) & (pc.field("status") != "ok"))["group_id"].to_pylist()
    labels, marks = (
        {name for name in names if drive_of(name, inputs.sequences, inputs.camera) == sequence}
        for names in (there, names_in(paths.groups))
    )
    without = {f"{group_id}.parquet" for group_id in failed}
    _refuse_lost(marks - labels - without, labels_folder, beside=paths.groups)
    _refuse_lost(labels - marks, paths.groups, beside=labels_folder)
    if groups.num_rows < (inputs.num_groups or 0):
        raise InputError(
            f"{paths.groups} has {groups.num_rows} groups, though {paths.manifest} counts "
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
