"""The package of docs/training.md, installed in this process and for those that it starts."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy_package
from click.testing import CliRunner, Result
from learning import Train, arguments

from vsrd_ray import plugins
from vsrd_ray.cli import main
from vsrd_ray.labelers import trainables


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    toy_package.install(folder)
    return folder


@pytest.fixture(scope="module")
def toy(site: Path) -> Iterator[None]:
    """The package, where this process finds it."""
    cached = (plugins.load, plugins.installed, plugins._entry_points)
    cached += (trainables.installed_trainables, trainables._shipped)

    def forget() -> None:
        for function in cached:
            function.cache_clear()

    sys.path.insert(0, str(site))
    forget()
    yield
    sys.path.remove(str(site))
    forget()
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def train(toy: None, street: Path, cache: Path) -> Train:
    """Runs `vsrd-ray train` on the street with some options, in this process."""

    def run(output: Path, *options: object, config: object = "colours") -> Result:
        return CliRunner().invoke(main, list(map(str, arguments(street, cache, output, config, *options))))

    return run


@pytest.fixture(scope="session")
def environment(site: Path) -> dict[str, str]:
    """Of processes in which the package is installed."""
    paths = [str(site), str(toy_package.REPOSITORY)]
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | {
        "PYTHONPATH": os.pathsep.join(paths)
    }
