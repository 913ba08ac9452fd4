"""What a user has corrected stays: neither clocks, nor tools that lose shapes, nor other runs take it away."""

import json
import math
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.corrected import check_angle
from vsrd_ray.labels.boxes.formats.folder import check_free, digests_of, edited_files, export_folder
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.storage import read_table

SEQUENCE = "2013_05_28_drive_0000_sync"
TEXTS = Path("kitti/training/label_2")
ARCHIVE = Path("cvat") / f"{SEQUENCE}.zip"
HUMAN = Path("out/labels") / f"sequence={SEQUENCE}" / "human-image_00.parquet"
LIST = Path("out/corrections") / f"{SEQUENCE}.parquet"


@pytest.fixture
def kitti(command):
    """Exports the run as KITTI text."""

    def export(*options: str, output: str = "kitti"):
        return command("export", "out", "--root", "root", "--format", "kitti", "--output", output, *options)

    result = export()
    assert result.exit_code == 0, result.output
    return export


@pytest.fixture
def take(command):
    """Imports a folder of KITTI text or, by its name, of CVAT's archives."""

    def run(source: str | Path = "kitti", *options: str, format: str | None = None):
        format = format or ("cvat" if "cvat" in str(source) else "kitti")
        return command("import", "out", source, "--root", "root", "--format", format, *options)

    return run


def edit(frame: int, change: Callable[[list[str]], list[str]], folder: Path = TEXTS) -> Path:
    path = folder / f"{frame:06d}.txt"
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))
    return path


def without_first(lines: list[str]) -> list[str]:
    return lines[1:]


def with_words(words: dict[int, str], line: int = 0) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        parts = lines[line].split()
        for column, word in words.items():
            parts[column] = word
        return [*lines[:line], " ".join(parts), *lines[line + 1 :]]

    return change


def boxes(frame: int) -> int:
    return read_labels(Path("out"))["frame"].to_pylist().count(frame)


def state() -> dict[str, bytes]:
    """Everything in OUTPUT but what an import can be undone with."""
    paths = (path for path in Path("out").rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.read_bytes() for path in paths if ".before-import" not in path.parts}


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


@pytest.fixture
def archive(command):
    """Exports the run to CVAT; changes the document in the archive."""
    assert command("export", "out", "--root", "root", "--format", "cvat", "--output", "cvat").exit_code == 0

    def change(how: Callable[[dict[str, Any]], Any], path: Path = ARCHIVE) -> None:
        with zipfile.ZipFile(ARCHIVE) as packed:
            document = json.loads(packed.read("annotations/default.json"))
        how(document)
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("annotations/default.json", json.dumps(document))

    return change


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


# ---- other inputs, other runs ----


def with_fingerprint(path: Path, fingerprint: bytes) -> None:
    table = read_table(path)
    metadata = {**(table.schema.metadata or {}), b"vsrd_ray.fingerprint": fingerprint}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def test_an_export_of_other_inputs_or_settings_is_refused(kitti, take, refused):
    edit(3, without_first)
    note = Path("kitti/export.json").read_text()
    Path("kitti/export.json").write_text(note.replace(json.loads(note)["config_hash"], "0123456789ab"))
    refused(take(), "kitti was exported from a run with other settings", "0123456789ab")
    fingerprint = json.loads(note)["fingerprints"][SEQUENCE]
    Path("kitti/export.json").write_text(note.replace(fingerprint, "feed"))
    refused(take(), "kitti was exported from labels of other inputs", SEQUENCE)


def test_corrections_of_other_inputs_do_not_count(kitti, take, command, refused):
    edit(3, without_first)
    take()
    before = LIST.read_bytes()
    with_fingerprint(LIST, b"feed")
    for arguments in (
        ("evaluate", "out", "--root", "root"),
        ("export", "out", "--root", "root", "--format", "csv", "--output", "csv"),
        ("convert", "out", "--to", "texts"),
        ("report", "out", "--root", "root"),
    ):
        refused(command(*arguments), str(LIST), "corrections of other inputs", HUMAN.name.replace("image_00", "*"))
    assert command("evaluate", "out", "--root", "root", "--prefer", "auto").exit_code == 0
    LIST.write_bytes(before)
    with_fingerprint(HUMAN, b"feed")
    refused(command("evaluate", "out", "--root", "root"), HUMAN.name, "corrections of other inputs")


def test_corrections_of_an_earlier_version_count(kitti, take, command):
    edit(3, without_first)
    take()
    for path in (HUMAN, LIST):
        table = read_table(path)
        pq.write_table(table.replace_schema_metadata(None), path)
    assert boxes(3) == 4 and command("evaluate", "out", "--root", "root").exit_code == 0


# ---- looking before, and taking back ----


def test_a_dry_run_says_what_would_change_and_writes_nothing(kitti, take):
    edit(3, without_first)
    edit(5, with_words({13: "20"}))
    before, exported = state(), Path("kitti/export.json").read_bytes()
    result = take("kitti", "--dry-run")
    assert f"{SEQUENCE}, frame 3: 0 changed, 0 added, 1 taken away" in result.stdout
    assert f"{SEQUENCE}, frame 5: 1 changed, 0 added, 0 taken away" in result.stdout
    assert "2 frames to be imported, 6 without a change" in result.stdout
    assert state() == before and Path("kitti/export.json").read_bytes() == exported


def test_the_last_import_can_be_undone(kitti, take, command, refused):
    before = state()
    edit(3, without_first)
    take()
    first = state()
    edit(3, without_first)
    edit(5, without_first)
    take()
    assert (boxes(3), boxes(5)) == (3, 4)
    assert "2 frames are again as they were" in command("import", "out", "--undo").stdout
    assert state() == first and (boxes(3), boxes(5)) == (4, 5)
    refused(command("import", "out", "--undo"), "out holds no import to be taken back")
    refused(kitti(), "was changed after it was exported")  # what was edited is in the export alone again
    take()
    command("import", "out", "--undo")
    assert state() == first != before


def test_what_was_not_there_before_is_gone_after_undoing(kitti, take, command):
    before = state()
    edit(3, without_first)
    take()
    command("import", "out", "--undo")
    assert state() == before
    assert "1 frames imported" in take().stdout


@pytest.mark.parametrize("options", [("kitti", "--undo"), ("--undo", "--dry-run"), (), ("kitti",)])
def test_options_of_import_that_do_not_go_together_are_refused(here, command, options):
    result = command("import", "out", *options)
    assert result.exit_code == 2 and "Traceback" not in result.output


def test_a_torn_note_of_what_can_be_undone_is_named(kitti, take, command, refused):
    edit(3, without_first)
    take()
    Path("out/.before-import/import.json").write_text("{")
    refused(command("import", "out", "--undo"), "import.json", "cannot be undone")


def test_texts_of_a_run_that_were_edited_in_place_are_set_aside_with_it(here, command):
    edited = sorted((here / "out" / "kitti").rglob("*.txt"))[2]
    edited.write_text("Car 0 0 0 1 1 2 2 1 1 1 0 1 9 0 1\n")
    poses = next((here / "root" / "data_poses").rglob("cam0_to_world.txt"))
    poses.write_text("\n".join(poses.read_text().splitlines()[:-1]))
    result = command("label", "--root", "root", "--sequence", SEQUENCE, "--output", "out", "--serial")
    assert result.exit_code == 0, result.output
    kept = here / "out" / "superseded" / f"{SEQUENCE}-1" / edited.relative_to(here / "out")
    assert kept.read_text().startswith("Car 0 0 0 1 1 2 2") and not edited.read_text().startswith("Car 0 0 0 1 1 2 2")


def test_a_dry_run_needs_not_write(kitti, take, monkeypatch):
    monkeypatch.setattr("vsrd_ray.runs.lock.locked", lambda output: pytest.fail("locked"))
    assert take("kitti", "--dry-run").exit_code == 0
