"""Tables as streams, against json; and one clear line for those that are broken."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.datasets.nuscenes import tables
from vsrd_ray.errors import InputError

ROWS = [
    {
        "token": f"{n:02d}",
        "timestamp": n,
        "rotation": [1.0, 0, 0, n / 7],
        "translation": [n, 0.1, 1e-9],
        "more": "},\\n{",
    }
    for n in range(9)
]
STYLES = {
    "as nuScenes writes it": {"indent": 0},
    "spread out": {"indent": 4},
    "in one line": {},
    "without spaces": {"separators": (",", ":")},
}


def write(root: Path, text: str, name: str = "ego_pose") -> Path:
    path = root / "v1.0-mini" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 24])
@pytest.mark.parametrize("style", STYLES)
def test_a_table_is_read_as_json_reads_it(style: str, block: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tables, "_BLOCK", block)
    write(tmp_path, json.dumps(ROWS, **STYLES[style]).replace("\n", "\r\n") + "\n")
    table = tables.read(tmp_path, "v1.0-mini", "ego_pose")
    expected = [{name: row[name] for name in ("token", "translation", "rotation")} for row in ROWS]
    assert table.to_pylist() == expected


def test_a_table_without_rows_is_empty(tmp_path: Path) -> None:
    write(tmp_path, "[\n]\n")
    assert tables.read(tmp_path, "v1.0-mini", "ego_pose").num_rows == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no table of nuScenes \(it is empty\): download the metadata again$"),
        ('{"token": 1}', r"it begins with b'{\"token\": 1}' in place of a list"),
        (json.dumps(ROWS)[:-1], r"it ends in the middle"),
        (json.dumps(ROWS).replace('"token": "04"', '"token": 4'), r"no table of nuScenes \(ArrowInvalid: .*token"),
        (json.dumps(ROWS).replace('"translation": [3', '"translation": {3'), r"no table of nuScenes \(ArrowInvalid"),
        (json.dumps(ROWS).replace('"token": "04"', '"tokens": "04"'), r"rows without 'token'"),
        (json.dumps([*ROWS, ROWS[4]]), r"the token 04 names two rows: download the metadata again$"),
    ],
)
def test_a_broken_table_is_told_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=message) as raised:
        tables.read(tmp_path, "v1.0-mini", "ego_pose")
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no table .*v1.0-mini/scene.json: unpack the metadata of this version$"):
        tables.read(tmp_path, "v1.0-mini", "scene")


def test_lists_of_other_lengths_are_refused(tmp_path: Path) -> None:
    column = pa.chunked_array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    np.testing.assert_array_equal(tables.numbers(column, 3, path=tmp_path), [[1, 2, 3], [4, 5, 6]])
    for wrong in ([[1.0, 2.0, 3.0], [4.0, 5.0]], [[1.0, 2.0, None]], [[1.0, 2.0, 3.0], None]):
        with pytest.raises(InputError, match="expected lists of 3 numbers"):
            tables.numbers(pa.chunked_array([wrong]), 3, path=tmp_path)


def test_miniatures_come_last(tmp_path: Path) -> None:
    for name in ("v1.0-mini", "v1.0-trainval", "samples", "v1.0-test"):
        (tmp_path / name).mkdir()
    assert tables.versions(tmp_path) == ["v1.0-test", "v1.0-trainval", "v1.0-mini"]
