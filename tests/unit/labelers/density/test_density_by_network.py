"""Labels by a trained network, through the commands; and one's own images."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from walls import BASELINE, DRIVE, FOCAL, HEIGHT, WIDTH, job_of, open_wall, run_job, write_wall

from vsrd_ray.cli import main
from vsrd_ray.labels.depth.schema import TABLE as DEPTH
from vsrd_ray.labels.voxels.schema import TABLE as VOXELS
from vsrd_ray.labels.voxels.schema import UNSEEN, decoded
from vsrd_ray.runs.folder import RunFolder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_wall(tmp_path_factory.mktemp("wall") / "root")


@pytest.fixture(scope="module")
def runs(root, tmp_path_factory):
    """A teacher and a student that have been trained for two steps."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("teacher", "student"):
        changes = {"optimisation": {"steps": 2}, "watching": {"checkpoint_every": 2, "validation_samples": 0}}
        run_job(job_of(f"density_{name}", open_wall(root), folder / name, changes=changes))
        record = folder / name / "training.json"
        record.write_text(json.dumps({}))
    return folder


def call(*words, code=0):
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_a_network_labels_a_drive(root, runs, tmp_path, role):
    words = ["label", "--root", root, "--sequence", DRIVE, "--config", "density", "--serial"]
    words += ["--set", f"source={role}", "--set", f"checkpoint={runs / role}", "--set", "voxel_size=1.0"]
    call(*words, "--set", "ahead=12", "--output", tmp_path / "out")
    run = RunFolder(tmp_path / "out", root)
    maps = run.rows(DEPTH, DRIVE).to_pylist()
    assert [row["frame"] for row in maps] == [0, 1, 2, 3]
    (row,) = run.rows(VOXELS, DRIVE).to_pylist()
    voxels = decoded(row)
    seen = voxels.state != UNSEEN
    assert 0 < seen.sum() < voxels.state.size
    assert np.isfinite(voxels.density.astype(float)).all()
    assert not voxels.density[~seen].any()


def test_a_source_without_a_checkpoint_is_told(root, tmp_path):
    words = ["label", "--root", root, "--sequence", DRIVE, "--config", "density", "--output", tmp_path / "out"]
    assert "source=student needs checkpoint" in call(*words, "--set", "source=student", code=2)
    assert "no checkpoint" in call(*words, "--set", "source=student", "--set", "checkpoint=nowhere.pt", code=2)


def test_ones_own_images(root, runs, tmp_path):
    image = root / "data_2d_raw" / DRIVE / "image_00" / "data_rect" / "0000000001.png"
    words = ["density", image, "--checkpoint", runs / "student", "--output", tmp_path / "seen"]
    told = call(*words, "--intrinsics", f"{FOCAL},{FOCAL},{WIDTH / 2},{HEIGHT / 2}")
    assert "0000000001: depth" in told
    depth = cv2.imread(str(tmp_path / "seen" / "0000000001-depth.png"), cv2.IMREAD_UNCHANGED)
    assert (depth.dtype, depth.shape) == (np.uint16, (HEIGHT, WIDTH))
    assert 3 * 0.5 < depth.min() / 256 < depth.max() / 256 <= 80
    assert (tmp_path / "seen" / "0000000001.ply").read_bytes().startswith(b"ply\n")
    assert (tmp_path / "seen" / "0000000001-seen.png").exists()
    assert "expected four numbers" in call(*words, "--intrinsics", "1,2", code=2)
    assert "too small for images" in call(*words, "--intrinsics", f"{BASELINE},1,10,10", code=2)
    assert "two images are named" in call("density", image, image, *words[2:], "--intrinsics", "kitti360", code=2)
