"""`vsrd-ray label` with VSRD itself, in this process."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vsrd_ray import engines
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.engines.ray_data.session import RayOnDemand
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.runs.reading import read_groups

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

SEQUENCE = "2013_05_28_drive_0000_sync"
LABELS = ("labels", "kitti")


def test_it_writes_what_it_says(labelled, street):
    result, output = labelled
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["config"]["schedule"]["steps"] == 12
    assert read_groups(output).num_rows == 6
    labels = read_labels(output)
    assert set(labels["labeler"].to_pylist()) == {"vsrd"}
    doubtful = int((labels["confidence"].to_numpy() < 0.2).sum())
    assert doubtful > 0
    lines = result.stdout.splitlines()
    assert lines.pop(3).startswith("Time      ")
    assert lines.pop(4).startswith("Poses     steps jitter by ")
    assert lines == [
        "Frames    24 of 24 labelled, 0 skipped",
        "Groups    6 of 6 labelled, 0 failed",
        f"Boxes     {labels.num_rows}, {doubtful} of them doubtful (confidence below 0.2)",
        f"Output    {output}",
        f"Next      vsrd-ray report {output} --root {street}",
        f"          vsrd-ray evaluate {output} --root {street}",
        f"          vsrd-ray visualize labels {output} --root {street} --sheet {output / 'sheet.png'}",
    ]
    first, second, *_, last = result.stderr.splitlines()
    assert first.startswith("Configuration ") and second == "Indexing 24 frames"
    assert last.startswith("6/6 groups, ")
    assert last.endswith(" 0 s left, 0 failed")


def test_traces_are_kept_for_those_who_tune(labelled):
    _, output = labelled
    groups = read_groups(output).to_pylist()
    assert {path.stem for path in (output / "trace").glob("*.parquet")} == {group["group_id"] for group in groups}
    for group in groups:
        trace = pq.read_table(output / "trace" / f"{group['group_id']}.parquet")
        assert trace["step"].to_pylist() == list(range(12))
        events = EventAccumulator(str(output / "trace" / "tensorboard" / group["group_id"])).Reload()
        (name, *_) = events.Tags()["scalars"]
        assert [event.step for event in events.Scalars(name)] == trace["step"].to_pylist()


def test_labels_depend_on_neither_truth_nor_actors_nor_trace(labelled, label_street, files_in, root, tmp_path):
    boxes = paths.boxes_file(root, SEQUENCE)
    boxes.unlink()
    result = label_street(tmp_path / "output", "--num-actors", "2", root=root)
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "output", *LABELS) == files_in(labelled[1], *LABELS)
    assert "vsrd-ray evaluate" not in result.stdout
    assert "          vsrd-ray visualize labels" in result.stdout


def test_one_group_then_all_then_nothing(labelled, label_street, files_in, tmp_path):
    output = tmp_path / "output"
    first = label_street(output, "--serial", "--limit", "1")
    assert "Groups    1 of 1 labelled, 0 failed" in first.stdout
    rest = label_street(output, "--serial")
    assert "Groups    6 of 6 labelled, 0 failed" in rest.stdout
    assert files_in(output, *LABELS) == files_in(labelled[1], *LABELS)

    folders = (*LABELS, "groups", "index")
    before = {path: path.stat().st_mtime_ns for folder in folders for path in (output / folder).rglob("*.*")}
    again = label_street(output)
    assert again.exit_code == 0
    assert "Note      Nothing was left to do: every wanted group has its labels." in again.stdout
    assert again.stderr == ""
    assert {path: path.stat().st_mtime_ns for folder in folders for path in (output / folder).rglob("*.*")} == before


def test_nothing_to_do_needs_no_ray(labelled, label_street, monkeypatch):
    def no_session(*arguments, **options):
        raise AssertionError("Ray is not needed")

    monkeypatch.setattr(RayOnDemand, "start", no_session)
    assert label_street(labelled[1]).exit_code == 0


def test_classes_with_sizes_can_be_asked_for(label_street, tmp_path):
    result = label_street(
        tmp_path / "output", "--serial", "--classes", "car, truck, bus, caravan, trailer", "--limit", "1"
    )
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    assert manifest["inputs"]["classes"] == ["car", "truck", "bus", "caravan", "trailer"]


def test_environment_and_working_folder_stand_in_for_root_and_output(command, street, quick, monkeypatch):
    """And no object of the wanted classes is no error."""
    monkeypatch.setenv("KITTI360_DATASET", str(street))
    result = command("label", "--sequence", SEQUENCE, *quick, "--classes", "truck, bus")
    assert result.exit_code == 0, result.output
    assert "no frame shows a truck or bus" in result.stdout
    assert Path("outputs", SEQUENCE, "manifest.json").is_file()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ((), "vsrd"),
        (("--grouping", "scene"), "scene"),
        (("--set", "grouping.kind=scene"), "scene"),
        (("--grouping", "vsrd", "--set", "grouping.kind=scene"), "vsrd"),
    ],
)
def test_grouping_is_short_for_a_setting(label_street, tmp_path, options, kind):
    """On a street without trucks, so that there is nothing to fit."""
    result = label_street(tmp_path / "output", "--classes", "truck", *options)
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    assert manifest["config"]["grouping"]["kind"] == kind


def test_scene_is_labelled_in_windows(label_street, tmp_path):
    windows = ("--grouping", "scene", "--set", "grouping.window_instances=4")
    result = label_street(tmp_path / "output", "--serial", *windows)
    assert result.exit_code == 0, result.output
    assert "Groups    2 of 2 labelled, 0 failed" in result.stdout
    labels = read_labels(tmp_path / "output")
    assert labels.num_rows > 24
    fits = labels.select(["instance_id", "x_world", "y_world", "yaw_world", "target_frame"]).to_pandas()
    assert len(fits.drop_duplicates()) == fits["instance_id"].nunique() > 4


def test_failed_groups_make_it_exit_with_3(label_street, broken_labeler, tmp_path, monkeypatch):
    monkeypatch.setattr(engines.label, "__kwdefaults__", {"labeler_factory": broken_labeler})
    result = label_street(tmp_path / "output", "--serial", "--limit", "1")
    assert result.exit_code == 3
    assert "ZeroDivisionError: of all things" in result.stdout
    assert "Note      The same command tries the failed groups again." in result.stdout


def test_labeler_that_cannot_be_set_up_makes_it_exit_with_1(label_street, tmp_path, monkeypatch):
    def no_labeler(config, device):
        raise MemoryError("no room\n  for the weights")

    with monkeypatch.context() as patch:
        patch.setattr(engines.label, "__kwdefaults__", {"labeler_factory": no_labeler})
        result = label_street(tmp_path / "output", "--limit", "1")
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith(("Indexing", "Configuration"))]
    said, _, logs = line.partition("; Ray's logs are in ")
    assert said == "Error: the labeler cannot be set up on cpu: MemoryError: no room for the weights"
    assert Path(logs).is_dir()
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    assert manifest["status"] == "failed"
    assert manifest["error"] == said.removeprefix("Error: ")
    assert label_street(tmp_path / "output", "--limit", "1", "--serial").exit_code == 0
