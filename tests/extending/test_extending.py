"""docs/extending.md: its package is installed as it stands, and every command that it shows is run.

That adding a dataset, a labeler and a kind of label touches no file of the package is what this test is about.
"""

import csv
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "extending.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
FRAMES = 14
GROUPS = 6  # the first two frames cannot be used: one has no pose, one has no image

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with the one that the page builds."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for language, text in BLOCKS:
        if language != "sh":
            name, _, content = text.partition("\n")
            path = source / name.removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--no-compile", "--quiet"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options, "--target", site, source]
    subprocess.run(pip, check=True, capture_output=True)
    return site


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an album of one drive, to work in."""
    home = tmp_path_factory.mktemp("home")
    drive = home / "album" / "walk"
    (drive / "images").mkdir(parents=True)
    (drive / "camera.json").write_text(json.dumps({"K": [[50, 0, 16], [0, 50, 8], [0, 0, 1]], "image_size": [32, 16]}))
    brightness = {frame: (37 * frame) % 200 for frame in range(1, FRAMES)}
    for frame, value in brightness.items():
        assert cv2.imwrite(str(drive / "images" / f"{frame}.png"), np.full((16, 32, 3), value, np.uint8))
    for name, header, rows in (
        ("poses.csv", ("frame", "x", "y"), [(frame, frame, 0) for frame in range(FRAMES) if frame != 1]),
        ("truth.csv", ("frame", "brightness"), [(frame, value + 1) for frame, value in brightness.items()]),
    ):
        with (drive / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    return home


@pytest.fixture(scope="module")
def environment(site: Path) -> dict[str, str]:
    """Of a shell in which the package is installed."""
    paths = [str(site), str(REPOSITORY)]
    return {name: value for name, value in os.environ.items() if name != "KITTI360_DATASET"} | {
        "PYTHONPATH": os.pathsep.join(paths)
    }


@pytest.fixture(scope="module")
def vsrd_ray(home: Path, environment: dict[str, str]) -> Run:
    """Runs `vsrd-ray` with some arguments."""

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(*arguments), cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    return run


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from vsrd_ray.cli import main; main()", *arguments]


LABEL = ("label", "--root", "album", "--sequence", "walk", "--config", "meter")


def contents(output: Path) -> dict[str, bytes]:
    """The labels in a folder, by their paths, and its marks but for how long groups took."""
    files = sorted((output / "brightness").rglob("*"))
    return {str(path.relative_to(output)): path.read_bytes() for path in files if path.is_file()}


def digest_of_the_package() -> str:
    digest = hashlib.sha256()
    for path in sorted((REPOSITORY / "vsrd_ray").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(REPOSITORY)).encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_the_package_is_touched() -> None:
    before = digest_of_the_package()
    yield
    assert digest_of_the_package() == before


@pytest.fixture(scope="module")
def serial(vsrd_ray: Run, home: Path) -> dict[str, bytes]:
    """What one process labels."""
    summary = vsrd_ray(*LABEL, "--output", "serial", "--serial").stdout
    assert f"Groups    {GROUPS} of {GROUPS} labelled, 0 failed" in summary
    assert "Frames    12 of 14 labelled, 2 skipped" in summary
    assert "Brightness12" in summary.replace(" ", "")
    assert "vsrd-ray evaluate serial --root" in summary and "vsrd-ray report serial --root" in summary
    found = contents(home / "serial")
    # Three groups a file.
    assert sorted(found) == [f"brightness/sequence=walk/walk-front-part0000{n}.parquet" for n in (0, 1)]
    return found


def test_what_is_installed_is_listed(vsrd_ray: Run):
    datasets, labelers = (json.loads(vsrd_ray(name, "--json").stdout) for name in ("datasets", "labelers"))
    assert datasets["album"]["cameras"] == ["front"] and "kitti360" in datasets
    assert labelers["meter"]["configs"] == ["meter"] and labelers["meter"]["needs"] == ["images"]
    assert labelers["meter"]["writes"] == ["brightness (how bright each frame is)"]


def test_every_command_of_the_page_runs(vsrd_ray: Run, home: Path, serial: dict[str, bytes]):
    assert COMMANDS[0] == "pip install ."
    for line in COMMANDS[1:]:
        name, *arguments = shlex.split(line)
        assert name == "vsrd-ray"
        more = ["--serial"] if arguments[0] == "label" else []
        vsrd_ray(*arguments, *more)
    assert contents(home / "readings") == serial
    evaluation = json.loads((home / "readings" / "evaluation.json").read_text())
    assert evaluation == {"frames": 12, "mean_error": 1.0}
    assert (home / "readings.csv").read_text().splitlines()[1] == "walk,2,74.000"
    page = (home / "readings" / "report.html").read_text()
    assert "<h1>Brightness</h1>" in page and "data:image/jpeg" in page


@pytest.mark.ray
def test_ray_gives_the_same_bytes(vsrd_ray: Run, home: Path, serial: dict[str, bytes]):
    vsrd_ray(*LABEL, "--output", "on-ray", "--num-actors", "1")
    assert contents(home / "on-ray") == serial


def test_a_run_that_was_killed_goes_on(
    vsrd_ray: Run, home: Path, environment: dict[str, str], serial: dict[str, bytes]
):
    slow = (*LABEL, "--set", "seconds=1.5", "--output", "killed", "--serial")
    with subprocess.Popen(command(*slow), cwd=home, env=environment, stderr=subprocess.DEVNULL) as process:
        groups = home / "killed" / "groups"
        while len(list(groups.glob("walk-*.parquet"))) < 2 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    left = {path.name: path.stat().st_mtime_ns for path in groups.glob("walk-from-*.parquet")}
    assert json.loads(vsrd_ray("status", "killed", "--json").stdout)["status"] == "running"
    vsrd_ray(*slow)
    state = json.loads(vsrd_ray("status", "killed", "--json").stdout)
    assert state["status"] == "complete" and 0 < state["progress"]["groups_new"] <= GROUPS - len(left)
    assert contents(home / "killed").keys() == serial.keys()
    assert "Nothing was left to do" in vsrd_ray(*slow).stdout


def test_what_does_not_fit_is_refused(vsrd_ray: Run, home: Path, serial: dict[str, bytes]):
    error = vsrd_ray("evaluate", "serial", "--root", "album", "--official", code=2).stderr
    assert "--official is not for brightness" in error
    error = vsrd_ray("export", "serial", "--root", "album", "--format", "kitti", "--output", "x", code=2).stderr
    assert "there is no format 'kitti'" in error and "brightness-list" in error
    error = vsrd_ray(*LABEL[:-1], "metre", "--output", "y", code=2).stderr
    assert "no configuration 'metre'; did you mean 'meter'?" in error
    error = vsrd_ray(*LABEL, "--classes", "lump", "--output", "y", code=2).stderr
    assert "no class 'lump' in the album; did you mean 'lamp'?" in error
    error = vsrd_ray(*LABEL, "--dataset", "albun", "--output", "y", code=2).stderr
    assert "no dataset 'albun' is installed; did you mean 'album'?" in error
    assert not (home / "x").exists() and not (home / "y").exists()
