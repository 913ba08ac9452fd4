"""Imports: of other inputs and runs, looked at before, and taken back."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from edits import HUMAN, LIST, SEQUENCE, boxes, edit, state, with_words, without_first

from vsrd_ray.storage import read_table

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
