"""`export` and `import` on a labelled street, and what a run that goes on makes of corrections."""

import fcntl
import json
import re
import shutil
from pathlib import Path

import click
import pytest

from vsrd_ray.cli import main
from vsrd_ray.labels.boxes.corrections import READERS
from vsrd_ray.labels.boxes.formats.export import FORMATS
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.spec import SPEC as BOXES
from vsrd_ray.runs.reading import read_groups

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture(scope="module")
def serial_run(label_street, tmp_path_factory):
    """OUTPUT of the street, labelled without Ray; read it, do not change it."""
    output = tmp_path_factory.mktemp("serial") / "output"
    result = label_street(output, "--serial")
    assert result.exit_code == 0, result.output
    return output


@pytest.fixture
def output(serial_run, tmp_path):
    """A copy of OUTPUT to change."""
    return shutil.copytree(serial_run, tmp_path / "output")


def test_the_commands_know_every_format(command):
    assert list(FORMATS) == list(BOXES.formats)
    (known,) = re.findall(r"--format\[(.*?)\]", re.sub(r"\s", "", command("export", "--help").output))
    assert set(FORMATS) <= set(known.split("|"))
    assert f"[{'|'.join(READERS)}]" in command("import", "--help").output


# Of KITTI's raw drives alone; described on the page on them.
OF_RAW_DRIVES = ("kitti-object",)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in OF_RAW_DRIVES])
def test_export(serial_run, command, street, tmp_path, name):
    if name == "rerun":
        pytest.importorskip("rerun", reason="no rerun-sdk: pip install 'vsrd-ray[rerun]'")
    where = ("--root", street, "--format", name, "--output", tmp_path / name)
    result = command("export", serial_run, *where, "--keep-doubtful")
    assert result.exit_code == 0, result.output
    count = read_labels(serial_run).num_rows
    note = json.loads((tmp_path / name / "export.json").read_text())
    assert count > 0 and f"{note['boxes']} boxes in " in result.stdout
    assert note["boxes"] + sum(note["left_out"].values()) == count
    assert name == "kitti360" or note["boxes"] == count


def test_the_page_on_formats_has_each_of_them_and_no_other_option():
    docs = Path(__file__).resolve().parents[2] / "docs"
    page = (docs / "formats.md").read_text()
    sections = re.findall(r"^## ([\w-]+)$", page, flags=re.MULTILINE)
    rows = re.findall(r"^\| \[`([\w-]+)`\]\(([^)]+)\)", page, flags=re.MULTILINE)
    assert [name for name, _ in rows] == list(FORMATS)
    elsewhere = {name for name, target in rows if not target.startswith("#")}
    assert [name for name in sections if name in FORMATS] == [name for name in FORMATS if name not in elsewhere]
    pictures = re.findall(r"\]\(([^)#:]+\.svg)\)", page)
    assert len(pictures) == 3 and all((docs / name).is_file() for name in pictures)
    context = click.Context(main)
    known = set()
    for entry in (main.get_command(context, name) for name in ("export", "import")):
        known.update(
            option
            for parameter in entry.get_params(click.Context(entry, **main.context_settings))
            for option in parameter.opts
        )
    assert set(re.findall(r"(?<![-\w])(--[a-z][a-z-]+)", page)) <= known


def test_filters_reach_the_export(serial_run, command, street, tmp_path):
    labels = read_labels(serial_run)
    options = ("--min-confidence", ".2", "--max-range", "25", "--classes", "car, truck", "--exclude-moving")
    more = ("--sequences", SEQUENCE, "--prefer", "auto")
    result = command(
        "export", serial_run, "--root", street, "--format", "csv", "--output", tmp_path / "csv", *options, *more
    )
    assert result.exit_code == 0, result.output
    note = json.loads((tmp_path / "csv" / "export.json").read_text())
    assert note["selection"] == {
        "min_confidence": 0.2, "max_range": 25, "classes": ["car", "truck"], "sequences": [SEQUENCE],
        "exclude_moving": True, "keep_doubtful": False, "prefer": "auto", "split": "vsrd",
    }  # fmt: skip
    assert note["boxes"] < labels.num_rows


def test_bad_input_is_one_line(serial_run, command, street, tmp_path):
    arguments = ("export", serial_run, "--root", street, "--format", "csv", "--output")
    result = command(*arguments, serial_run)
    assert result.exit_code == 2 and "holds no export" in result.output
    result = command(*arguments, tmp_path / "out", "--classes", "carr")
    assert result.exit_code == 2 and "no class 'carr' in KITTI-360; did you mean 'car'?" in result.output
    assert not (tmp_path / "out").exists()


def corrected(output, command, street, folder):
    """Export, take the first box of every file away, and import; what the command says."""
    assert command("export", output, "--root", street, "--format", "kitti", "--output", folder).exit_code == 0
    for path in (folder / "training" / "label_2").glob("*.txt"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    return command("import", output, folder, "--root", street, "--format", "kitti")


def human_rows(output):
    labels = read_labels(output)
    return labels.filter([source == "human" for source in labels["source"].to_pylist()])


def test_import(output, command, street, tmp_path):
    before = read_labels(output)
    result = corrected(output, command, street, tmp_path / "kitti")
    assert result.exit_code == 0, result.output
    frames = len(set(before["frame"].to_pylist()))
    assert f"{frames} frames imported" in result.stdout and f"0 added, {frames} taken away" in result.stdout
    assert read_labels(output).num_rows == human_rows(output).num_rows == before.num_rows - frames


def test_import_waits_for_whoever_writes(output, command, street, tmp_path):
    before = read_labels(output)
    with (output / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = corrected(output, command, street, tmp_path / "kitti")
    assert result.exit_code == 2 and "wait until it has ended" in result.output
    assert read_labels(output).equals(before) and not (output / "corrections").exists()
    assert command("import", tmp_path / "nothing", output, "--root", street, "--format", "kitti").exit_code == 2
    assert "give --format: kitti, cvat" in command("import", output, tmp_path, "--root", street).output
    assert "give OUTPUT, SOURCE and --root" in command("import", output, "--root", street).output
    assert not (tmp_path / "nothing").exists()


def test_a_run_that_goes_on_leaves_corrections_as_they_are(output, label_street, command, street, tmp_path):
    corrected(output, command, street, tmp_path / "kitti")
    human = human_rows(output)
    auto = read_labels(output, prefer="auto")
    files = [*output.glob("labels/*/human-*"), *output.glob("corrections/*")]
    bytes_before = [path.read_bytes() for path in files]
    assert len(files) == 2
    counts = json.loads((output / "manifest.json").read_text())["counts"]
    # as it is; with the labels of a group lost; and with everything that the run knows to be finished lost
    for lost in ([], [*output.glob("groups/*.parquet")], [*output.glob("index/.*")]):
        for path in lost:
            path.unlink()
        result = label_street(output, "--serial")
        assert result.exit_code == 0, result.output
        assert [path.read_bytes() for path in files] == bytes_before
        assert human_rows(output).equals(human)
        assert read_labels(output, prefer="auto").equals(auto)
        assert json.loads((output / "manifest.json").read_text())["counts"] == counts
    assert counts["boxes"] == auto.num_rows and read_groups(output).num_rows == counts["groups"]


def test_evaluation_takes_either(output, command, street, tmp_path):
    corrected(output, command, street, tmp_path / "kitti")
    labelled = {}
    for prefer in ("human", "auto"):
        result = command("evaluate", output, "--root", street, "--prefer", prefer, "--json")
        assert result.exit_code == 0, result.output
        labelled[prefer] = json.loads(result.stdout)["static"]["labelled"]
    assert 0 <= labelled["human"] < labelled["auto"]
