"""What a user has corrected stays: neither clocks nor tools that lose shapes take it away."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from edits import ARCHIVE, SEQUENCE, boxes, edit, state, with_words, without_first
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.runs.exports import check_free, digests_of, edited_files, export_folder

# ---- times ----


@pytest.mark.parametrize("seconds", [-7200, -1, 0, 7200])
def test_an_edit_is_kept_whatever_its_time(kitti, take, refused, seconds):
    note = Path("kitti/export.json").stat().st_mtime_ns
    path = edit(3, with_words({0: "Truck"}))
    os.utime(path, ns=(note + seconds * 10**9,) * 2)
    refused(kitti(), str(path), "was changed after it was exported")
    assert path.read_text().startswith("Truck")
    assert "1 frames imported" in take().stdout
    assert kitti().exit_code == 0 and path.read_text().startswith("Truck")


def test_an_export_whose_files_were_only_touched_is_replaced(kitti):
    for path in Path("kitti").rglob("*"):
        os.utime(path, (time.time() + 3600,) * 2)
    assert kitti().exit_code == 0
    shutil.copytree("kitti", "copied", symlinks=True)
    assert kitti(output="copied").exit_code == 0


@pytest.mark.parametrize("name", ["ImageSets/train.txt", "training/calib/000002.txt", "training/image_2/000001.png"])
def test_other_files_of_an_export_that_were_edited_are_kept_too(kitti, take, refused, name):
    path = Path("kitti", name)
    path.unlink()
    path.write_text("mine")
    edit(3, without_first)
    assert take().exit_code == 0  # of the label texts alone
    refused(kitti(), str(path), "was changed")
    assert path.read_text() == "mine"


def test_an_edit_after_the_import_is_kept(kitti, take, refused):
    edit(3, without_first)
    take()
    path = edit(3, without_first)
    refused(kitti(), str(path), "was changed")


def test_an_export_of_an_earlier_version_is_not_replaced(kitti, refused):
    note = json.loads(Path("kitti/export.json").read_text())
    del note["digests"]
    Path("kitti/export.json").write_text(json.dumps(note))
    refused(kitti(), "an export of an earlier version", "give another --output")


@given(changes=st.dictionaries(st.sampled_from("abc"), st.binary(max_size=3)))
def test_edited_files_are_those_of_another_content(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("export") / "out"
    with export_folder(folder, {}) as made:
        for name in "abc":
            (made / name).write_bytes(name.encode())
    for name, content in changes.items():
        (folder / name).write_bytes(content)
    edited = {name for name, content in changes.items() if content != name.encode()}
    assert edited_files(folder, digests_of(folder)) == edited
    if not edited:
        check_free(folder)


def test_text_that_was_converted_and_corrected_is_not_written_over(here, command, take, refused):
    assert command("convert", "out", "--to", "texts").exit_code == 0
    assert command("convert", "out", "--to", "texts").exit_code == 0
    folder = Path("texts") / SEQUENCE / "image_00" / "label_2"
    path = folder / "0000000003.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    (folder / "0000000000.txt").unlink()
    text = path.read_text()
    refused(command("convert", "out", "--to", "texts"), str(path), "they would be lost")
    assert path.read_text() == text and not (folder / "0000000000.txt").exists()
    assert take("texts").exit_code == 0
    assert command("convert", "out", "--to", "others").exit_code == 0


# ---- frames that nobody edited ----


def test_a_file_that_nobody_edited_undoes_no_later_correction(kitti, take):
    kitti(output="other")
    edit(3, without_first)
    take()
    edit(5, without_first, Path("other/training/label_2"))
    result = take("other")
    assert "1 frames imported" in result.stdout and "1 frames are left as they are" in result.stderr
    assert boxes(3) == boxes(5) == 4


def test_a_correction_that_replaces_an_earlier_one_is_counted(kitti, take):
    edit(3, without_first)
    take()
    edit(3, without_first)
    result = take()
    assert "1 frames had been corrected before" in result.stderr and boxes(3) == 3


# ---- what tools lose ----


def all_frames(change: Callable[[list[str]], list[str]], frames: Iterable[int] = range(8)) -> None:
    for frame in frames:
        edit(frame, change)


@pytest.mark.parametrize(
    ("frames", "change", "said"),
    [
        (range(8), lambda lines: [], "every box (40) would be taken away"),
        (range(8), lambda lines: ["DontCare -1 -1 -10 0 0 5 5 -1 -1 -1 -1000 -1000 -1000 -10"], "every box (40)"),
        (range(8), lambda lines: lines[:1], "32 of 40 boxes would be taken away"),
        (range(4), lambda lines: [], "every box in 4 of 8 frames"),
        (range(1, 8), lambda lines: [], "35 of 40 boxes"),
    ],
)
@pytest.mark.usefixtures("kitti")
def test_boxes_that_a_tool_has_lost_are_not_taken_away(take, refused, frames, change, said):
    all_frames(change, frames)
    before = state()
    refused(take(), SEQUENCE, said, "--confirm-changes")
    refused(take("kitti", "--dry-run"), said)
    assert state() == before
    assert take("kitti", "--confirm-changes").exit_code == 0
    assert read_labels(Path("out")).num_rows < 40


def test_every_box_of_a_class_is_not_taken_away(kitti, take, refused):
    all_frames(with_words({0: "Truck"}))
    assert take().exit_code == 0
    assert kitti().exit_code == 0
    all_frames(lambda lines: [line for line in lines if not line.startswith("Truck")])
    refused(take(), "every box of the class truck (8)")


def test_labels_of_another_run_in_text_are_not_taken_for_corrections(here, command, take, refused):
    assert command("convert", "out", "--to", "texts").exit_code == 0
    for path in Path("texts").rglob("*.txt"):
        moved = [line.split() for line in path.read_text().splitlines()]
        for line in moved:
            line[11] = f"{float(line[11]) + 0.05:.4f}"
        path.write_text("".join(" ".join(line) + "\n" for line in moved))
    refused(take("texts"), "none of 40 boxes is where the run has it", "--confirm-changes")
    assert take("texts", "--confirm-changes").exit_code == 0


def test_some_emptied_frames_are_imported_with_a_warning(kitti, take):
    all_frames(lambda lines: [], range(2))
    assert "no box is left in frame 0, 1" in take().stderr
    assert boxes(0) == 0 and boxes(2) == 5


def emptied(items: Iterable[dict[str, Any]]) -> None:
    for item in items:
        item["annotations"] = []


def as_rectangles(items: Iterable[dict[str, Any]]) -> None:
    for item in items:
        for one in item["annotations"]:
            one["type"] = "bbox"


def of_one_label(document: dict[str, Any]) -> None:
    for item in document["items"]:
        item["annotations"] = item["annotations"][:1]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda document: emptied(document["items"]), "every box (40)"),
        (lambda document: as_rectangles(document["items"]), "every box (40)"),
        (lambda document: emptied(document["items"][:5]), "25 of 40 boxes"),
        (of_one_label, "32 of 40 boxes"),
        (lambda document: document.update(items=[]), "no item"),
    ],
)
def test_an_archive_that_has_lost_its_cuboids_takes_nothing_away(archive, take, refused, how, said):
    archive(how)
    before = state()
    refused(take("cvat"), said)
    refused(take(ARCHIVE), said)
    assert state() == before


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"rotation": [0, 0, 92.5]}, "rotation about z, 92.5"),
        ({"rotation": [0, 270, 0.5]}, "rotation about y, 270"),
        ({"position": [0, 0, "1"]}, "position must be three finite numbers"),
        ({"scale": [4.5, math.nan, 1.5]}, "scale must be three finite numbers"),
        ({"scale": [-4.5, 1.8, 1.5]}, "length -4.5"),
        ({"label_id": None}, "label_id"),
    ],
)
def test_a_cuboid_that_cannot_be_is_named(archive, take, refused, entry, said):
    archive(lambda document: document["items"][2]["annotations"][1].update(entry))
    refused(take("cvat"), "item 0000000002, annotation 1", said)


def test_odd_instance_ids_are_no_instances(archive, take):
    def change(document: dict[str, Any]) -> None:
        odd = (math.inf, math.nan, 10**30, "9" * 5000)
        for one, instance_id in zip(document["items"][0]["annotations"], odd, strict=False):
            one["attributes"]["instance_id"] = instance_id

    archive(change)
    assert "8 without a change" in take("cvat").stdout


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x05\x06" + bytes(18), b"PK torn", b"[" * 100_000, b'{"items": [1], "categories": {}}', b"\xff\xfe\x00"],
)
def test_files_that_are_no_archives_are_refused(here, command, refused, content):
    for name in ("cvat.zip", "cvat.json"):
        Path(name).write_bytes(content)
        result = command("import", "out", name, "--root", "root", "--format", "cvat")
        refused(result, name, "export")


def test_an_archive_with_a_torn_or_locked_entry_is_refused(archive, take, refused):
    archive(lambda document: None)
    whole = ARCHIVE.read_bytes()
    place = whole.index(b'"items"')
    ARCHIVE.write_bytes(whole[:place] + b"\x00\x01" + whole[place + 2 :])
    refused(take("cvat"), ARCHIVE.name, "not a zip archive that can be read")
    locked = bytearray(whole)
    locked[6] |= 1
    locked[whole.rindex(b"PK\x01\x02") + 8] |= 1
    ARCHIVE.write_bytes(bytes(locked))
    refused(take("cvat"), ARCHIVE.name, "not a zip archive that can be read")
