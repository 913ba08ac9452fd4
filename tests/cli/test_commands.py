"""Every command on a short street, from synthesizing it to looking at its labels."""

import json

import pytest

from vsrd_ray.labels.kitti import read_frame
from vsrd_ray.labels.parquet import read_groups, read_labels

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture(scope="module")
def labelled(street, settings_file, local_ray, tmp_path_factory):
    """What `vsrd-ray label` said, and OUTPUT."""
    from click.testing import CliRunner

    from vsrd_ray.cli import main

    output = tmp_path_factory.mktemp("labelled") / "output"
    arguments = ["label", "--root", street, "--sequence", SEQUENCE, "--output", output, "--config", settings_file]
    arguments += ["--num-actors", "1", "--set", "schedule.steps=2", "--limit", "2", "--trace"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result, output


@pytest.mark.ray
def test_label_writes_what_it_says(labelled, street):
    result, output = labelled
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["config"]["schedule"]["steps"] == 2
    assert read_groups(output).num_rows == 2
    labels = read_labels(output)
    assert set(labels["labeler"].to_pylist()) == {"vsrd"}
    assert len(list((output / "trace").glob("*.parquet"))) == 2
    assert f"Boxes     {labels.num_rows}" in result.stdout
    assert f"Next      vsrd-ray visualize labels {output} --root {street}" in result.stdout
    assert "2/2 groups" in result.stderr


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_label_goes_to_outputs_by_default(command, street, settings_file, tmp_path, monkeypatch):
    monkeypatch.setenv("KITTI360_DATASET", str(street))
    result = command("label", "--sequence", SEQUENCE, "--config", settings_file, "--classes", "truck")
    assert result.exit_code == 0, result.output
    assert "no frame shows a truck" in result.stdout
    assert (tmp_path / "here" / "outputs" / SEQUENCE / "manifest.json").is_file()


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_label_with_failed_groups_exits_with_3(command, street, settings_file, tmp_path, monkeypatch):
    from vsrd_ray.pipeline import run

    def broken(config, device):
        class Broken:
            name = "broken"

            def label(self, group, *, seed, trace=None):
                raise ZeroDivisionError("of all things")

        return Broken()

    monkeypatch.setattr(run.label, "__kwdefaults__", {"labeler_factory": broken})
    options = ("--root", street, "--sequence", SEQUENCE, "--config", settings_file, "--output", tmp_path / "output")
    result = command("label", *options, "--num-actors", "1", "--limit", "1")
    assert result.exit_code == 3
    assert "ZeroDivisionError: of all things" in result.stdout
    assert "tries the failed groups again" in result.stdout


def test_interrupted_command_exits_with_130(command, street, settings_file, monkeypatch):
    from vsrd_ray.pipeline import run

    def interrupted(request):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "label", interrupted)
    result = command("label", "--root", street, "--sequence", SEQUENCE, "--config", settings_file)
    assert result.exit_code == 130


@pytest.mark.ray
def test_evaluate(labelled, command, street):
    _, output = labelled
    text = command("evaluate", output, "--root", street, "--max-range", "30")
    assert text.exit_code == 0, text.output
    assert "IoU3D" in text.stdout
    assert json.loads(command("evaluate", output, "--root", street, "--json").stdout)["max_range"] == 40


@pytest.mark.ray
def test_convert_labels(labelled, command, tmp_path):
    _, output = labelled
    result = command("convert", output, "--to", tmp_path / "text")
    assert result.exit_code == 0, result.output
    here, there = (folder / SEQUENCE / "image_00" / "label_2" for folder in (output / "kitti", tmp_path / "text"))
    assert {path.name: path.read_bytes() for path in here.iterdir()} == {
        path.name: path.read_bytes() for path in there.iterdir()
    }


def test_convert_truth(command, street, tmp_path):
    result = command("convert", "--truth", "--root", street, "--sequence", SEQUENCE, "--to", tmp_path)
    assert result.exit_code == 0, result.output
    assert "12 label files" in result.stdout
    folder = tmp_path / SEQUENCE / "image_00" / "label_2"
    assert any(read_frame(path) for path in folder.iterdir())


@pytest.mark.ray
def test_visualize_labels(labelled, command, street, tmp_path):
    _, output = labelled
    result = command("visualize", "labels", output, "--root", street, "--sheet", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert not (output / "pictures").exists()
    assert command("visualize", "labels", output, "--root", street).exit_code == 0
    assert len(list((output / "pictures").glob("*.png"))) == len(list(output.glob("kitti/*/*/label_2/*.txt")))


def test_research_steps(command, root, settings_file, tmp_path):
    options = ("--root", root, "--sequence", SEQUENCE)
    result = command("annotate", *options)
    assert result.exit_code == 0, result.output
    assert "12 annotations" in result.stdout
    result = command("sample", *options, "--config", settings_file)
    assert result.exit_code == 0, result.output
    (folder,) = (root / "filenames").glob(f"*/{SEQUENCE}")
    assert folder.parent.name == "R50-N4-M64-B6"
    result = command("visualize", "annotations", *options, "--to", tmp_path / "drive.mp4")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "drive.mp4").stat().st_size > 0


def test_synthesize(command, tmp_path):
    options = ("--frames", "2", "--cars", "2", "--moving", "1", "--seed", "4", "--image-size", "128x64")
    result = command("synthesize", tmp_path / "street", *options)
    assert result.exit_code == 0, result.output
    assert f"{SEQUENCE} written to {tmp_path / 'street'}: 2 frames, 3 cars" in result.stdout
