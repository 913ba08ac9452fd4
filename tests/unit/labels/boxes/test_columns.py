import numpy as np
import pyarrow as pa
import pytest
from builders import make_label, make_labels

from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import (
    BOX_2D,
    BOX_CAM,
    BOX_WORLD,
    box_columns,
    box_of,
    boxes_of,
    centers_cam,
    numbers,
    track_ids,
)
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA


def test_the_schema_has_every_column_of_a_box():
    assert LABEL_SCHEMA.names[6:22] == [
        *("x_world", "y_world", "z_world", "length", "width", "height", "yaw_world"),
        *("x_cam", "y_cam", "z_cam", "rotation_y", "alpha"),
        *("bbox_left", "bbox_top", "bbox_right", "bbox_bottom"),
    ]
    assert (*BOX_WORLD, *BOX_CAM, *BOX_2D) == tuple(LABEL_SCHEMA.names[6:22])
    assert {LABEL_SCHEMA.field(name).type for name in LABEL_SCHEMA.names[6:22]} == {pa.float64()}


@pytest.mark.parametrize("count", [0, 1, 5])
def test_boxes_come_back_from_their_columns_to_the_last_digit(count):
    rng = np.random.default_rng(count)
    boxes = UprightBoxes(rng.normal(0, 5000, (count, 3)), rng.uniform(1, 9, (count, 3)), rng.uniform(-3, 3, count))
    table = pa.table(box_columns(boxes))
    again = [boxes_of(table), boxes_of(pa.concat_tables([table[:2], table[2:]]))]
    again.append(UprightBoxes.stack([box_of(row) for row in table.to_pylist()]))
    for back in again:
        for name in ("centers", "dimensions_lwh", "yaws"):
            np.testing.assert_array_equal(getattr(back, name), getattr(boxes, name))


def test_one_row_by_hand():
    row = dict(zip(BOX_WORLD, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.7), strict=True))
    box = box_of(row)
    assert box.shape == ()
    assert (box.centers.tolist(), box.dimensions_lwh.tolist(), box.yaws.tolist()) == ([1, 2, 3], [4, 5, 6], 0.7)


def test_the_centre_is_half_a_height_above_the_bottom():
    table = pa.table({"x_cam": [1.0], "y_cam": [1.5], "z_cam": [9.0], "length": [4.0], "width": [2.0], "height": [1.5]})
    assert centers_cam(table).tolist() == [[1.0, 0.75, 9.0]]


def test_numbers_are_float64_and_nan_for_null():
    table = pa.table({"a": pa.array([1, None], pa.int32()), "b": pa.array([0.5, 1.5])})
    np.testing.assert_array_equal(numbers(table, ("a", "b")), [[1, 0.5], [np.nan, 1.5]])
    assert numbers(table, ()).shape == (2, 0)


def test_tracks_of_rows_of_earlier_versions_are_their_instances():
    table = make_labels(
        make_label(0, 26001, track_id=26001), make_label(0, 26007, track_id=26001), make_label(0, 26009, track_id=None)
    )
    assert track_ids(table).tolist() == [26001, 26001, 26009]
