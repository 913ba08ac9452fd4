"""Rows that a labeler gives are those of the kind of label that its spec names."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from builders import make_label, make_labels, write_manifest

from vsrd_ray.errors import InputError
from vsrd_ray.labels.base import check_rows, exporter_of, kind_named, kinds_of
from vsrd_ray.labels.boxes.spec import SPEC as BOXES
from vsrd_ray.runs.folder import RunFolder

TABLE = BOXES.table


@pytest.mark.parametrize("frames", [[], [3], [5, 3, 5]])
def test_rows_of_the_kind_in_the_groups_frames_are_taken(frames: list[int]) -> None:
    check_rows(make_labels(*map(make_label, frames)), TABLE, frames=(3, 4, 5))


def test_a_kind_that_is_missing_is_named() -> None:
    with pytest.raises(TypeError, match=r"^the labeler gave no table of boxes, which its spec says that it writes$"):
        check_rows(None, TABLE, frames=(3,))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows.drop_columns(["seed"]),
        lambda rows: rows.append_column("more", pa.array([1])),
        lambda rows: rows.select(rows.column_names[::-1]),
        lambda rows: rows.set_column(1, "frame", rows["frame"].cast(pa.int64())),
    ],
    ids=["a column less", "a column more", "another order", "another type"],
)
def test_rows_of_another_schema_are_refused(spoil) -> None:
    rows = spoil(make_labels(make_label(3)))
    with pytest.raises(TypeError, match=r"^the labeler's table of boxes has the schema (camera|source): "):
        check_rows(rows, TABLE, frames=(3,))


def test_rows_of_frames_of_other_groups_are_refused() -> None:
    rows = make_labels(*map(make_label, (3, 9, 4, 7)))
    with pytest.raises(ValueError, match=r"^the labeler gave boxes of frame 7, which the group does not label$"):
        check_rows(rows, TABLE, frames=(3, 4))


def test_a_table_needs_the_columns_that_storing_goes_by() -> None:
    for name in ("frame", "group_id"):
        schema = TABLE.schema.remove(TABLE.schema.get_field_index(name))
        with pytest.raises(ValueError, match=f"the schema of boxes needs a column {name} of type"):
            replace(TABLE, schema=schema)


def test_kinds_are_those_of_the_runs_manifest(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    run = RunFolder(tmp_path, Path("root"))
    assert kinds_of(run) == [kind_named("boxes")] == [BOXES]
    assert exporter_of(run, "coco") == (BOXES, BOXES.formats["coco"])
    message = f"^{tmp_path} holds boxes, for which there is no format 'voc': there are kitti, kitti-tracking, .*, cvat$"
    with pytest.raises(InputError, match=message):
        exporter_of(run, "voc")


def test_a_kind_that_is_not_installed_is_named(tmp_path: Path) -> None:
    write_manifest(tmp_path, kinds=["lanes"])
    with pytest.raises(InputError, match="no kind of label 'lanes' is installed"):
        kinds_of(RunFolder(tmp_path, Path("root")))
