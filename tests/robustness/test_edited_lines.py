"""Lines of corrected boxes that cannot be, and the index of an export that was edited."""

import math
from pathlib import Path
from typing import Any

import pytest
from edits import TEXTS, edit, with_words, without_first
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.corrected import check_angle
from vsrd_ray.labels.boxes.parquet import read_labels

# ---- lines that cannot be ----


@pytest.mark.parametrize("rotation", ["92.5", "-180", "6.2832", "3.3", "-3.2"])
def test_an_angle_beyond_half_a_turn_is_refused(kitti, take, refused, rotation):
    edit(3, with_words({14: rotation}, line=1))
    refused(take(), "000003.txt, line 2", f"rotation_y {float(rotation):g}", "radians")


@pytest.mark.parametrize("rotation", ["3.1416", "-3.1416", "3.15", "-3.15"])
def test_an_angle_within_a_rounding_of_half_a_turn_is_taken(kitti, take, rotation):
    edit(3, with_words({14: rotation}))
    assert take().exit_code == 0


@given(st.floats())
def test_angles_are_finite_and_at_most_half_a_turn(radians):
    if abs(radians) <= math.pi:
        check_angle(radians, "rotation_y", "a.txt, line 1")
    elif not abs(radians) < 3.2:
        with pytest.raises(InputError, match=r"a\.txt, line 1: rotation_y .* radians"):
            check_angle(radians, "rotation_y", "a.txt, line 1")


@pytest.mark.parametrize("words", [(10, 9, 8), (8, 10, 9), (9, 10, 8)])
def test_sizes_in_each_others_places_are_warned_of(kitti, take, words):
    line = (TEXTS / "000003.txt").read_text().splitlines()[0].split()
    edit(3, with_words({8 + n: line[column] for n, column in enumerate(words)}))
    edit(4, with_words({8: "15.0"}))
    result = take()
    assert result.exit_code == 0
    assert "000003.txt, line 1: a car that is " in result.stderr and "2 boxes in all" in result.stderr


def test_sizes_as_cars_have_them_are_not_warned_of(kitti, take):
    edit(3, with_words({8: "1.9", 9: "2.0", 10: "5.3"}))
    assert "unusual" not in take().stderr


def test_a_box_that_is_there_twice_is_refused(kitti, archive, take, refused):
    edit(3, lambda lines: [*lines, lines[1]])
    refused(take(), "000003.txt, line 6: the same box as", "line 2")

    def twice(document: dict[str, Any]) -> None:
        annotations = document["items"][3]["annotations"]
        annotations.append(annotations[1] | {"id": 9})

    archive(twice)
    refused(take("cvat"), "annotation 5: the same box as", "annotation 1")


def test_sizes_of_cuboids_in_each_others_places_are_warned_of(archive, take):
    archive(lambda document: document["items"][3]["annotations"][1]["scale"].reverse())
    assert "item 0000000003, annotation 1: a car that is" in take("cvat").stderr


# ---- the index of an export ----


def test_an_index_that_a_spreadsheet_has_saved_is_read(kitti, take):
    edit(3, without_first)
    text = Path("kitti/index.csv").read_text()
    for saved in (
        f"\ufeff{text}",
        text.replace(",", ";"),
        f"\ufeff{text}".replace(",", "\t").replace("\n", "\r\n"),
        text.replace("\n000000,", "\n0,").replace("\n00000", "\n"),
        text.replace("\n", ",,\n") + ",,,,,,,,\n\n",
    ):
        Path("kitti/index.csv").write_text(saved)
        result = take("kitti", "--dry-run")
        assert "1 frames to be imported, 7 without a change" in result.stdout, (saved, result.output)
    Path("kitti/index.csv").write_text(text.replace(",", ";"))
    assert take().exit_code == 0 and kitti().exit_code == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace(",", " "), "no column 'sample'"),
        (lambda text: "", "no column 'sample'"),
        (lambda text: text.partition("\n")[2], "no column 'sample'"),
        (lambda text: text.replace("000003,", "000003.txt,"), "line 5"),
        (lambda text: text.replace(",3,train", ",3.0,train"), "line 5"),
        (lambda text: text.replace("000003,", "000003 "), "line 5"),
        (lambda text: text.replace("image_00", "image_01"), "line 2"),
    ],
)
def test_an_index_that_cannot_be_used_is_named_with_its_line(kitti, take, refused, change, said):
    Path("kitti/index.csv").write_text(change(Path("kitti/index.csv").read_text()))
    line = refused(take(), "index.csv", said)
    assert "KeyError" not in line


def test_ids_in_an_index_that_are_no_instances_give_none(kitti, take):
    text = Path("kitti/index.csv").read_text()
    Path("kitti/index.csv").write_text(text.replace("26001", "99999999999"))
    edit(3, with_words({11: "500"}))
    assert take().exit_code == 0
    assert max(read_labels(Path("out"))["instance_id"].to_pylist()) < 27000


def test_a_box_that_was_drawn_is_the_same_instance_in_a_later_import(kitti, take):
    ids = []
    for frame in (3, 4):
        edit(frame, lambda lines: [*lines, "Car 0 0 0 0 0 1 1 1.5 1.8 4.2 30 1.5 40 -1.5"])
        assert "1 added" in take().stdout
        rows = [row for row in read_labels(Path("out")).to_pylist() if row["frame"] == frame]
        ids += [row["instance_id"] for row in rows if row["is_moving"] is None]
    assert len(ids) == 2 and ids[0] == ids[1] > 26005
