"""Labelers of points, density and voxels on a real local Ray: the bytes of one process, whatever was done before."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.synthetic import StreetSettings, synthesize

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

STREET = StreetSettings(
    frames=6, cars=4, seed=4, image_size=(352, 94), layers=("lidar", "surround"), lidar_rings=24, lidar_columns=512
)


TEXTURED = StreetSettings(
    frames=6, cars=2, seed=4, image_size=(160, 64), mask_noise=0, texture="rich", layers=("depth", "right", "semantics")
)
QUICK = {
    "density": ("frames_a_group=3", "frames_beside=1", "ahead=8", "beside=6", "voxel_size=0.25", "steps=2"),
    "occupancy": ("error=0.05", "apart=1", "range=[-8,-8,-1,12,8,3]"),
}


def run(config, root, output, *options):
    words = ["label", "--config", config, "--root", root, "--sequence", "all", "--output", output]
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


def labels_in(output, *kinds):
    files = sorted(path for kind in kinds for path in (output / kind).rglob("*.parquet"))
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def check_same_bytes(config, root, folder, kinds, *options):
    """Of a run in this process, and of one that ends on Ray what another has begun here."""
    run(config, root, folder / "serial", "--serial", *options)
    expected = labels_in(folder / "serial", *kinds)
    assert len(expected) == len(kinds)
    run(config, root, folder / "resumed", "--serial", "--limit", "1", *options)
    assert labels_in(folder / "resumed", *kinds) != expected
    assert "0 failed" in run(config, root, folder / "resumed", "--num-actors", "1", *options)
    assert labels_in(folder / "resumed", *kinds) == expected


def test_points_of_streets_and_nuscenes(tmp_path):
    street = tmp_path / "street"
    synthesize(street, STREET)
    write_masks(street / "data_nuscenes" / STREET.sequence)
    for root in (street, street / "data_nuscenes" / STREET.sequence):
        check_same_bytes("pointsam", root, tmp_path / root.parent.name, ("points", "clusters"))


def test_density_and_voxels(tmp_path):
    synthesize(tmp_path / "street", TEXTURED)
    for config, kinds in (("density", ("depth", "voxels")), ("occupancy", ("voxels",))):
        settings = [word for setting in QUICK[config] for word in ("--set", setting)]
        check_same_bytes(config, tmp_path / "street", tmp_path / config, kinds, *settings)
