"""Labels that a human corrected as KITTI text: into the run, and out again."""

import math

import numpy as np
import pandas as pd
import pytest
from correcting import files, frame_rows, take

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD
from vsrd_ray.labels.boxes.corrections import import_labels
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.reviewed import ImportSummary
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.selection import Selection

SEQUENCE = "2013_05_28_drive_0042_sync"
NEW_CAR = "Car 0 0 0 0 0 1 1 1.5000 1.8000 4.2000 {x:.4f} 1.5000 {z:.4f} 0.3000"


@pytest.fixture
def text(run, tmp_path):
    """The run as KITTI text to correct; a function to edit the lines of a frame's file."""
    export(run.output, run.root, tmp_path / "text", format="kitti")

    def edit(sample, change):
        path = tmp_path / "text" / "training" / "label_2" / f"{sample:06d}.txt"
        path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))
        return tmp_path / "text"

    return edit


def with_number(line, column, change):
    words = line.split()
    words[column] = f"{change(float(words[column])):.4f}"
    return " ".join(words)


def test_a_box_that_was_moved_is_the_humans(run, text):
    source = text(1, lambda lines: [with_number(lines[0], 13, lambda z: z + 0.5), *lines[1:]])
    summary = take(run, source)
    assert summary == ImportSummary(frames=1, unchanged=3, boxes=4, kept=3, moved=1, added=0, removed=0)
    labels = read_labels(run.output)
    assert labels.num_rows == 16 and read_labels(run.output, prefer="auto").drop_columns("sequence").equals(run.rows)
    rows = frame_rows(labels, 2)
    assert rows["instance_id"].to_pylist() == [26001, 26002, 26003, 27001]
    assert set(rows["source"].to_pylist()) == {"human"} and set(rows["confidence"].to_pylist()) == {1.0}
    assert set(rows["labeler"].to_pylist()) == {"import-kitti"}
    assert rows["is_moving"].to_pylist() == [False, False, True, False]
    old = frame_rows(run.rows, 2)
    assert rows["z_cam"][0].as_py() == pytest.approx(old["z_cam"][0].as_py() + 0.5, abs=1e-4)
    # boxes that nobody touched keep every digit, and what depends on their shape
    for name in ("x_world", "y_world", "z_world", "length", "yaw_world", "bbox_left", "occlusion", "shape"):
        assert rows[name].to_pylist()[1:] == old[name].to_pylist()[1:], name
    assert rows["shape"][0].as_py() is None
    assert frame_rows(labels, 3).drop_columns("sequence").equals(frame_rows(run.rows, 3))


def test_rows_are_complete_and_any_reader_takes_them(run, text):
    take(run, text(1, lambda lines: [with_number(lines[0], 8, lambda h: h + 0.2), *lines[1:]]))
    rows = frame_rows(read_labels(run.output), 2)
    assert rows.column_names == [*LABEL_SCHEMA.names, "sequence"]
    # of what a human does not measure there is nothing, and the drive has no times; the changed box has lost its shape
    nulls = {name: rows[name].null_count for name in LABEL_SCHEMA.names if rows[name].null_count}
    unknown = dict.fromkeys(("time_s", "bearing_spread_deg", "silhouette_loss", "num_views"), 4)
    assert nulls == unknown | {"shape": 1} | dict.fromkeys(VELOCITY_WORLD, 1)  # of the moving one
    assert rows["target_frame"].to_pylist() == [2] * 4 and all(0 <= iou <= 1 for iou in rows["mean_iou_2d"].to_pylist())
    table = pd.read_parquet(run.output / "labels")
    assert (table["source"] == "human").sum() == 4 and len(table) == 20


def velocities_in(run, frame):
    """Velocities in a frame by instance."""
    rows = frame_rows(read_labels(run.output), frame).to_pylist()
    return {row["instance_id"]: tuple(row[name] for name in VELOCITY_WORLD) for row in rows}


def test_a_moving_box_keeps_its_velocity_until_a_human_moves_it(moving_run, text):
    before = velocities_in(moving_run, 2)
    assert None not in before[26003]
    take(moving_run, text(1, lambda lines: [with_number(lines[0], 13, lambda z: z + 0.5), *lines[1:]]))
    assert velocities_in(moving_run, 2) == before and before[26001] == (0, 0)  # it was moved, and stands nevertheless
    source = text(1, lambda lines: [*lines[:2], with_number(lines[2], 13, lambda z: z + 0.5), *lines[3:]])
    take(moving_run, source)
    assert velocities_in(moving_run, 2) == before | {26003: (None, None)}
    assert velocities_in(moving_run, 3) == before


def test_the_velocity_of_a_box_that_a_human_drew_is_not_known(run, text):
    take(run, text(0, lambda lines: [*lines, NEW_CAR.format(x=6.0, z=20)]))
    assert velocities_in(run, 1)[26004] == (None, None)


def test_boxes_that_were_taken_away_are_gone(run, text):
    summary = take(run, text(0, lambda lines: lines[1:]))
    assert (summary.frames, summary.kept, summary.removed) == (1, 3, 1)
    assert frame_rows(read_labels(run.output), 1)["instance_id"].to_pylist() == [26002, 26003, 27001]
    take(run, text(1, lambda lines: []))
    assert frame_rows(read_labels(run.output), 2).num_rows == 0
    assert frame_rows(read_labels(run.output, prefer="auto"), 2).num_rows == 4


def test_a_box_that_was_added_has_a_new_id_and_keeps_it_in_later_frames(run, text):
    # it stands still: 2 m nearer in each frame
    for sample, frame in enumerate((1, 2, 3)):
        source = text(sample, lambda lines, frame=frame: [NEW_CAR.format(x=6.0, z=20 - 2 * frame), *lines])
    summary = take(run, source)
    assert (summary.frames, summary.added, summary.kept) == (3, 3, 12)
    labels = read_labels(run.output)
    assert [frame_rows(labels, frame)["instance_id"].to_pylist() for frame in (1, 2, 3)] == [
        [26001, 26002, 26003, 26004, 27001]
    ] * 3
    added = frame_rows(labels, 1).to_pylist()[3]
    assert added["occlusion"] == 3 and added["mean_iou_2d"] is None and added["class_name"] == "car"
    # the same again: nothing changes, and no further id is given
    assert take(run, source).unchanged == 4


def drawn(folder, *, share, types):
    """KITTI text of frame 4, which has no labels, since its group failed: a box over some share of 26001's mask."""
    # the mask spans u = 2 .. 13 and v = 20 .. 29; K is (50, 40, 10, 8)
    depth, height = 20.0, share * 20.0 * 10 / 40
    x, bottom = (8 - 10) / 50 * depth, (29.5 - 8) / 40 * depth
    line = f"0 0 0 0 0 1 1 {height:.4f} .2 {12 / 50 * depth:.4f} {x:.4f} {bottom:.4f} {depth:.4f} 0"
    path = folder / SEQUENCE / "image_00" / "label_2" / "0000000004.txt"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{name} {line}\n" for name in types))
    return folder


def test_a_box_over_a_part_of_a_mask_is_another_instance(run, tmp_path):
    take(run, drawn(tmp_path / "drawn", share=0.4, types=["Car"]))
    (row,) = frame_rows(read_labels(run.output), 4).to_pylist()
    assert row["instance_id"] == 26004 and row["mean_iou_2d"] is None


def test_a_box_over_a_mask_without_one_is_that_masks_instance(run, tmp_path):
    assert take(run, drawn(tmp_path / "drawn", share=1, types=["Car", "Truck"])).added == 2
    rows = frame_rows(read_labels(run.output), 4)
    assert rows["instance_id"].to_pylist() == [26001, 27002]  # there is no truck under the other
    assert rows["mean_iou_2d"][0].as_py() > 0.5 and rows["occlusion"][0].as_py() < 3


def test_a_box_that_was_moved_far_is_still_that_of_its_line(run, text):
    source = text(2, lambda lines: [lines[0], with_number(lines[1], 11, lambda x: x + 20), *lines[2:]])
    summary = take(run, source)
    assert (summary.moved, summary.added, summary.removed) == (1, 0, 0)


def test_lines_in_another_order_are_found_by_their_place(run, text):
    assert take(run, text(2, lambda lines: lines[::-1])).unchanged == 4
    # one is taken away and another added in the end: as many lines, but no line stands for the one it took the place of
    source = text(2, lambda lines: [*lines[:1], *lines[2:], NEW_CAR.format(x=-9, z=40)])
    summary = take(run, source)
    assert (summary.kept, summary.removed) == (3, 1)


def test_another_class_keeps_its_instance(run, text):
    summary = take(run, text(0, lambda lines: [lines[0].replace("Car", "Truck"), *lines[1:]]))
    assert (summary.moved, summary.kept) == (1, 3)
    first = frame_rows(read_labels(run.output), 1).to_pylist()[0]
    assert (first["instance_id"], first["class_name"]) == (26001, "truck")


def test_a_second_import_replaces_the_first(run, text):
    source = text(1, lambda lines: lines[1:])
    take(run, source)
    source = text(1, lambda lines: [with_number(lines[0], 11, lambda x: x + 0.3), *lines[1:]])
    take(run, source)
    rows = frame_rows(read_labels(run.output), 2)
    assert rows["instance_id"].to_pylist() == [26002, 26003, 27001]
    take(run, text(3, lambda lines: lines[:1]))
    labels = read_labels(run.output)
    assert [frame_rows(labels, frame).num_rows for frame in (1, 2, 3, 5)] == [4, 3, 4, 1]
    assert frame_rows(labels, 2).equals(rows)


def test_an_import_whose_rows_are_gone_is_not_continued(run, text):
    """Else the frames of the first import would pass for empty, since the second writes rows of its own alone."""
    take(run, text(1, lambda lines: lines[1:]))
    (rows,) = (run.output / "labels").glob("*/human-*.parquet")
    rows.unlink()
    source = text(2, lambda lines: lines[1:])
    with pytest.raises(InputError, match=rf"corrections/{SEQUENCE}\.parquet lists frames .*{rows.name} .* is gone"):
        take(run, source)
    assert not rows.exists()
    (run.output / "corrections" / f"{SEQUENCE}.parquet").unlink()
    assert read_labels(run.output).drop_columns("sequence").equals(run.rows)
    assert take(run, source).frames == 2


def test_frames_without_a_change_are_reviewed_only_if_the_human_says_so(run, text):
    source = text(0, lambda lines: lines)
    assert take(run, source).unchanged == 4
    assert not (run.output / "corrections").exists()
    summary = take(run, source, confirm_unchanged=True)
    assert (summary.frames, summary.kept) == (4, 16)
    labels = read_labels(run.output)
    assert set(labels["source"].to_pylist()) == {"human"}
    for name in ("x_world", "yaw_world", "rotation_y", "bbox_right", "occlusion", "truncation"):
        np.testing.assert_array_equal(labels[name], run.rows[name])


def test_the_runs_own_text_comes_back_too(run, tmp_path):
    from vsrd_ray.labels.boxes.convert import labels_to_kitti

    labels_to_kitti(run.output, tmp_path / "text")
    path = tmp_path / "text" / SEQUENCE / "image_00" / "label_2" / "0000000003.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    summary = take(run, tmp_path / "text")
    assert (summary.frames, summary.unchanged, summary.removed) == (1, 3, 2)


def test_corrected_labels_go_out_again(run, text, tmp_path):
    take(
        run,
        text(0, lambda lines: [with_number(lines[0], 14, lambda ry: ry + 0.2), *lines[1:], NEW_CAR.format(x=6, z=9)]),
    )
    export(run.output, run.root, tmp_path / "again", format="kitti")
    edited, again = (tmp_path / name / "training" / "label_2" / "000000.txt" for name in ("text", "again"))
    places = [[line.split()[8:15] for line in path.read_text().splitlines()] for path in (edited, again)]
    before, after = (np.array(sorted(some), dtype=float) for some in places)
    np.testing.assert_allclose(before, after, rtol=0, atol=1.01e-4)
    export(run.output, run.root, tmp_path / "auto", format="kitti", selection=Selection(prefer="auto"))
    assert len((tmp_path / "auto" / "training" / "label_2" / "000000.txt").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda lines: [lines[0], "Car 1 2"],
            r"000001\.txt, line 2: expected 15 or 16 columns .*got 3: restore the line",
        ),
        (
            lambda lines: ["Vann " + lines[0].partition(" ")[2]],
            r"000001\.txt, line 1: unknown type 'Vann': give one of",
        ),
        (lambda lines: [with_number(lines[0], 10, lambda length: -length)], r"line 1: length -4.*must be above 0"),
        (
            lambda lines: [with_number(lines[0], 13, lambda z: 1000.5)],
            r"line 1: a box 1000\.5.* m from the camera, which must be at most 1000: correct its place",
        ),
        (lambda lines: [with_number(lines[0], 11, lambda x: 1e300)], r"line 1: a box 1e\+300 m from the camera"),
        (lambda lines: [with_number(lines[0], 11, lambda x: x * math.nan)], r"line 1: .*must be finite"),
    ],
)
def test_malformed_text_is_named_and_nothing_is_written(run, text, change, message):
    text(0, lambda lines: lines[1:])
    source = text(1, change)
    before = files(run.output)
    with pytest.raises(InputError, match=message):
        take(run, source)
    assert files(run.output) == before


def test_a_run_in_an_object_store_takes_corrections(run, text, s3):
    from vsrd_ray.storage import bring, open_location

    source = text(1, lambda lines: lines[1:])
    output = open_location(f"{s3}/run")
    bring(run.output, output)
    for folder in (output, run.output):
        for _ in range(2):
            import_labels(folder, run.root, source, format="kitti")
    assert read_labels(output).num_rows == 15 and read_labels(output).equals(read_labels(run.output))


def test_regions_that_nobody_labels_are_no_boxes(run, text):
    ignored = "DontCare -1 -1 -10 0 0 5 5 -1 -1 -1 -1000 -1000 -1000 -10"
    assert take(run, text(0, lambda lines: [*lines, ignored])).unchanged == 4


def test_an_index_of_another_run_is_refused(run, text):
    source = text(0, lambda lines: lines[1:])
    index = (source / "index.csv").read_text()
    (source / "index.csv").write_text(index.replace("drive_0042", "drive_0001"))
    with pytest.raises(InputError, match=r"index\.csv, line 2: .*none of this run"):
        take(run, source)
    (source / "index.csv").write_text(index.replace("000001,", "../../1,"))
    with pytest.raises(InputError, match=r"index\.csv, line 3: sample '\.\./\.\./1'"):
        take(run, source)
    (source / "index.csv").write_text(index.replace(",2,", ",two,"))
    with pytest.raises(InputError, match=r"line 3: not a line of an export's index"):
        take(run, source)
    (source / "index.csv").write_text(index.replace(",2,train", ",4000,train"))
    with pytest.raises(InputError, match=r"000001\.txt: .*no pose of frame 4000"):
        take(run, source)
    (source / "index.csv").write_text(index.replace(",3,train", ",2,train"))
    with pytest.raises(InputError, match="there twice"):
        take(run, source)
    (source / "index.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"index\.csv: no text"):
        take(run, source)


@pytest.mark.parametrize(
    ("selection", "option"),
    [
        (Selection(min_confidence=0.6), "--min-confidence"),
        (Selection(max_range=40.0), "--max-range"),
        (Selection(classes=("car",)), "--classes"),
        (Selection(exclude_moving=True), "--exclude-moving"),
    ],
)
def test_an_export_that_a_filter_has_thinned_out_is_refused(run, tmp_path, selection, option):
    """What the filter left out would pass for taken away."""
    export(run.output, run.root, tmp_path / "some", format="kitti", selection=selection)
    before = files(run.output)
    with pytest.raises(InputError, match=f"some was exported with {option}, .*export without it"):
        take(run, tmp_path / "some")
    assert files(run.output) == before
    export(run.output, run.root, tmp_path / "all", format="kitti", selection=Selection(sequences=(SEQUENCE,)))
    assert take(run, tmp_path / "all").unchanged == 4


def test_an_export_without_the_corrections_of_its_frames_is_refused(run, text, tmp_path):
    """They would be undone: its boxes are the labeler's."""
    auto = Selection(prefer="auto")
    export(run.output, run.root, tmp_path / "early", format="kitti", selection=auto)
    take(run, text(1, lambda lines: lines[1:]))
    export(run.output, run.root, tmp_path / "late", format="kitti", selection=auto)
    before = files(run.output)
    with pytest.raises(InputError, match=rf"000001\.txt: frame 2 of {SEQUENCE} was corrected before, .*--prefer auto"):
        take(run, tmp_path / "late")
    assert files(run.output) == before
    # without the file of that frame nothing is undone; and what was exported before the correction may replace it
    (tmp_path / "late" / "training" / "label_2" / "000001.txt").unlink()
    assert take(run, tmp_path / "late").unchanged == 3
    path = tmp_path / "early" / "training" / "label_2" / "000001.txt"
    path.write_text(path.read_text().replace("Truck", "Bus"))
    assert take(run, tmp_path / "early").added == 1


def test_boxes_that_no_image_shows_stay_though_the_text_lacks_them(run, text, tmp_path, caplog):
    take(run, text(1, lambda lines: [*lines, NEW_CAR.format(x=0, z=-20)]))
    before = read_labels(run.output)
    assert frame_rows(before, 2).num_rows == 5
    caplog.clear()
    export(run.output, run.root, tmp_path / "again", format="kitti")
    assert "boxes are left out: they are behind the camera or beside the image" in caplog.text
    path = tmp_path / "again" / "training" / "label_2" / "000001.txt"
    assert take(run, tmp_path / "again").unchanged == 4
    assert read_labels(run.output).equals(before)
    path.write_text("")
    summary = take(run, tmp_path / "again")
    left = frame_rows(read_labels(run.output), 2)
    assert summary.removed + left.num_rows == 5 and 26004 in left["instance_id"].to_pylist()


def test_text_that_the_index_does_not_know_and_samples_without_text_are_named(run, text, caplog):
    folder = text(0, lambda lines: lines) / "training" / "label_2"
    (folder / "000009.txt").write_text("")
    (folder / "000001.txt").unlink()
    (folder / "000001.txt").mkdir()
    assert take(run, folder.parents[1]).unchanged == 3
    assert "000009.txt: not read, as are 1 files in all that have no line in" in caplog.text
    assert "000001.txt: no such file, as for 1 lines of" in caplog.text


def test_a_folder_without_text_says_what_is_expected(run, tmp_path):
    with pytest.raises(InputError, match=r"no KITTI text: expected index\.csv"):
        take(run, tmp_path)
    with pytest.raises(InputError, match="unknown format 'voc'"):
        take(run, tmp_path, "voc")


def test_an_import_that_is_killed_between_its_files_changes_nothing(run, text, monkeypatch):
    from vsrd_ray.labels.boxes import human_rows

    written = []

    def once(table, path):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        real(table, path)

    real = human_rows.write_parquet
    monkeypatch.setattr(human_rows, "write_parquet", once)
    with pytest.raises(KeyboardInterrupt):
        take(run, text(0, lambda lines: lines[1:]))
    assert written and read_labels(run.output).drop_columns("sequence").equals(run.rows)
