"""Grids that a human corrected: npz files as `export --format npz` writes them, taken in beside those of the run."""

from dataclasses import replace
from io import BytesIO
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vsrd_ray.errors import InputError, one_line
from vsrd_ray.labels.voxels.classes import UNKNOWN, table_named
from vsrd_ray.labels.voxels.labelled import LabelledGrid, grids_of
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED, SCHEMA, TABLE, UNSEEN, encoded
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage import Location, is_folder, names_in, read_bytes, remove
from vsrd_ray.storage.atomic import atomic_write

_SURE = 255  # confidence of what a human says


def import_grids(run: RunFolder, folder: Location) -> int:
    """Take in the npz files of an export, of which a human changed `semantics`; how many grids differ.

    They replace what was imported before, and come before the run's own in evaluation, exports and pictures.

    Raises:
        InputError: no file of any frame of the run, or one that is no grid of it.
    """
    count = 0
    for name in run.inputs.sequences:
        place = folder / name
        files = {file for file in names_in(place) if file.endswith(".npz")} if is_folder(place) else set()
        rows = []
        for labelled in grids_of(run, name):
            file = f"{labelled.frame:010d}.npz"
            if file in files:
                files.remove(file)
                if (row := _row(place / file, labelled)) is not None:
                    rows.append(row)
        if files:
            raise InputError(f"{place / min(files)}: the run has no voxels of that frame: export it from this run")
        if rows:
            path = RunPaths(run.output).brought_in(TABLE.folder, name, run.inputs.camera)
            with atomic_write(path) as temporary:
                pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary, compression="zstd")
            count += len(rows)
    if not count:
        raise InputError(f"{folder}: no grid there differs from the run's: give the folder of an export as npz, edited")
    return count


def undo_imports(output: Location) -> int:
    """Take all corrected grids of a run back; the number of files that are gone."""
    inputs, paths = read_inputs(output), RunPaths(output)
    files = [paths.brought_in(TABLE.folder, name, inputs.camera) for name in inputs.sequences]
    there = [file for file in files if file.exists()]
    remove(there)
    return len(there)


def _row(path: Location, labelled: LabelledGrid) -> dict[str, object] | None:
    voxels = labelled.voxels
    if voxels.semantics is None or voxels.classes is None:
        raise InputError(f"{path}: the run's voxels have no classes that could be corrected")
    semantics = _semantics(path)
    if semantics.shape != voxels.grid.shape or semantics.dtype != np.uint8:
        raise InputError(
            f"{path}: semantics of shape {semantics.shape} and {semantics.dtype}: expected uint8 of {voxels.grid.shape}"
        )
    table = table_named(voxels.classes)
    if (odd := (semantics >= len(table.names)) & (semantics != UNKNOWN)).any():
        raise InputError(f"{path}: class {semantics[odd].min()} is none of {table.name}'s, 0 to {len(table.names) - 1}")
    changed = semantics != voxels.semantics
    if not changed.any():
        return None
    named = np.where(semantics == UNKNOWN, UNSEEN, np.where(semantics == table.free, FREE, OCCUPIED))
    state = None if voxels.state is None else np.where(changed, named, voxels.state).astype(np.uint8)
    confidence = None if voxels.confidence is None else np.where(changed, _SURE, voxels.confidence).astype(np.uint8)
    corrected = replace(voxels, semantics=semantics, state=state, confidence=confidence)
    return {
        "frame": labelled.frame,
        "time_s": labelled.time_s,
        "source": "human",
        "group_id": labelled.group_id,
        "labeler": "human",
        "config_hash": "",
        "seed": 0,
        **encoded(corrected),
    }


def _semantics(path: Location) -> np.ndarray:
    try:
        with np.load(BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
            return arrays["semantics"]
    except (BadZipFile, ValueError, EOFError) as error:
        raise InputError(f"{path}: no .npz of arrays ({one_line(error)}): export it again") from error
    except KeyError:
        raise InputError(
            f"{path}: no array 'semantics': give files as `vsrd-ray export --format npz` writes them"
        ) from None
