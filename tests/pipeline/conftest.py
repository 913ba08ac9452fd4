"""Requests to label the street with a labeler that needs no time."""

import sys
from pathlib import Path

import pytest
from builders import make_request

sys.path.insert(0, str(Path(__file__).parent))  # for standin.py

from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.pipeline.pool import PoolRequest
from vsrd_ray.pipeline.request import LabelRequest

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture(scope="session")
def config() -> VSRDConfig:
    return VSRDConfig.model_validate({"grouping": {"num_sources": 4, "min_area": 32, "min_box_side": 4}})


@pytest.fixture
def request_for(street: Path, config: VSRDConfig, tmp_path: Path):
    """Makes a request for the street, into `output` and without Ray unless said otherwise."""

    def make(**changes) -> LabelRequest:
        values = {"root": street, "sequences": (SEQUENCE,), "output": tmp_path / "output", "config": config}
        return make_request(**(values | {"serial": True, "pool": PoolRequest(num_actors=(1, 1))} | changes))

    return make


@pytest.fixture(scope="session", autouse=True)
def _portable_stand_in() -> None:
    import standin

    standin.send_along()
