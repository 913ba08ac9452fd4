"""A street of six frames in nuScenes' layout: frames 0 and 3 are keyframes, the others sweeps."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vsrd_ray.datasets.nuscenes import cache
from vsrd_ray.synthetic import StreetSettings, layers, synthesize


@pytest.fixture(scope="session")
def written_street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root in nuScenes' layout; read it, do not change it."""
    folder = tmp_path_factory.mktemp("nuscenes")
    settings = StreetSettings(
        frames=6,
        cars=4,
        moving=1,
        seed=2,
        image_size=(64, 32),
        frame_spacing=2.0,
        lidar_noise=0.0,
        layers=("surround",),
        surround_size=(160, 90),
        keyframe_every=3,
    )
    synthesize(folder, settings)
    return layers.nuscenes_root(folder, settings.sequence)


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what is kept between runs, of this test's own."""
    cache._opened.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def spoilt(written_street: Path, tmp_path: Path) -> Path:
    """A copy of the street to spoil."""
    return shutil.copytree(written_street, tmp_path / "root", copy_function=shutil.copy2)


@pytest.fixture
def edit(spoilt: Path):
    """Changes the rows of a table of the copy."""

    def change(name: str, function) -> Path:
        path = spoilt / "v1.0-mini" / f"{name}.json"
        rows = json.loads(path.read_text())
        path.write_text(json.dumps(function(rows) or rows, indent=0))
        return path

    return change


@pytest.fixture
def write_masks():
    """Writes the pair of maps that PointSAM's masks are, beside an image of a root."""

    def write(root: Path, camera: str, image: str, semantic: np.ndarray, instance: np.ndarray) -> Path:
        folder = root / "masks" / camera
        folder.mkdir(parents=True, exist_ok=True)
        for kind, values in (("semantic", semantic), ("instance", instance)):
            np.savez_compressed(folder / f"{kind}_{Path(image).stem}.npz", data=values.astype(np.int32))
        return folder / f"instance_{Path(image).stem}.npz"

    return write
