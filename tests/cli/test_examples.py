"""The example of each labeler runs, line by line, and leaves what it says."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from vsrd_ray import plugins
from vsrd_ray.cli import main

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LEFT = {
    "boxes": ("boxes/report.html", "boxes/evaluation.json", "kitti/training/label_2/000000.txt"),
    "points": ("points/report.html", "semantickitti"),
    "occupancy": ("voxels.mp4", "occ3d"),
    "density": ("fields/transition.mp4", "depth"),
    "masks": ("masks.json", "boxes/manifest.json"),
}
LABELERS = {"vsrd": "boxes"} | {name: name for name in LEFT if name != "boxes"}


def test_each_labeler_has_one():
    assert {LABELERS[name] for name in plugins.installed("labelers")} == LEFT.keys()
    assert {path.name for path in EXAMPLES.iterdir()} == {*LEFT, "train_detector"}


@pytest.mark.parametrize("name", LEFT)
def test_example_runs(name, tmp_path, monkeypatch):
    script = EXAMPLES / name / "run.sh"
    assert script.stat().st_mode & 0o100
    monkeypatch.chdir(tmp_path)
    if name == "masks":
        pytest.importorskip("transformers", reason="no transformers: pip install 'vsrd-ray[masks]'")
        import tiny_models

        tiny_models.mask2former(tmp_path / "model")
    commands = [shlex.split(line) for line in script.read_text().splitlines() if line.startswith("vsrd-ray ")]
    assert len(commands) >= 5
    for _, *words in commands:
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, f"{words}: {result.output}"
    for place in LEFT[name]:
        assert (tmp_path / place).exists(), place


def test_a_detector_is_trained_on_each_set_of_boxes(tmp_path):
    pytest.importorskip("transformers", reason="no transformers: pip install 'vsrd-ray[masks]'")
    short = ["--streets", "1", "--frames", "12", "--steps", "20"]
    command = [sys.executable, EXAMPLES / "train_detector" / "train.py", tmp_path, *short]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *_, header, true, every, sure, doubtful = done.stdout.splitlines()
    assert header.split() == ["trained", "on", "boxes", "AP", "at", "1", "m", "AP", "at", "2", "m"]
    counts = [int(line.split()[-3]) for line in (true, every, sure, doubtful)]
    assert counts[0] > 0 and counts[1] == counts[2] + counts[3] > 0
    assert all(0 <= float(one) <= 100 for line in (true, every, sure, doubtful) for one in line.split()[-2:])
    assert float(true.split()[-1]) > 0  # of 20 steps
