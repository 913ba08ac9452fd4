"""A street to label, with a labeler that needs no time."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for standin.py

from vsrd_ray.config import VSRDConfig
from vsrd_ray.data.synthetic import StreetSettings, synthesize
from vsrd_ray.pipeline.pool import PoolRequest
from vsrd_ray.pipeline.request import LabelRequest

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROOT with a short drive past a few cars; read it, do not change it."""
    root = tmp_path_factory.mktemp("street")
    synthesize(root, StreetSettings(frames=24, cars=6, image_size=(352, 96), seed=3))
    return root


@pytest.fixture(scope="session")
def config() -> VSRDConfig:
    return VSRDConfig.model_validate({"grouping": {"num_sources": 4, "min_area": 32, "min_box_side": 4}})


@pytest.fixture
def request_for(street: Path, config: VSRDConfig, tmp_path: Path):
    """Makes a request for the street, into `output` unless said otherwise."""

    def make(**changes) -> LabelRequest:
        values = {"root": street, "sequences": (SEQUENCE,), "output": tmp_path / "output", "config": config}
        return LabelRequest(**(values | {"pool": PoolRequest(num_actors=(1, 1))} | changes))

    return make


@pytest.fixture(scope="session", autouse=True)
def _portable_stand_in() -> None:
    """Sends the stand-in itself to Ray's workers, which cannot import it."""
    import ray
    import standin

    ray.cloudpickle.register_pickle_by_value(standin)


@pytest.fixture
def files_in() -> Callable[..., dict[str, bytes]]:
    """Reads whole folders: relative path -> bytes."""

    def read(output: Path, *folders: str) -> dict[str, bytes]:
        paths = [path for folder in folders for path in sorted((output / folder).rglob("*")) if path.is_file()]
        return {str(path.relative_to(output)): path.read_bytes() for path in paths}

    return read
