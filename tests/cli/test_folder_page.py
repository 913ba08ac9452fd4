"""What docs/folders.md tells to type works, and its camera file is one."""

import re
import shlex
from pathlib import Path

import pytest
from own_drives import write_drive

from vsrd_ray.datasets.folder.camera import read_camera_file

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "folders.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_commands(street, command, quick):
    write_drive(Path("drives"), street, "tum", name="walk")
    lines = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
    assert len(lines) >= 2
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "vsrd-ray"
        result = command(*words, *([*quick, "--serial", "--limit", "1"] if words[0] == "label" else []))
        assert result.exit_code == 0, f"{line}: {result.output}"
    assert Path("walk_labels", "manifest.json").is_file()


def test_the_camera_file_is_one(tmp_path):
    (text,) = (text for language, text in BLOCKS if language == "yaml")
    (tmp_path / "camera.yaml").write_text(text)
    file = read_camera_file(tmp_path)
    pinhole = file.pinhole("camera.yaml")
    assert (file.up, file.scale) == ((0.0, 0.0, 1.0), 1.0)
    assert pinhole is not None and pinhole.image_size == (1408, 376)
    (tmp_path / "camera.yaml").write_text(
        text.replace("scale: ", "# scale: ").replace("# camera_height", "camera_height")
    )
    assert read_camera_file(tmp_path).camera_height == 1.55
