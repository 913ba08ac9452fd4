"""What columns of labels say of themselves, in memory and in files."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vsrd_ray.labels.base import installed_kinds
from vsrd_ray.runs.columns import DESCRIPTION, FRAME, UNIT, about, column
from vsrd_ray.storage.atomic import write_parquet

KINDS = {kind.name: kind.table.schema for kind in installed_kinds()}


@pytest.mark.parametrize("name", KINDS)
def test_every_column_says_what_it_holds(name):
    assert [field.name for field in KINDS[name] if not about(field, DESCRIPTION)] == []


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_times(name):
    assert KINDS[name].field("time_s").type == pa.float64()
    assert about(KINDS[name].field("time_s"), UNIT) == "s"


def test_units_and_frames_are_read_back_from_parquet(tmp_path):
    write_parquet(KINDS["boxes"].empty_table(), tmp_path / "labels.parquet")
    schema = pq.read_schema(tmp_path / "labels.parquet")
    told = {name: (about(schema.field(name), UNIT), about(schema.field(name), FRAME)) for name in schema.names}
    assert told["yaw_world"] == ("rad", "world")
    assert told["z_cam"] == ("m", "rectified camera")
    assert told["bbox_left"] == ("px", "image")
    assert told["class_name"] == ("", "")


def test_lengths_and_angles_are_in_metres_and_radians():
    """By their names: what stands in the world or a camera has a unit, and says in which frame it is."""
    for schema in KINDS.values():
        for field in schema:
            if field.name.endswith(("_world", "_cam")) and pa.types.is_floating(field.type):
                assert about(field, UNIT) in ("m", "rad", "m/s"), field.name
                assert about(field, FRAME), field.name


def test_a_column_says_only_what_it_has():
    assert column("frame", pa.int32(), "number").metadata == {DESCRIPTION: b"number"}
