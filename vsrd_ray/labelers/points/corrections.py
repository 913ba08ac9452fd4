"""Corrected labels of points, back in the run that they were exported from.

They lie beside the labeler's, in `human-<sensor>.parquet` of both kinds, and count for whole sweeps. An export knows by
digest of which run and inputs it is, and which of its files were edited. Clusters are made of the corrected points.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import POINTS, Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.base import Provenance
from vsrd_ray.labelers.points.ground import fit_ground
from vsrd_ray.labelers.points.labeler import cluster_rows
from vsrd_ray.labelers.points.refinement import Labels
from vsrd_ray.labels.clusters.spec import SPEC as CLUSTERS
from vsrd_ray.labels.points.classes import NO_INSTANCE
from vsrd_ray.labels.points.formats.corrected import FORMATS, read_corrected
from vsrd_ray.labels.points.formats.export import place_of
from vsrd_ray.labels.points.labelled import HUMAN, LabelledSweep, sweeps_of
from vsrd_ray.labels.points.schema import TABLE, packed
from vsrd_ray.runs.exports import (
    CONFIG_HASH,
    FINGERPRINTS,
    digests_of,
    edited_files,
    exported,
    imported_files,
    mark_imported,
    read_note,
)
from vsrd_ray.runs.folder import RunFolder, digest_of_inputs
from vsrd_ray.runs.manifest import read_inputs, recorded_manifest
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.tables import LabelTable
from vsrd_ray.storage import Location, names_in, read_table, remove
from vsrd_ray.storage.atomic import write_parquet


@dataclass(frozen=True)
class Imported:
    """What an import changed."""

    sweeps: int
    points: int  # whose class, or company, is another


def import_points(run: RunFolder, source: Path, progress: Callable[[int, int], None] | None = None) -> Imported:
    """Read the edited files of an export back into its run, as labels of a human; others say nothing.

    Raises:
        InputError: no export of this run and its inputs, one of a format that is not read, or a file that cannot be
            used; then nothing is written.
    """
    format = _checked_format(run, source)
    digests = digests_of(source)
    edited = edited_files(source, digests)
    found: dict[tuple[str, str], list[tuple[LabelledSweep, Labels]]] = {}
    points = 0
    drives = {name: run.drive(name) for name in run.inputs.sequences}
    for done, (name, drive) in enumerate(drives.items(), start=1):
        for sweep in sweeps_of(run, drive):
            file = place_of(format, drive, sweep)
            if str(file) in edited:
                labels = Labels(*read_corrected(source / file, sweep, format=format))
                found.setdefault((name, sweep.sensor), []).append((sweep, labels))
                points += _changed(sweep, labels)
        if progress is not None:
            progress(done, len(drives))
    of_import = hashlib.sha256(str(sorted((name, digests[name]) for name in edited)).encode()).hexdigest()[:16]
    for (name, sensor), sweeps in found.items():
        _write(run, drives[name], sensor, sweeps, f"{HUMAN}-{of_import}")
    mark_imported(source, {**imported_files(source), **{name: digests[name] for name in edited}})
    return Imported(sum(len(sweeps) for sweeps in found.values()), points)


def undo_imports(output: Location) -> int:
    """Take all corrections back; the number of files that are gone."""
    inputs, paths = read_inputs(output), RunPaths(output)
    files = [
        paths.table(table.folder, name) / file
        for table in (TABLE, CLUSTERS.table)
        for name in inputs.sequences
        for file in names_in(paths.table(table.folder, name))
        if file.startswith(f"{HUMAN}-")
    ]
    remove(files)
    return len(files)


def _checked_format(run: RunFolder, source: Path) -> str:
    note = read_note(source)
    if not note:
        raise InputError(f"{source}: no export (no export.json): give the folder that `vsrd-ray export` wrote")
    if (format := note.get("format")) not in FORMATS:
        raise InputError(f"{source}: {format} is not read back: export and correct {' or '.join(FORMATS)}")
    is_of_run = note.get(CONFIG_HASH) == recorded_manifest(run.output)["config_hash"]
    known = exported(source, FINGERPRINTS)
    strange = [name for name in run.inputs.sequences if known.get(name) != digest_of_inputs(run.output, name)]
    if not is_of_run or strange:
        what = f"other inputs of {strange[0]}" if is_of_run else "another configuration"
        raise InputError(f"{source} is an export of {what} than {run.output} holds: export this run, and correct that")
    return str(format)


def _changed(sweep: LabelledSweep, labels: Labels) -> int:
    """Points whose class is another, or that are with other points than before."""
    pairs = np.stack([sweep.instances, labels.instances])
    _, place, counts = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
    before, after = (np.bincount(row + 1)[row + 1] for row in pairs)
    shared = counts[place.ravel()]
    same = (sweep.classes == labels.classes) & (shared == before) & (shared == after)
    same |= (pairs == NO_INSTANCE).all(axis=0)
    return int((~same).sum())


def _write(
    run: RunFolder, drive: Drive, sensor: str, sweeps: list[tuple[LabelledSweep, Labels]], group_id: str
) -> None:
    """Put corrected sweeps beside those of earlier imports; clusters first, which count with their points alone."""
    common = {"sensor": sensor, "group_id": group_id, **asdict(Provenance(HUMAN, _hash(run), 0))}
    points: list[dict[str, Any]] = []
    clusters: list[dict[str, Any]] = []
    for sweep, labels in sweeps:
        own = common | {"frame": sweep.frame, "time_s": drive.lidars[sensor].times_s.get(sweep.frame)}
        points.append(own | packed(labels.classes, labels.instances, sweep.in_view))
        xyz = drive.read(POINTS, sensor, sweep.frame)[:, :3].astype(np.float64)
        xyz[~np.isfinite(xyz).all(axis=1)] = (0.0, 0.0, -1e4)
        T_world_lidar = drive.lidars[sensor].T_world_lidar[sweep.frame]
        ground = fit_ground(xyz @ T_world_lidar[:3, :3].T)
        for row in cluster_rows(xyz, T_world_lidar, labels, ground, sure=None):
            clusters.append(own | row | {"source": HUMAN})
    frames = {sweep.frame for sweep, _ in sweeps}
    for table, rows in ((CLUSTERS.table, clusters), (TABLE, points)):
        path = run.paths.brought_in(table.folder, drive.name, sensor)
        earlier = _earlier(run, table, drive.name, sensor, frames)
        fresh = pa.Table.from_pylist(rows, schema=table.schema)
        write_parquet(pa.concat_tables([earlier, fresh]).sort_by([("frame", "ascending")]), path)


def _earlier(run: RunFolder, table: LabelTable, name: str, sensor: str, frames: set[int]) -> pa.Table:
    """Rows of earlier imports in other frames."""
    if not run.paths.brought_in(table.folder, name, sensor).exists():
        return table.schema.empty_table()
    rows = read_table(run.paths.brought_in(table.folder, name, sensor), schema=table.schema)
    return rows.filter(pa.array([frame not in frames for frame in rows["frame"].to_pylist()]))


def _hash(run: RunFolder) -> str:
    return str(recorded_manifest(run.output)["config_hash"])
