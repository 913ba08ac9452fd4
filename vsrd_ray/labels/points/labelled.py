"""The sweeps that a run has labelled, with the tracks of their instances.

Shapes: N points of a sweep.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import Drive
from vsrd_ray.labels.base import kind_named
from vsrd_ray.labels.points.classes import NO_INSTANCE
from vsrd_ray.labels.points.schema import TABLE, unpacked
from vsrd_ray.labels.points.tracks import track
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.runs.paths import is_brought_in
from vsrd_ray.runs.tables import LabelTable
from vsrd_ray.storage import names_in

HUMAN = "human"  # the labeler of rows that somebody corrected
_FRAME_SECONDS = 0.1  # between frames, of a dataset without times


@dataclass(frozen=True)
class LabelledSweep:
    """One row of the kind, unpacked."""

    frame: int
    sensor: str
    classes: np.ndarray  # [N] int64, places in `classes.NAMES`; `NONE` without a label
    instances: np.ndarray  # [N] int64 within the frame; `NO_INSTANCE` without a label
    in_view: np.ndarray  # [N] bool
    track_of: np.ndarray  # [instances of the frame] int64, over the drive
    speeds: np.ndarray  # [instances of the frame, 2] m/s in the world, since the track's last frame; 0 where it is new
    time: float  # s

    @property
    def tracks(self) -> np.ndarray:
        """Track [N] of each point over the drive; `NO_INSTANCE` without a label."""
        lookup = np.append(self.track_of, NO_INSTANCE)
        return lookup[self.instances]


def rows_of(run: RunFolder, table: LabelTable, drive: str) -> pa.Table:
    """The rows of a drive by frame: of sweeps that somebody corrected, theirs.

    Args:
        run: with labels of points.
        table: of points, or of clusters, which count with the points that they were made of.
        drive: its name.

    Raises:
        InputError: the run holds none.
    """
    rows = run.rows(table, drive)
    if not any(is_brought_in(name, drive) for name in names_in(run.paths.table(TABLE.folder, drive))):
        return rows if table is TABLE else rows.filter(pc.field("labeler") != HUMAN)
    points = rows if table is TABLE else run.rows(TABLE, drive)
    corrected = points.filter(pc.field("labeler") == HUMAN).select(["frame", "sensor", "group_id"]).to_pylist()
    group_of = {(row["frame"], row["sensor"]): row["group_id"] for row in corrected}
    keys = rows.select(["frame", "sensor", "group_id", "labeler"]).to_pylist()
    counts = [
        row["group_id"] == group_of.get((row["frame"], row["sensor"]))
        if row["labeler"] == HUMAN
        else (row["frame"], row["sensor"]) not in group_of
        for row in keys
    ]
    return rows.filter(pa.array(counts, pa.bool_()))


def clusters_of(run: RunFolder, drive: Drive) -> pa.Table:
    """The clusters of a drive in the order of frames and instances, with `track_id`.

    Raises:
        InputError: the run holds none.
    """
    rows = rows_of(run, kind_named("clusters").table, drive.name)
    ids = np.empty(rows.num_rows, dtype=np.int32)
    sensors = np.array(rows["sensor"].to_pylist(), dtype=object)
    for sensor in sorted(set(sensors.tolist())):
        mine = np.flatnonzero(sensors == sensor)
        some = rows.take(pa.array(mine))
        frames = some["frame"].to_numpy()
        xy = np.stack([some["world_x"].to_numpy(), some["world_y"].to_numpy()], axis=1)
        names = np.array(some["class_name"].to_pylist(), dtype=object)
        ids[mine] = track(frames, _times(drive, sensor, frames), names, xy)
    return rows.append_column("track_id", pa.array(ids))


def sweeps_of(run: RunFolder, drive: Drive) -> Iterator[LabelledSweep]:
    """The labelled sweeps of a drive by frame and sensor.

    Raises:
        InputError: the run holds none, or none that can be read.
    """
    clusters = clusters_of(run, drive)
    speeds = _speeds(drive, clusters)
    of_sweep: dict[tuple[int, str], dict[int, int]] = {}  # row in `clusters` by instance
    columns = (clusters[name].to_pylist() for name in ("frame", "sensor", "instance"))
    for place, (frame, sensor, instance) in enumerate(zip(*columns, strict=True)):
        of_sweep.setdefault((frame, sensor), {})[instance] = place
    tracks = clusters["track_id"].to_numpy()
    rows = rows_of(run, TABLE, drive.name)
    for batch in rows.to_batches(max_chunksize=16):
        for row in batch.to_pylist():
            frame, sensor = row["frame"], row["sensor"]
            classes, instances, in_view = unpacked(row)
            known = of_sweep.get((frame, sensor), {})
            places = np.array([known[one] for one in range(len(known))], dtype=np.int64)
            time = _times(drive, sensor, np.array([frame]))[frame]
            yield LabelledSweep(
                frame, sensor, classes, instances, in_view, tracks[places].astype(np.int64), speeds[places], time
            )


def _speeds(drive: Drive, clusters: pa.Table) -> np.ndarray:
    """Speed [K, 2] of each cluster since the frame in which its track was seen before; 0 where there is none."""
    speeds = np.zeros((clusters.num_rows, 2))
    xy = np.stack([clusters["world_x"].to_numpy(), clusters["world_y"].to_numpy()], axis=1)
    last: dict[tuple[str, int], int] = {}
    columns = (clusters[name].to_pylist() for name in ("frame", "sensor", "track_id"))
    for place, (frame, sensor, one) in enumerate(zip(*columns, strict=True)):
        if (before := last.get((sensor, one))) is not None:
            earlier = clusters["frame"][before].as_py()
            times = _times(drive, sensor, np.array([earlier, frame]))
            speeds[place] = (xy[place] - xy[before]) / max(times[frame] - times[earlier], 1e-6)
        last[sensor, one] = place
    return speeds


def _times(drive: Drive, sensor: str, frames: np.ndarray) -> dict[int, float]:
    lidar = drive.lidars.get(sensor)
    known = lidar.times_s if lidar is not None else {}
    wanted = frames.tolist()
    return {frame: known[frame] if frame in known else frame * _FRAME_SECONDS for frame in wanted}
