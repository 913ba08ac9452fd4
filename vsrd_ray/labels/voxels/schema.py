"""Rows of the kind `voxels` and what is packed into them: a row for each grid.

Shapes: X x Y x Z voxels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.errors import InputError
from vsrd_ray.labels.voxels.classes import TABLES
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.runs.columns import FRAME_AND_TIME, PROVENANCE, column
from vsrd_ray.runs.tables import LabelTable

FREE, OCCUPIED, UNSEEN = 0, 1, 2  # values of `state`
# Grids of a row by column, little-endian, the last axis fastest; each is compressed (zstd) and null where not known.
GRID_COLUMNS = {
    "semantics": np.dtype("u1"),  # number in the class table that `classes` names; 255 unknown
    "observed": np.dtype("u1"),  # 1 where a ray ended or passed
    "mask_camera": np.dtype("u1"),  # 1 where rays of cameras did
    "mask_lidar": np.dtype("u1"),  # 1 where rays of the LiDAR did
    "confidence": np.dtype("u1"),  # 255ths
    "density": np.dtype("<f2"),  # 1/m
    "state": np.dtype("u1"),  # `FREE`, `OCCUPIED` or `UNSEEN`
}
_OF_GRID = {
    "semantics": "number in the class table that `classes` names; 255 unknown",
    "observed": "1 where a ray ended or passed",
    "mask_camera": "1 where rays of cameras did",
    "mask_lidar": "1 where rays of the LiDAR did",
    "confidence": "255ths",
    "density": "16-bit floats",
    "state": f"{FREE} free, {OCCUPIED} occupied, {UNSEEN} unseen",
}
_PACKED = "of each voxel, the last axis fastest, little-endian, zstd; null where not known"
SCHEMA = pa.schema(
    [
        *FRAME_AND_TIME,
        column("T_world_grid", pa.list_(pa.float64(), 16), "pose of the grid, row by row", unit="m", frame="world"),
        column(
            "range", pa.list_(pa.float64(), 6), "lowest x, y, z and highest x, y, z of the grid", unit="m", frame="grid"
        ),
        column("voxel_size", pa.float64(), "edge of a voxel", unit="m"),
        column("shape", pa.list_(pa.int32(), 3), "voxels along x, y, z"),
        column("classes", pa.string(), "class table of `semantics`: occ3d or sscbench; null without semantics"),
        *(
            column(name, pa.large_binary(), f"{_OF_GRID[name]}; {_PACKED}", unit="1/m" if name == "density" else "")
            for name in GRID_COLUMNS
        ),
        column("source", pa.string(), "auto, or human for corrected grids"),
        *PROVENANCE,
    ]
)
TABLE = LabelTable("voxels", folder="voxels", schema=SCHEMA, sort_by=("group_id",), groups_a_file=32)

_CODEC = "zstd"
_FIX = "remove the file, and label again"


@dataclass(frozen=True)
class Voxels:
    """What is known of the voxels of a grid; each array is [X, Y, Z], or None where nothing tells."""

    grid: Grid
    T_world_grid: np.ndarray  # [4, 4] float64, metres
    classes: str | None = None  # class table of `semantics`
    semantics: np.ndarray | None = None  # uint8, 255 unknown
    observed: np.ndarray | None = None  # uint8
    mask_camera: np.ndarray | None = None  # uint8
    mask_lidar: np.ndarray | None = None  # uint8
    confidence: np.ndarray | None = None  # uint8, 255ths
    density: np.ndarray | None = None  # float16, 1/m
    state: np.ndarray | None = None  # uint8: `FREE`, `OCCUPIED` or `UNSEEN`


def encoded(voxels: Voxels) -> dict[str, Any]:
    """The columns of `SCHEMA` that hold a grid: all but `frame`, `source`, `group_id` and provenance.

    Raises:
        ValueError: an array of another shape than the grid's, or semantics without a class table.
    """
    if (voxels.semantics is None) != (voxels.classes is None) or voxels.classes not in (None, *TABLES):
        raise ValueError(f"semantics need a class table of {', '.join(TABLES)}, got {voxels.classes!r}")
    columns: dict[str, Any] = {
        "T_world_grid": np.asarray(voxels.T_world_grid, dtype=np.float64).ravel().tolist(),
        "range": list(voxels.grid.range),
        "voxel_size": voxels.grid.voxel_size,
        "shape": list(voxels.grid.shape),
        "classes": voxels.classes,
    }
    for name, dtype in GRID_COLUMNS.items():
        values: np.ndarray | None = getattr(voxels, name)
        if values is not None and values.shape != voxels.grid.shape:
            raise ValueError(f"{name}: expected voxels of shape {voxels.grid.shape}, got {values.shape}")
        columns[name] = None if values is None else _packed(values.astype(dtype))
    return columns


def decoded(row: Mapping[str, Any]) -> Voxels:
    """The grid of a row as a dictionary.

    Raises:
        InputError: columns that are damaged, or of other sizes than the row says.
    """
    place = f"voxels of frame {row['frame']} ({row['group_id']})"
    grid = Grid.of(row["range"], row["voxel_size"])
    if tuple(row["shape"]) != grid.shape:
        raise InputError(f"{place}: shape {row['shape']} is not that of the range, {list(grid.shape)}: {_FIX}")
    arrays = {
        name: None if row[name] is None else _unpacked(row[name], dtype, grid.shape, f"{place}: {name}")
        for name, dtype in GRID_COLUMNS.items()
    }
    pose = np.array(row["T_world_grid"], dtype=np.float64).reshape(4, 4)
    return Voxels(grid=grid, T_world_grid=pose, classes=row["classes"], **arrays)


def _packed(values: np.ndarray) -> bytes:
    return pa.compress(np.ascontiguousarray(values).tobytes(), codec=_CODEC, asbytes=True)


def _unpacked(data: bytes, dtype: np.dtype[Any], shape: tuple[int, int, int], place: str) -> np.ndarray:
    size = int(np.prod(shape)) * dtype.itemsize
    try:
        raw = pa.decompress(data, decompressed_size=size, codec=_CODEC, asbytes=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{place}: cannot be decompressed ({error}): {_FIX}") from error
    if len(raw) != size:
        raise InputError(f"{place}: {len(raw)} bytes, expected {size}: {_FIX}")
    return np.frombuffer(raw, dtype=dtype).reshape(shape)
