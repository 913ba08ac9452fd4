"""Rows of voxels: what goes in comes out, and what is damaged is named."""

import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.errors import InputError
from vsrd_ray.labels.voxels.grid import GRIDS, OCC3D_GRID, Grid
from vsrd_ray.labels.voxels.schema import GRID_COLUMNS, SCHEMA, Voxels, decoded, encoded

GRID = Grid.of((-2.0, -1.0, 0.0, 2.0, 1.0, 1.5), 0.5)
POSE = np.array([[0.0, -1, 0, 3], [1, 0, 0, 4], [0, 0, 1, 5], [0, 0, 0, 1]])
COMMON = {"frame": 7, "source": "auto", "group_id": "d-7", "labeler": "x", "config_hash": "0", "seed": 0}


def _labelled() -> Voxels:
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 3, GRID.shape).astype(dtype) for name, dtype in GRID_COLUMNS.items()}
    return Voxels(grid=GRID, T_world_grid=POSE, classes="occ3d", **arrays)


def test_a_grid_survives_its_row() -> None:
    voxels = _labelled()
    table = pa.Table.from_pylist([COMMON | encoded(voxels)], schema=SCHEMA)
    found = decoded(table.to_pylist()[0])
    assert found.grid == GRID and found.classes == "occ3d"
    np.testing.assert_array_equal(found.T_world_grid, POSE)
    for name, dtype in GRID_COLUMNS.items():
        np.testing.assert_array_equal(getattr(found, name), getattr(voxels, name))
        assert getattr(found, name).dtype == dtype


def test_a_grid_of_density_alone() -> None:
    density = np.linspace(0, 9, 96, dtype=np.float16).reshape(GRID.shape)
    state = (density > 0.5).astype(np.uint8)
    row = encoded(Voxels(grid=GRID, T_world_grid=POSE, density=density, state=state))
    found = decoded(COMMON | row)
    assert found.semantics is None and found.classes is None
    np.testing.assert_array_equal(found.density, density)


def test_arrays_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="observed: expected voxels of shape"):
        encoded(Voxels(grid=GRID, T_world_grid=POSE, observed=np.zeros((2, 2, 2), np.uint8)))
    with pytest.raises(ValueError, match="class table"):
        encoded(Voxels(grid=GRID, T_world_grid=POSE, semantics=np.zeros(GRID.shape, np.uint8)))


@pytest.mark.parametrize(
    ("column", "value"), [("observed", b"nothing"), ("observed", pa.compress(b"12", codec="zstd", asbytes=True))]
)
def test_damaged_columns_are_named(column: str, value: bytes) -> None:
    row = COMMON | encoded(_labelled()) | {column: value}
    with pytest.raises(InputError, match=r"frame 7 \(d-7\): observed"):
        decoded(row)


def test_named_grids() -> None:
    assert OCC3D_GRID.shape == (200, 200, 16)
    assert GRIDS["sscbench"].shape == (256, 256, 32)


@pytest.mark.parametrize(
    ("range", "size", "said"),
    [
        ((0, 0, 0, 1, 1, 0), 0.5, "no voxel lies in it"),
        ((0, 0, 0, 1, 1, 1.1), 0.5, "no whole numbers"),
        ((0, 0, 0, 1e4, 1e4, 1e2), 0.1, "at most"),
    ],
)
def test_grids_that_are_none(range: tuple[float, ...], size: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Grid.of(range, size)
