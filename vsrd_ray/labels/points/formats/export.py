"""Labels of points as nuScenes-panoptic, MixSup and SemanticKITTI read them, and clusters as a table.

Shapes: N points of a sweep.
"""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow.compute as pc
from pyarrow import csv

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.drive import POINTS, Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labels.base import Progress, kind_named
from vsrd_ray.labels.points.classes import CHALLENGE_OF, NAMES, NO_INSTANCE, NONE
from vsrd_ray.labels.points.formats import coco, rerun
from vsrd_ray.labels.points.formats.between import frames_between, labels_between
from vsrd_ray.labels.points.labelled import LabelledSweep, clusters_of, rows_of, sweeps_of
from vsrd_ray.labels.points.schema import TABLE
from vsrd_ray.runs.exports import check_free, export_folder, note_of
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location
from vsrd_ray.visualization.recording import check_installed

_WITHOUT = np.iinfo(np.uint16).max  # instance in MixSup's files
# SemanticKITTI's numbers of the ten classes, and of none.
SEMANTIC_KITTI = np.array([10, 18, 20, 13, 20, 11, 15, 30, 99, 99, 0], dtype=np.uint32)

_SWEEPS = 9  # before a labelled one, that MixSup takes with it
# Writes one sweep below a local folder, by its name in the format; knows which frames are labelled.
_Writer = Callable[[Path, Drive, LabelledSweep, set[int]], None]


def export(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None, *, format: str
) -> str:
    """Write all sweeps of a run in a format; see `vsrd_ray.labels.base.Exporter`."""
    check_free(destination)
    if format == "rerun":
        check_installed()
    drives = [run.drive(name) for name in run.inputs.sequences]
    count = 0
    with export_folder(destination, note_of(run, format)) as folder:
        if format == "clusters":
            return f"{_write_clusters(run, drives, folder)} clusters written to {destination}"
        if format == "coco":
            return f"{_write_coco(run, drives, folder, progress)} sweeps written to {destination}"
        if format == "rerun":
            return f"{_write_rerun(run, drives, folder, progress)} sweeps written to {destination}"
        write = _WRITERS[format]
        for drive in drives:
            labelled = set(rows_of(run, TABLE, drive.name)["frame"].to_pylist())
            for sweep in sweeps_of(run, drive):
                write(folder, drive, sweep, labelled)
                count += 1
                if progress is not None:
                    progress(count, count)
    return f"{count} sweeps written to {destination}"


def nuscenes_labels(classes: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Challenge class * 1000 + id + 1 [N] uint16; 0 without a label.

    Raises:
        InputError: an id that three digits do not hold.
    """
    if ids.max(initial=NO_INSTANCE) >= IDS_PER_CLASS - 1:
        raise InputError(f"{ids.max() + 1} objects in one drive: nuScenes' labels number 999; export fewer frames")
    return np.where(ids == NO_INSTANCE, 0, CHALLENGE_OF[classes] * IDS_PER_CLASS + ids + 1).astype(np.uint16)


def mixsup_labels(classes: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Id and class [N, 2] uint16; 65535 and 10 without a label."""
    return np.stack(
        [np.where(ids == NO_INSTANCE, _WITHOUT, ids), np.where(ids == NO_INSTANCE, NONE, classes)], axis=1
    ).astype(np.uint16)


def semantickitti_labels(classes: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """SemanticKITTI's class, and id + 1 in the upper 16 bits [N] uint32; 0 without a label."""
    numbers = (ids + 1).astype(np.uint32) << np.uint32(16) | SEMANTIC_KITTI[classes]
    return np.where(ids == NO_INSTANCE, np.uint32(0), numbers)


def place_of(format: str, drive: Drive, sweep: LabelledSweep) -> PurePosixPath:
    """Where a format has the labels of a sweep, below the folder of an export."""
    if format == "semantickitti":
        return PurePosixPath("sequences", drive.name, "predictions", f"{sweep.frame:06d}.label")
    tokens = (drive.detail("tokens") or {}).get(sweep.sensor, {})
    name = tokens.get(sweep.frame, f"{drive.name}_{sweep.frame:010d}")
    return PurePosixPath("panoptic", drive.split or "val", f"{name}_panoptic.npz")


def _write_nuscenes(folder: Path, drive: Drive, sweep: LabelledSweep, labelled: set[int]) -> None:
    path = folder / place_of("nuscenes-panoptic", drive, sweep)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, data=nuscenes_labels(sweep.classes, _ids(drive, sweep)))


def _write_mixsup(folder: Path, drive: Drive, sweep: LabelledSweep, labelled: set[int]) -> None:
    """The sweep, and those since the last labelled one, which have its ids."""
    name = drive.file(POINTS, sweep.sensor, sweep.frame).name
    _write_words(folder / "samples" / name, mixsup_labels(sweep.classes, sweep.tracks))
    lidar = drive.lidars[sweep.sensor]
    frames = frames_between(drive, sweep.sensor, sweep.frame, labelled, _SWEEPS)
    for number, frame in enumerate(frames, start=1):
        seconds = sweep.time - lidar.times_s[frame] if frame in lidar.times_s else 0.0
        labels = labels_between(drive, sweep, frame, sweep.speeds, seconds)
        _write_words(folder / "sweeps" / f"sweep-{number}_{name}", mixsup_labels(*labels))


def _write_words(path: Path, words: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(words.astype("<u2").tobytes())


def _write_semantickitti(folder: Path, drive: Drive, sweep: LabelledSweep, labelled: set[int]) -> None:
    path = folder / place_of("semantickitti", drive, sweep)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(semantickitti_labels(sweep.classes, sweep.tracks).astype("<u4").tobytes())


def _write_clusters(run: RunFolder, drives: list[Drive], folder: Path) -> int:
    count = 0
    for drive in drives:
        rows = clusters_of(run, drive)
        csv.write_csv(rows, folder / f"{drive.name}.csv")
        count += rows.num_rows
    return count


def _write_coco(run: RunFolder, drives: list[Drive], folder: Path, progress: Progress | None) -> int:
    count = 0
    for drive in drives:
        file = coco.CocoFile()
        for sweep in sweeps_of(run, drive):
            file.add(drive, sweep)
            count += 1
            if progress is not None:
                progress(count, count)
        file.write(folder / f"{drive.name}.json")
    return count


def _write_rerun(run: RunFolder, drives: list[Drive], folder: Path, progress: Progress | None) -> int:
    count, boxes_of = 0, kind_named("clusters").boxes
    assert boxes_of is not None
    for drive in drives:
        clusters = clusters_of(run, drive)
        recording = rerun.Recording(drive, folder / f"{drive.name}.rrd")
        for sweep in sweeps_of(run, drive):
            rows = clusters.filter((pc.field("frame") == sweep.frame) & (pc.field("sensor") == sweep.sensor))
            recording.add(sweep, rows, boxes_of(rows))
            count += 1
            if progress is not None:
                progress(count, count)
        recording.close()
    return count


def _ids(drive: Drive, sweep: LabelledSweep) -> np.ndarray:
    """Ids [N] over the drive, or within the sweep where a drive has more objects than three digits number."""
    return sweep.tracks if sweep.track_of.max(initial=0) < IDS_PER_CLASS - 1 else sweep.instances


_WRITERS: dict[str, _Writer] = {
    "nuscenes-panoptic": _write_nuscenes,
    "mixsup": _write_mixsup,
    "semantickitti": _write_semantickitti,
}
assert len(SEMANTIC_KITTI) == len(NAMES) + 1
