"""Runs commands in this process, on copies of a short street."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from vsrd_ray.cli import main
from vsrd_ray.data.synthetic import StreetSettings, synthesize


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROOT with a short drive past a few cars; read it, do not change it."""
    root = tmp_path_factory.mktemp("street")
    synthesize(root, StreetSettings(frames=12, cars=4, image_size=(352, 96), seed=3))
    return root


@pytest.fixture
def root(street: Path, tmp_path: Path) -> Path:
    """A copy of the street to spoil."""
    return shutil.copytree(street, tmp_path / "root", copy_function=shutil.copy2)


@pytest.fixture(scope="session")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VSRD with so few steps, rays and samples that it takes no time."""
    path = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    values = {
        "grouping": {"num_sources": 4, "min_area": 64, "min_box_side": 6},
        "masks": {"distance": "transform"},
        "rendering": {"num_rays": 16, "coarse_samples": 8, "fine_samples": 8},
        "schedule": {"steps": 3, "residual_from": 1},
    }
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `vsrd-ray` with arguments, in an empty working folder and without KITTI360_DATASET."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("KITTI360_DATASET", raising=False)
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Takes back where a command sends its messages."""
    yield
    package = logging.getLogger("vsrd_ray")
    package.handlers = []
    package.setLevel(logging.NOTSET)
