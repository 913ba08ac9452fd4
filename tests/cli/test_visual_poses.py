"""`vsrd-ray label --poses visual`: poses by the images alone, scaled by what is metric."""

import json
import shutil

import numpy as np
import pytest
from own_drives import write_drive

from vsrd_ray.data.given import Given
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.synthetic import StreetSettings, synthesize

SEQUENCE, FRAMES = "2013_05_28_drive_0000_sync", 9
pytest.importorskip("pycolmap", reason="no pycolmap: pip install 'vsrd-ray[visual]'")


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A short street whose surfaces can be matched."""
    root = tmp_path_factory.mktemp("rich")
    synthesize(root, StreetSettings(frames=FRAMES, cars=3, texture="rich", image_size=(640, 176)), jobs=1)
    return root


@pytest.fixture
def label(command, quick, tmp_path):
    def run(root, name, *options):
        given = ["--serial", "--limit", "1", *quick, "--classes", "truck", *options]
        output = tmp_path / "output"
        return command("label", "--root", root, "--sequence", name, "--poses", "visual", "--output", output, *given)

    return run


def test_poses_of_images_are_scaled_by_the_datasets_own_and_found_again(label, rich, command, tmp_path):
    result = label(rich, SEQUENCE)
    assert result.exit_code == 0, result.output
    model = tmp_path / "output" / ".poses" / SEQUENCE / "images.txt"
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    assert manifest["inputs"]["given"]["pose_file"].endswith(".poses")
    own, made = (open_drive(rich, SEQUENCE, given=given) for given in (Given(), Given(pose_file=model.parents[1])))
    assert made.T_world_cam.keys() == own.T_world_cam.keys() and made.pose_scale is not None
    for frame, pose in own.T_world_cam.items():
        np.testing.assert_allclose(made.T_world_cam[frame][:3, 3], pose[:3, 3], atol=0.03)
        np.testing.assert_allclose(made.T_world_cam[frame][:3, :3], pose[:3, :3], atol=0.003)
    stamp = model.stat().st_mtime_ns
    assert label(rich, SEQUENCE).exit_code == 0  # again, and nothing is made anew
    assert model.stat().st_mtime_ns == stamp


def test_of_ones_own_drive_the_camera_file_tells_metres(label, rich, tmp_path):
    folder = write_drive(tmp_path / "root", rich, "kitti")
    (folder / "poses.txt").unlink()
    result = label(tmp_path / "root", "mine")
    assert result.exit_code == 2
    assert "structure from motion has no metres" in result.output and "camera_height" in result.output
    shutil.copytree(tmp_path / "output" / ".poses", tmp_path / "kept")
    camera = folder / "camera.yaml"
    text, lengths = camera.read_text(), []
    for scale in (1.0, 2.5):
        camera.write_text(f"{text}scale: {scale}\nup: [0.0, -1.0, 0.0]\n")
        drive = open_drive(tmp_path / "root", "mine", given=Given(pose_file=tmp_path / "kept"))
        assert len(drive.T_world_cam) == FRAMES
        lengths.append(np.linalg.norm(drive.T_world_cam[FRAMES - 1][:3, 3] - drive.T_world_cam[0][:3, 3]))
    assert lengths[1] == pytest.approx(2.5 * lengths[0])


def test_images_that_show_nothing_end_in_one_line(label, rich, tmp_path):
    folder = write_drive(tmp_path / "root", rich, "kitti")
    for image in (folder / "images").iterdir():
        shutil.copyfile(next((folder / "masks").iterdir()), image)
    result = label(tmp_path / "root", "mine")
    assert result.exit_code == 2 and "do not tell how the camera moves" in result.output
    assert not (tmp_path / "output" / ".poses" / "mine").exists()
