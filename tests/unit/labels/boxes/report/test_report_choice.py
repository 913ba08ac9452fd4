from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.labels.boxes.report.choice import (
    _described_box,
    choose_frames,
    choose_views,
    doubt,
    largest_rows,
    ranked_instances,
)
from vsrd_ray.labels.boxes.report.contents import sequence_contents


def test_doubt_goes_by_truth_then_confidence_then_missing_labels(tables):
    # 26001 has truth: exact in frames 1 and 2, IoU .6 in frame 4, and no label in frame 3. 26002 has a confidence of .7
    # and no label in frame 1, where it shows 100 px, and in frame 4, where it shows 200. 26003 shows 300 px.
    np.testing.assert_allclose(doubt(tables), [0, 0, 0, 0.3, 2, 0.3, 0.4, 2, 2], atol=1e-6)


def test_instances_without_labels_come_first(tables):
    assert ranked_instances(tables) == [2, 0, 1]


def test_views_begin_with_the_target_frame(tables):
    def views(instance):
        return [(tables.frames[tables.rows.frames[view.row]], view.kind) for view in choose_views(tables, instance)]

    assert views(0)[0] == (2, "target") and {frame for frame, _ in views(0)} == {1, 2, 4}
    assert views(1) == [(2, "target"), (3, "large")]
    assert views(2) == [(4, "large")]  # without a label


def test_the_target_frame_is_that_of_the_box_that_is_described(write_run, label_row, truth_object, tables_of):
    """An instance has a box from each of its groups, and the page describes the most confident one."""
    rows = [
        label_row(frame, 26001, (10.0 + k, 0.5, 0.0), confidence=confidence) | {"target_frame": frame}
        for k, (frame, confidence) in enumerate([(1, 0.4), (2, 0.9), (4, 0.9)])
    ]
    tables = tables_of(*write_run(rows, [truth_object(1, 1, (10.0, 0.5, 0.0))]))
    targets = [view for view in choose_views(tables, 0) if view.kind == "target"]
    assert [tables.frames[tables.rows.frames[view.row]] for view in targets] == [2]


def test_of_what_moves_the_box_in_the_target_frame_is_described(write_run, label_row, truth_object, tables_of):
    moving = {"is_moving": True, "velocity_x_world": 3.0, "velocity_y_world": 0.0, "target_frame": 2}
    rows = [label_row(frame, 26001, (9.0 + 3 * frame, 0.5, 0.0), confidence=0.9) | moving for frame in (1, 2, 4)]
    tables = tables_of(*write_run(rows, [truth_object(1, 1, (10.0, 0.5, 0.0))]))
    assert len(tables.boxes) == 3
    described = _described_box(tables, tables.rows_of_instances[0][tables.rows.boxes[tables.rows_of_instances[0]] >= 0])
    assert tables.boxes["x_world"][described].as_py() == 15
    contents = sequence_contents(tables)
    assert (
        contents["has_times"] is contents["is_geographic"] is False
        and contents["boxes"]["velocity_x_world"] == [3.0] * 3
    )


def test_a_humans_box_is_described_only_where_there_is_no_other(tables):
    def target(*sources):
        place = tables.boxes.schema.get_field_index("labeler")
        boxes = tables.boxes.set_column(place, tables.boxes.schema.field(place), pa.array(sources))
        view = choose_views(replace(tables, boxes=boxes), 0)[0]
        return tables.frames[tables.rows.frames[view.row]]

    assert target("x", "x", "x") == target("import-kitti", "import-cvat", "x") == 2
    assert target("import-kitti", "x", "x") == 4


def test_the_largest_mask_that_touches_no_border_is_an_instances_best(tables):
    rows = tables.rows
    areas, touches = rows.mask_areas.copy(), rows.touches_border.copy()
    areas[[2, 6]], touches[6] = [500, 900], True
    changed = type(rows)(**{**vars(rows), "mask_areas": areas, "touches_border": touches})
    assert largest_rows(changed)[0] == 2


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9])
def test_as_many_frames_as_asked_for(tables, count):
    frames = choose_frames(tables, count)
    assert len(frames) == min(count, 4) and frames == sorted(set(frames))


def test_the_best_view_of_the_most_doubtful_comes_first(tables):
    assert choose_frames(tables, 1) == [3]  # place of frame 4, which alone shows 26003


def test_worst_frames_are_among_the_first(tables):
    # the best views of 26003 and 26001 are in frames 4 and 2; the worst frames are 3 and 4, where masks have no label
    assert choose_frames(tables, 2) == [2, 3]
