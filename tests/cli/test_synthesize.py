import re
from pathlib import Path

from click.testing import CliRunner

from vsrd_ray.cli import main

TINY = ["--frames", "1", "--cars", "1", "--image-size", "64x32", "--jobs", "1"]


def test_an_unknown_layer_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["synthesize", str(tmp_path / "out"), "--layers", "depth,pan-optic"])
    assert result.exit_code != 0
    assert "--layers: unknown layer 'pan-optic'; did you mean 'panoptic'?" in result.output
    assert not (tmp_path / "out").exists()


def test_what_was_written_is_printed_and_there(tmp_path: Path) -> None:
    command = ["synthesize", str(tmp_path), *TINY, "--layers", "depth,right,lidar", "--lidar-columns", "64"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    places = dict(re.findall(r"^  (.+): (/.+)$", result.output, flags=re.MULTILINE))
    assert {"depth of image_00", "images of image_01", "LiDAR sweeps", "poses of the LiDAR"} <= set(places)
    assert all(Path(place).exists() for place in places.values())


def test_sizes_name_their_option(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["synthesize", str(tmp_path), "--surround-size", "480"])
    assert "--surround-size 480: expected WIDTHxHEIGHT" in result.output
