"""Folders that hold no run, and manifests that were edited or written by another version."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vsrd_ray.errors import InputError
from vsrd_ray.pipeline.status import format_status, read_status

SEQUENCE = "2013_05_28_drive_0000_sync"


def edited(output: Path, *place: str, value: object) -> None:
    """Give one entry of a run's manifest another value; `...` takes it away."""
    path = output / "manifest.json"
    manifest = json.loads(path.read_text())
    inner = manifest
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("place", ["root", "root/calibration/perspective.txt", "nowhere", "root/calibration"])
def test_folder_without_a_run_is_named(command, refused, place):
    line = refused(command("status", place), f"no {place}/manifest.json", "the output folder of `vsrd-ray label`")
    assert "--output" not in line


EDITS = [
    (("counts",), "x", "counts: "),
    (("counts",), None, "counts: "),
    (("counts", "boxes"), None, "counts.boxes: "),
    (("seconds",), None, "seconds: "),
    (("seconds", "wall"), "long", "seconds.wall: "),
    (("seconds", "wall"), float("nan"), "seconds.wall: "),
    (("failures",), "x", "failures: "),
    (("failures",), [{}], "failures.0.group_id: Field required"),
    (("progress",), {"updated": "2999"}, "progress.time: Field required"),
    (("progress", "time"), "yesterday", "progress.time: "),
    (("progress", "time"), "2026-11-30T11:37:41", "a time without its zone"),
    (("progress", "sequences"), ..., "progress.sequences: Field required"),
    (("unusable_sequences",), ["a"], "unusable_sequences: "),
    (("error",), {"a": 1}, "error: "),
    (("status",), 3, "status: "),
    (("inputs", "frames"), {SEQUENCE: "8"}, f"inputs.frames.{SEQUENCE}: "),
    (("inputs", "skipped_frames"), {SEQUENCE: 8}, f"inputs.skipped_frames.{SEQUENCE}: "),
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: ".".join(edit[0]))
def test_edited_manifest_is_refused_by_all_who_read_it(command, label, refused, here, edit):
    place, value, said = edit
    edited(here / "out", *place, value=value)
    for result in (command("status", "out"), command("status", "out", "--json"), label(output="out")):
        refused(result, "out/manifest.json: not the manifest of a run", said)
    if place[0] in ("seconds", "inputs"):  # which the report shows
        refused(command("report", "out", "--root", "root"), "out/manifest.json: not the manifest of a run", said)


@pytest.mark.parametrize(("key", "value"), [("groups", "x"), ("groups", None), ("sizes", [5]), ("texts", [])])
def test_edited_note_of_a_finished_sequence_is_as_none(label, here, key, value):
    path = here / "out" / "index" / f".{SEQUENCE}.finished.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    result = label(output="out")
    assert result.exit_code == 0, result.output
    assert "Nothing was left to do" in result.stdout


@pytest.mark.parametrize("text", ["[" * 100_000, '{"inputs": ' * 5000 + "1" + "}" * 5000, '"status"', "\ufeff{}"])
def test_file_that_is_no_manifest_is_refused(command, label, refused, here, text):
    (here / "out" / "manifest.json").write_text(text)
    refused(command("status", "out"), "out/manifest.json: not the manifest of a run")
    refused(label(output="out"), "out/manifest.json: not the manifest of a run")


def test_manifest_of_an_earlier_version_counts(command, here):
    """It had no progress, no list of sequences that were left out, and fewer counts."""
    for place in ("progress", "unusable_sequences", "error", "counts.rows", "counts.boxes", "inputs.fingerprints"):
        edited(here / "out", *place.split("."), value=...)
    result = command("status", "out")
    assert result.exit_code == 0, result.output
    assert "Status    complete\n" in result.stdout and "Frames    8 of 8 labelled\n" in result.stdout
    assert "Boxes     ?\n" in result.stdout


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_PLACES = st.sampled_from(
    [
        *(("status",), ("error",), ("counts",), ("failures",), ("seconds",), ("unusable_sequences",), ("progress",)),
        *(("seconds", "wall"), ("counts", "groups"), ("progress", "time"), ("progress", "groups_new")),
        *(("progress", "seconds"), ("progress", "interrupted"), ("inputs",)),
    ]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(place=_PLACES, value=_VALUES, status=st.sampled_from(["running", "complete"]))
def test_whatever_stands_in_a_manifest_is_shown_or_refused(sound, tmp_path, place, value, status):
    (tmp_path / "manifest.json").write_bytes((sound / "out" / "manifest.json").read_bytes())
    edited(tmp_path, "status", value=status)
    edited(tmp_path, *place, value=value)
    try:
        text = format_status(read_status(tmp_path))
    except InputError as error:
        assert str(error).startswith(f"{tmp_path}/manifest.json: not the manifest of a run")
    else:
        assert text.startswith(f"Output    {tmp_path}\nStatus    ")


@pytest.mark.parametrize(
    ("ahead", "said"), [(3600, "1 h 00 min ahead of this machine's clock: set the clocks"), (5, "0 s ago")]
)
def test_clocks_that_differ(command, here, ahead, said):
    time = (datetime.now(UTC) + timedelta(seconds=ahead)).isoformat()
    edited(here / "out", "status", value="running")
    edited(here / "out", "progress", "time", value=time)
    result = command("status", "out")
    assert result.exit_code == 0, result.output
    assert "Status    running\n" in result.stdout
    assert f"Noted     {said}" in result.stdout.replace("59 min 59 s", "1 h 00 min").replace(
        "60 min 00 s", "1 h 00 min"
    )
