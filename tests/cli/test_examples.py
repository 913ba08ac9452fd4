"""The example of each labeler runs, line by line, and leaves what it says."""

import shlex
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
    assert {path.name for path in EXAMPLES.iterdir()} == LEFT.keys()


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
