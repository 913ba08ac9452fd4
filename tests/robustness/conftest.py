"""A small street and a run over it, which each test may copy and damage."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from edits import ARCHIVE

from vsrd_ray.cli import main

SEQUENCE = "2013_05_28_drive_0000_sync"


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `root` (a street of 8 frames with 4 parked cars and one that drives) and `out`, a run over it."""
    folder = tmp_path_factory.mktemp("sound")
    size = ("--frames", 8, "--cars", 4, "--moving", 1, "--seed", 5, "--image-size", "704x188")
    made = _run("synthesize", folder / "root", *size)
    assert made.exit_code == 0, made.output
    labelled = _run("label", "--root", folder / "root", "--sequence", SEQUENCE, "--output", folder / "out", "--serial")
    assert labelled.exit_code == 0, labelled.output
    return folder


@pytest.fixture
def here(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the test, with its own copy of `root` and of `out`."""
    folder = tmp_path / "here"
    shutil.copytree(sound, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("KITTI360_DATASET", raising=False)
    return folder


@pytest.fixture
def command(here: Path) -> Callable[..., Result]:
    """Runs `vsrd-ray` with arguments in the working folder, in this process."""
    return _run


@pytest.fixture
def label(command: Callable[..., Result]) -> Callable[..., Result]:
    """Runs `vsrd-ray label --serial` over the sequence of `root` into `new`, or as the options say."""

    def run(*options: object, root: str = "root", sequence: str = SEQUENCE, output: str = "new") -> Result:
        return command("label", "--root", root, "--sequence", sequence, "--output", output, "--serial", *options)

    return run


@pytest.fixture
def refused() -> Callable[..., str]:
    """Checks that a command ended with exit code 2 and one line that holds all of some words; gives the line."""

    def check(result: Result, *words: str) -> str:
        assert result.exit_code == 2, result.output
        line = result.stderr.splitlines()[-1]
        assert line.startswith("Error: ") or line.startswith("Usage"), result.stderr
        assert "Traceback" not in result.output
        missing = [word for word in words if word not in line]
        assert not missing, (missing, line)
        return line

    return check


@pytest.fixture
def kitti(command):
    """Exports the run as KITTI text."""

    def export(*options: str, output: str = "kitti"):
        return command("export", "out", "--root", "root", "--format", "kitti", "--output", output, *options)

    result = export()
    assert result.exit_code == 0, result.output
    return export


@pytest.fixture
def take(command):
    """Imports a folder of KITTI text or, by its name, of CVAT's archives."""

    def run(source: str | Path = "kitti", *options: str, format: str | None = None):
        format = format or ("cvat" if "cvat" in str(source) else "kitti")
        return command("import", "out", source, "--root", "root", "--format", format, *options)

    return run


@pytest.fixture
def archive(command):
    """Exports the run to CVAT; changes the document in the archive."""
    assert command("export", "out", "--root", "root", "--format", "cvat", "--output", "cvat").exit_code == 0

    def change(how: Callable[[dict[str, Any]], Any], path: Path = ARCHIVE) -> None:
        with zipfile.ZipFile(ARCHIVE) as packed:
            document = json.loads(packed.read("annotations/default.json"))
        how(document)
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("annotations/default.json", json.dumps(document))

    return change
