"""The container file: clean to hadolint, with the versions that are tested, and not run as root."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from ray_head import JOBS, REPOSITORY

FILE = JOBS / "Containerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HADOLINT, "--no-color", path], capture_output=True, text=True, check=False)


def instructions() -> list[tuple[str, str]]:
    """(`RUN`, what follows) of each instruction, with continued lines joined and comments left out."""
    lines = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def test_it_is_clean_to_hadolint():
    done = lint(FILE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("ray:2.60.0-py311-gpu", "ray:latest", "DL3007"),
        ("USER 1000:100", "USER root", "DL3002"),
        (" --no-cache-dir", "", "DL3042"),
        ("# hadolint ignore=DL3008\n", "", "DL3008"),
    ],
)
def test_hadolint_finds_fault_with_a_spoilt_file(tmp_path: Path, old: str, new: str, rule: str):
    spoilt = tmp_path / "Containerfile"
    assert old in FILE.read_text()
    spoilt.write_text(FILE.read_text().replace(old, new))
    done = lint(spoilt)
    assert done.returncode == 1 and rule in done.stdout


def test_image_has_the_ray_that_is_tested():
    [base] = [rest for word, rest in instructions() if word == "FROM"]
    assert base == f"rayproject/ray:{version('ray')}-py311-gpu"
    assert f"ray=={version('ray')}" in (REPOSITORY / "constraints.txt").read_text().splitlines()


def test_nothing_is_copied_but_the_package_and_what_pip_needs():
    copied = [rest.split()[1:-1] for word, rest in instructions() if word == "COPY"]
    names = [name for group in copied for name in group]
    assert sorted(names) == ["LICENSE", "README.md", "constraints.txt", "pyproject.toml", "vsrd_ray"]
    allowed = {line[1:] for line in (JOBS / "Containerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert allowed == set(names) and all((REPOSITORY / name).exists() for name in names)


def test_extras_that_it_installs_exist():
    [named] = re.findall(r"\"\.\[([\w,]+)\]\"", FILE.read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert set(named.split(",")) <= set(project["optional-dependencies"])


def test_it_ends_as_no_root():
    assert [rest for word, rest in instructions() if word == "USER"][-1] == "1000:100"
