import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import slow_index
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import (
    INDEX_SCHEMA,
    all_frames,
    cached_index,
    describe_instances,
    index_frames,
    is_any_of,
    load_index,
    readable_frames,
    write_index,
)
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.datasets.kitti360.drives import fingerprint
from vsrd_ray.errors import InputError

SEQUENCE = "2013_05_28_drive_0042_sync"
ROAD, POLE, SKY = 7000, 17000, 23000
SIDES = ("left", "top", "right", "bottom")


def rows_of(instance_map: np.ndarray) -> list[dict]:
    columns = describe_instances(instance_map.astype(np.uint16), CLASSES)
    return [{name: column.tolist()[n] for name, column in columns.items()} for n in range(len(columns["instance_id"]))]


def street() -> np.ndarray:
    """30 x 40: sky above, road below row 20."""
    instance_map = np.full((30, 40), SKY)
    instance_map[20:] = ROAD
    return instance_map


def test_a_lone_car_by_hand() -> None:
    instance_map = street()
    instance_map[12:22, 10:25] = 26001
    instance_map[12, 10] = SKY
    (row,) = rows_of(instance_map)
    assert row["instance_id"] == 26001
    assert row["class_name"] == "car"
    assert row["area"] == 149
    assert [row[f"box_{side}"] for side in SIDES] == [10, 12, 24, 21]
    assert not row["touches_border"]
    assert not row["touches_instance"]


@pytest.mark.parametrize(
    ("rows", "columns", "touches"),
    [
        (slice(12, 22), slice(0, 9), True),
        (slice(0, 9), slice(10, 25), True),
        (slice(12, 22), slice(31, 40), True),
        (slice(21, 30), slice(10, 25), True),
        (slice(1, 29), slice(1, 39), False),
    ],
)
def test_border(rows: slice, columns: slice, touches: bool) -> None:
    instance_map = street()
    instance_map[rows, columns] = 26001
    (row,) = rows_of(instance_map)
    assert row["touches_border"] == touches


@pytest.mark.parametrize(("left", "top", "touches"), [(20, 15, True), (21, 15, False), (12, 22, True), (20, 22, False)])
def test_neighbours_share_an_edge_and_not_a_corner(left: int, top: int, touches: bool) -> None:
    instance_map = street()
    instance_map[12:22, 10:20] = 26001
    instance_map[top : top + 5, left : left + 5] = 26002
    assert [row["touches_instance"] for row in rows_of(instance_map)] == [touches, touches]


def test_stuff_beside_an_instance_does_not_touch_it() -> None:
    instance_map = street()
    instance_map[12:22, 10:25] = 26001
    instance_map[2:26, 25:27] = POLE
    (row,) = rows_of(instance_map)
    assert not row["touches_instance"]


def test_stuff_is_no_instance() -> None:
    assert rows_of(street()) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_the_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    instance_map = np.full((18, 24), SKY)
    instance_map[rng.integers(4, 14) :] = ROAD
    ids = [26001, 26002, 24003, 11004, 17000, 21000, 13000, 11000, 26000, 0, 1000, 64999]
    for _ in range(rng.integers(1, 9)):
        left, top = rng.integers(0, 22), rng.integers(0, 16)
        width, height = rng.integers(1, 10, size=2)
        instance_map[top : top + height, left : left + width] = rng.choice(ids)
    noisy = rng.random(instance_map.shape) < 0.03
    instance_map[noisy] = rng.choice(ids, size=noisy.sum())
    assert rows_of(instance_map) == slow_index.describe(instance_map)


@pytest.fixture
def sequence(write_sequence) -> Drive:
    car = street()
    car[12:22, 10:25] = 26002
    car[12:22, 30:38] = 26001
    instance_maps = {1: car, 2: street(), 3: car, 5: car}
    return open_drive(write_sequence(instance_maps, poses=dict.fromkeys((1, 2, 3, 4), np.eye(4))), SEQUENCE)


def test_every_frame_is_accounted_for(sequence: Drive) -> None:
    path = paths.mask_file(sequence.root, SEQUENCE, "image_00", 3)
    path.write_bytes(path.read_bytes()[:-20])
    table = index_frames(sequence, all_frames(sequence))
    assert table.schema.equals(INDEX_SCHEMA, check_metadata=True)
    assert table["frame"].to_pylist() == [1, 1, 2, 3, 4, 5]
    assert table["instance_id"].to_pylist() == [26001, 26002, None, None, None, None]
    skipped = table["skipped"].to_pylist()
    assert skipped[:3] == [None, None, None]
    assert skipped[3].startswith(f"unreadable: {path}: trunc")
    assert skipped[4:] == ["no mask", "no pose"]
    assert readable_frames(table) == [1, 2]


def test_chunks_give_the_same_rows_as_one_pass(sequence: Drive) -> None:
    whole = index_frames(sequence, [1, 2, 3])
    assert pa.concat_tables([index_frames(sequence, [1]), index_frames(sequence, [2, 3])]).equals(whole)
    assert index_frames(sequence, []).schema.equals(INDEX_SCHEMA)


def test_a_mask_of_8_bits_ends_the_pass(sequence: Drive) -> None:
    path = paths.mask_file(sequence.root, SEQUENCE, "image_00", 2)
    path.write_bytes(_png_of_8_bits())
    with pytest.raises(InputError, match="got 8 bits"):
        index_frames(sequence, all_frames(sequence))


def _png_of_8_bits() -> bytes:
    import cv2

    return cv2.imencode(".png", np.zeros((30, 40), np.uint8))[1].tobytes()


def test_an_index_is_kept_until_its_inputs_change(sequence: Drive, tmp_path: Path) -> None:
    path = tmp_path / "out" / "index.parquet"
    digest = fingerprint(sequence.root, sequence.name, "image_00")
    assert load_index(path, digest) is None
    table = index_frames(sequence, all_frames(sequence))
    write_index(table, path, digest)
    loaded = load_index(path, digest)
    assert loaded is not None
    assert loaded.equals(table, check_metadata=True)

    os.utime(paths.mask_file(sequence.root, SEQUENCE, "image_00", 2), ns=(0, 1))
    assert fingerprint(sequence.root, sequence.name, "image_00") != digest
    assert load_index(path, fingerprint(sequence.root, sequence.name, "image_00")) is None


@pytest.mark.parametrize("which", ["poses", "calibration", "mask", "image"])
def test_the_fingerprint_sees_every_input(sequence: Drive, which: str) -> None:
    before = fingerprint(sequence.root, sequence.name, "image_00")
    path = {
        "poses": paths.poses_file(sequence.root, SEQUENCE),
        "calibration": paths.calibration_file(sequence.root),
        "mask": paths.mask_file(sequence.root, SEQUENCE, "image_00", 9),
        "image": paths.image_file(sequence.root, SEQUENCE, "image_00", 9),
    }[which]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write("\n")
    assert fingerprint(sequence.root, sequence.name, "image_00") != before


def test_a_damaged_index_is_made_again(sequence: Drive, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "index.parquet"
    path.write_bytes(b"PAR1 no more")
    table = cached_index(sequence, path, "f")
    assert "cannot be read and is made again" in caplog.text
    assert table.num_rows == 7
    mtime = path.stat().st_mtime_ns
    assert cached_index(sequence, path, "f").equals(table)
    assert path.stat().st_mtime_ns == mtime


def test_is_any_of() -> None:
    column = pa.chunked_array([["car", None], ["bus", "car"]])
    assert is_any_of(column, ["car", "truck"]).to_pylist() == [True, False, False, True]
    assert is_any_of(column, []).to_pylist() == [False] * 4


def test_real_masks(shared: Path) -> None:
    sequence = open_drive(shared / "data" / "kitti360_real", "2013_05_28_drive_0008_sync")
    table = index_frames(sequence, (3000, 3049))
    assert table["instance_id"].to_pylist() == [26001, 26002, 26003, 26002]
    assert set(table["class_name"].to_pylist()) == {"car"}
