"""`label --config pointsam` on a real local Ray: the bytes of this one process, whatever was done before."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.synthetic import StreetSettings, synthesize

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

SETTINGS = StreetSettings(
    frames=6, cars=4, seed=4, image_size=(352, 94), layers=("lidar", "surround"), lidar_rings=24, lidar_columns=512
)


def run(root, output, *options):
    words = ["label", "--config", "pointsam", "--root", root, "--sequence", "all", "--output", output]
    result = CliRunner().invoke(main, [str(word) for word in (*words, *options)])
    assert result.exit_code == 0, result.output
    return result.output


def write_masks(root):
    """True masks of all cameras as PointSAM's; every object is a car."""
    for path in (root / "truth" / "instance").rglob("*.png"):
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        instance = np.unique(ids, return_inverse=True)[1].reshape(ids.shape) - 1
        folder = root / "masks" / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / f"instance_{path.stem}.npz", data=np.where(ids > 0, instance, -1).astype(np.int32))
        np.savez_compressed(folder / f"semantic_{path.stem}.npz", data=np.where(ids > 0, 0, 10).astype(np.int32))


def labels_in(output):
    files = sorted(path for kind in ("points", "clusters") for path in (output / kind).rglob("*.parquet"))
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def test_streets_and_nuscenes_have_the_same_bytes_on_ray_and_after_a_kill(tmp_path):
    street = tmp_path / "street"
    synthesize(street, SETTINGS)
    write_masks(street / "data_nuscenes" / SETTINGS.sequence)
    for root in (street, street / "data_nuscenes" / SETTINGS.sequence):
        name = root.parent.name
        run(root, tmp_path / name / "serial", "--serial")
        expected = labels_in(tmp_path / name / "serial")
        assert len(expected) == 2
        run(root, tmp_path / name / "killed", "--serial", "--limit", "1")
        said = run(root, tmp_path / name / "killed", "--num-actors", "1")
        assert "0 failed" in said
        assert labels_in(tmp_path / name / "killed") == expected
