"""`vsrd-ray status`: from OUTPUT alone, while a run goes on and after it, also in an object store."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from vsrd_ray import engines
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.storage import bring, open_location

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture
def output(labelled, tmp_path):
    """A copy of the labelled street's OUTPUT without its traces."""
    return shutil.copytree(labelled[1], tmp_path / "output", ignore=shutil.ignore_patterns("trace"))


@pytest.fixture
def status(command):
    """The lines that `vsrd-ray status OUTPUT` prints."""

    def lines(output) -> list[str]:
        result = command("status", output)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        return result.stdout.splitlines()

    return lines


@pytest.fixture
def label_with(label_street, monkeypatch):
    """Runs `vsrd-ray label --serial` with another labeler."""

    def run_with(factory, output, *options):
        monkeypatch.setattr(engines.label, "__kwdefaults__", {"labeler_factory": factory})
        return label_street(output, "--serial", *options)

    return run_with


def noted(output, *, ago: float, **progress) -> None:
    """Make the manifest that of a run under way, whose last note is so many seconds old."""
    path = output / "manifest.json"
    manifest = json.loads(path.read_text())
    time = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(timespec="seconds")
    path.write_text(
        json.dumps(manifest | {"status": "running", "progress": manifest["progress"] | progress | {"time": time}})
    )


def check_finished(lines: list[str], output, *, labels: pa.Table) -> None:
    doubtful = int((labels["confidence"].to_numpy() < 0.2).sum())
    assert doubtful > 0
    assert lines.pop().startswith("Time      ")
    assert lines == [
        f"Output    {output}",
        "Status    complete",
        "Frames    24 of 24 labelled",
        "Groups    6 of 6 labelled, 0 failed",
        f"Boxes     {labels.num_rows}, {doubtful} of them doubtful (confidence below 0.2)",
    ]


@pytest.mark.ray
def test_finished_run(output, status):
    check_finished(status(output), output, labels=read_labels(output))


@pytest.mark.ray
def test_run_in_an_object_store(output, status, s3, command):
    bring(output, open_location(f"{s3}/runs/a"))
    check_finished(status(f"{s3}/runs/a"), f"{s3}/runs/a", labels=read_labels(output))
    empty = command("status", f"{s3}/runs/b")
    assert empty.exit_code == 2
    assert f"no {s3}/runs/b/manifest.json" in empty.stderr


@pytest.mark.ray
def test_json_holds_what_the_manifest_does(output, command):
    result = command("status", output, "--json")
    assert result.exit_code == 0
    state = json.loads(result.stdout)
    manifest = json.loads((output / "manifest.json").read_text())
    assert state.pop("output") == str(output)
    assert 0 <= state.pop("age") < 3600
    assert state == {key: manifest[key] for key in state}
    of_run = {
        "status",
        "error",
        "inputs",
        "counts",
        "failures",
        "unusable_sequences",
        "warnings",
        "seconds",
        "progress",
    }
    assert state.keys() == of_run
    assert state["progress"]["groups_ok"] == 6


@pytest.mark.ray
@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (3, "running"),
        (7350, "running when it was last heard of; if it was killed, the same command goes on from there"),
    ],
    ids=["fresh note", "old note"],
)
def test_run_under_way(output, status, ago, said):
    """It has labelled 30 of 90 groups, 20 of them itself in 10 minutes."""
    noted(output, ago=ago, groups=90, groups_ok=30, groups_failed=1, groups_new=20, groups_retried=2, seconds=600.0)
    first, second, progress, heard = status(output)
    assert [first, second] == [f"Output    {output}", f"Status    {said}"]
    assert progress == "Progress  31/90 groups, 2.0 a minute, 29 min 30 s left, 1 failed, 2 tried again"
    assert re.fullmatch(r"Noted     (\d+ s|2 h 02 min) ago", heard)


@pytest.mark.ray
def test_run_that_has_just_begun(output, status):
    path = output / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["progress"]
    path.write_text(json.dumps(manifest | {"status": "running", "counts": {}, "failures": []}))
    assert status(output) == [f"Output    {output}", "Status    running"]


def test_run_that_failed_says_why(label_with, status, tmp_path):
    def no_labeler(config, device):
        raise MemoryError("no room")

    result = label_with(no_labeler, tmp_path / "output", "--limit", "1")
    assert result.exit_code == 1
    lines = status(tmp_path / "output")
    assert lines[1:4] == ["Status    failed", "Frames    0 of 24 labelled", "Groups    0 of 1 labelled, 0 failed"]
    assert lines[-1] == "Error     the labeler cannot be set up on cpu: MemoryError: no room"


def test_run_with_failed_groups_names_them(label_with, broken_labeler, status, tmp_path):
    result = label_with(broken_labeler, tmp_path / "output", "--limit", "2", "--max-attempts", "1")
    assert result.exit_code == 3
    lines = status(tmp_path / "output")
    assert lines[1] == "Status    complete with failures"
    assert lines[3] == "Groups    0 of 2 labelled, 2 failed"
    failed = [line for line in lines if line.startswith("Failed    ")]
    assert len(failed) == 2
    assert all(line.endswith(": ZeroDivisionError: of all things") and SEQUENCE in line for line in failed)


def test_run_that_left_a_sequence_out_names_it(label_street, root, status, tmp_path):
    other = SEQUENCE.replace("_0000_", "_0001_")
    for folder in (paths.masks_root(root), paths.poses_root(root)):
        shutil.copytree(folder / SEQUENCE, folder / other, copy_function=shutil.copy2)
    paths.poses_file(root, SEQUENCE).write_text("0 1 2\n")
    result = label_street(tmp_path / "output", "--sequence", other, "--serial", "--limit", "1", root=root)
    assert result.exit_code == 3, result.output
    why = f"{SEQUENCE}: {paths.poses_file(root, SEQUENCE)}, line 1: expected 17 numbers"
    assert f"Left out  {why}" in result.stdout
    lines = status(tmp_path / "output")
    assert lines[1] == "Status    complete with failures"
    assert lines[3] == "Groups    1 of 1 labelled, 0 failed"
    assert lines[-1].startswith(f"Left out  {why}")


@pytest.mark.parametrize("kind", ["nothing", "empty folder", "other things", "broken manifest"])
def test_no_run(command, tmp_path, kind):
    output = tmp_path / "output"
    if kind != "nothing":
        output.mkdir()
    if kind == "other things":
        (output / "thesis.txt").touch()
    if kind == "broken manifest":
        (output / "manifest.json").write_text('{"status": "run')
    before = list(tmp_path.rglob("*"))
    result = command("status", output)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    said = {"broken manifest": "not the manifest of a run"}
    assert line.startswith("Error: ")
    assert str(output) in line
    assert said.get(kind, f"no {output}/manifest.json: expected the output folder of `vsrd-ray label`") in line
    assert list(tmp_path.rglob("*")) == before


@pytest.mark.ray
def test_interrupted_run_says_so_at_once(output, status):
    noted(output, ago=1, interrupted=True, another="of a later version")
    assert status(output)[1] == "Status    interrupted; the same command goes on from there"
