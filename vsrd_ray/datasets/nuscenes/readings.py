"""What the cameras and LiDARs of a scene read, and when and where: sample_data with all that its tokens name.

Two million rows and more are made small while they are read: radars are left out, and tokens become row numbers.
Shapes: R readings, B rows of a part of a table.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from vsrd_ray.datasets.nuscenes import tables
from vsrd_ray.datasets.nuscenes.cache import Recipe
from vsrd_ray.datasets.nuscenes.tables import compute
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, plain_name

MODALITIES = ("camera", "lidar")
_NUMBERS = pa.list_(pa.float64())

# A row for each reading; rows of a scene are sorted by channel, then time.
SCHEMA = pa.schema(
    [
        ("token", pa.string()),
        ("sample", pa.int32()),  # place of its keyframe among the scene's
        ("sample_token", pa.string()),
        ("channel", pa.string()),
        ("modality", pa.string()),
        ("timestamp", pa.int64()),  # microseconds
        ("is_key_frame", pa.bool_()),
        ("width", pa.int32()),  # px
        ("height", pa.int32()),
        ("filename", pa.string()),
        ("T_global_ego", _NUMBERS),  # translation in metres, then quaternion w x y z
        ("T_ego_sensor", _NUMBERS),
        ("intrinsic", _NUMBERS),  # 3 x 3 by rows, px; none of a LiDAR
    ]
)
_CALIBRATED = "calibrated_sensor"
_MANY = 4  # parts of ego_pose that are joined at once


class _Readings:
    """All readings of a version, in memory, in columns that are as small as may be."""

    def __init__(self, root: Location, version: str) -> None:
        self._root, self._version = root, version
        self.scenes = self._read("scene")
        self.samples = self._read("sample")
        self.calibrated = self._read("calibrated_sensor")
        self.scene_of_sample = self._places("sample", self.samples, "scene_token", "scene", self.scenes)
        self.place_of_sample = ranks(self.scene_of_sample, self.samples["timestamp"].to_numpy())
        sensors = self._read("sensor")
        sensor = self._places("calibrated_sensor", self.calibrated, "sensor_token", "sensor", sensors)
        self.channels = sensors["channel"].combine_chunks().take(pa.array(sensor))
        self.modalities = sensors["modality"].combine_chunks().take(pa.array(sensor))
        self.rows = self._read_rows()
        self.T_global_ego = self._read_poses(self.rows["ego_pose_token"])
        self.rows = self.rows.drop_columns(["ego_pose_token"])
        self._place_sensors()
        self._sort()

    def batch(self, scene: int) -> pa.RecordBatch:
        """The rows of a scene, in the order of `SCHEMA`."""
        order = self._order[self._starts[scene] : self._starts[scene + 1]]
        rows = self.rows.take(pa.array(order))
        sample, calibrated = rows["sample"].to_numpy(), rows["calibrated"].to_numpy()
        columns = {name: rows[name].combine_chunks() for name in rows.column_names}
        tables.check_tokens(columns["token"], self._file("sample_data"))
        columns |= {
            "sample": self.place_of_sample[sample],
            "sample_token": self.samples["token"].combine_chunks().take(pa.array(sample)),
            "channel": self.channels.take(pa.array(calibrated)),
            "modality": self.modalities.take(pa.array(calibrated)),
            "T_global_ego": _lists(self.T_global_ego[order]),
            "T_ego_sensor": _lists(self._T_ego_sensor[calibrated]),
            "intrinsic": self._intrinsics.take(pa.array(calibrated)),
        }
        arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)

    def _file(self, name: str) -> Location:
        return tables.table_file(self._root, self._version, name)

    def _read(self, name: str) -> pa.Table:
        return tables.read(self._root, self._version, name)

    def _places(self, name: str, rows: pa.Table, column: str, other: str, known: pa.Table) -> np.ndarray:
        return tables.places(rows[column], known["token"], path=self._file(name), what=other)

    def _read_rows(self) -> pa.Table:
        """sample_data of cameras and LiDARs, with row numbers in place of tokens."""
        is_wanted = np.isin(np.array(self.modalities.to_pylist(), dtype=object), MODALITIES)
        parts: dict[str, list[pa.Array]] = {}
        for part in tables.stream(self._root, self._version, "sample_data"):
            calibrated = self._places("sample_data", part, f"{_CALIBRATED}_token", _CALIBRATED, self.calibrated)
            sample = self._places("sample_data", part, "sample_token", "sample", self.samples)
            small = part.drop_columns(["calibrated_sensor_token", "sample_token"])
            small = small.append_column("calibrated", pa.array(calibrated.astype(np.int32)))
            small = small.append_column("sample", pa.array(sample.astype(np.int32)))
            small = small.filter(pa.array(is_wanted[calibrated]))
            for name in small.column_names:
                parts.setdefault(name, []).append(small[name].combine_chunks())
        if not parts:
            raise InputError(f"{self._file('sample_data')}: a table without rows: download the metadata again")
        # One column after the other, so that no two are there twice.
        rows = pa.table({name: pa.concat_arrays(parts.pop(name)) for name in list(parts)})
        pa.default_memory_pool().release_unused()
        return rows

    def _read_poses(self, wanted: pa.ChunkedArray) -> np.ndarray:
        """Translation and quaternion [R, 7] of each reading's row of ego_pose."""
        path, found = self._file("ego_pose"), np.zeros(len(wanted), dtype=bool)
        poses = np.empty((len(wanted), 7))
        for part in _several(tables.stream(self._root, self._version, "ego_pose")):
            tables.check_tokens(part["token"], path)
            places = compute.index_in(wanted, value_set=part["token"])
            here = compute.is_valid(places).to_numpy()
            if (found & here).any():
                token = wanted[int(np.flatnonzero(found & here)[0])]
                raise InputError(f"{path}: the token {token} names two rows: download the metadata again")
            poses[here] = tables.placements(part, path=path)[places.drop_null().to_numpy()]
            found |= here
        if not found.all():
            token = wanted[int(np.flatnonzero(~found)[0])]
            raise InputError(
                f"{self._file('sample_data')}: ego_pose {token} is in no row of ego_pose.json: "
                "take all tables from one release"
            )
        return poses

    def _place_sensors(self) -> None:
        path = self._file("calibrated_sensor")
        self._T_ego_sensor = tables.placements(self.calibrated, path=path)
        rows = self.calibrated["camera_intrinsic"].combine_chunks()
        flat = pa.array([[value for row in matrix for value in row] for matrix in rows.to_pylist()], _NUMBERS)
        lengths = compute.list_value_length(flat).to_numpy()
        is_camera = np.array([modality == "camera" for modality in self.modalities.to_pylist()], dtype=bool)
        if (lengths[is_camera] != 9).any():
            token = self.calibrated["token"][int(np.flatnonzero(is_camera & (lengths != 9))[0])]
            raise InputError(f"{path}: {token} is a camera, without a camera_intrinsic of 3 x 3 numbers")
        self._intrinsics = flat

    def _sort(self) -> None:
        scene = self.scene_of_sample[self.rows["sample"].to_numpy()]
        channel = compute.rank(self.channels, tiebreaker="dense").to_numpy()[self.rows["calibrated"].to_numpy()]
        self._order = np.lexsort((self.rows["timestamp"].to_numpy(), channel, scene))
        self._starts = np.searchsorted(scene[self._order], np.arange(len(self.scenes) + 1))


def _make(root: Location, version: str) -> tuple[list[str], Callable[[int], pa.RecordBatch]]:
    readings = _Readings(root, version)
    names, path = readings.scenes["name"].to_pylist(), tables.table_file(root, version, "scene")
    for name in names:
        plain_name(name, what=f"{path}: the scene")
    if twins := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{path}: two scenes are called {twins[0]!r}: download the metadata again")
    return names, readings.batch


READINGS = Recipe(
    name="readings",
    tables=("scene", "sample", "sensor", "calibrated_sensor", "sample_data", "ego_pose"),
    schema=SCHEMA,
    make=_make,
)


def ranks(groups: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Place [N] int32 of each row among those of its group, by time."""
    order = np.lexsort((times, groups))
    starts = np.searchsorted(groups[order], groups[order], side="left")
    ranks = np.empty(len(groups), dtype=np.int32)
    ranks[order] = np.arange(len(groups)) - starts
    return ranks


def _several(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Parts of a table, some of them put together, so that a join is worth its cost."""
    while several := [part for _, part in zip(range(_MANY), parts, strict=False)]:
        yield pa.concat_tables(several).combine_chunks()


def _lists(values: np.ndarray) -> pa.Array:
    """Rows [R, C] as lists."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))
