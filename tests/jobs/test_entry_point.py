"""The entry point itself: the click command of the CLI, from the folder that was submitted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ray_head import JOBS

STAND_IN = """
import os, sys
def main(arguments):
    print(*arguments, os.environ["RAY_ADDRESS"])
    sys.exit(3)
"""


@pytest.fixture
def submitted(tmp_path: Path) -> Path:
    """A working folder with the entry point and a stand-in for the package, which is installed as well."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "vsrd_ray").mkdir()
    shutil.copy(JOBS / "label.py", tmp_path / "jobs")
    (tmp_path / "vsrd_ray" / "__init__.py").touch()
    (tmp_path / "vsrd_ray" / "cli.py").write_text(STAND_IN)
    return tmp_path


def start(script: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
    command = [sys.executable, script, *arguments]
    return subprocess.run(
        command, cwd=script.parent, env=environment | variables, capture_output=True, text=True, check=False
    )


def test_submitted_package_is_used_and_the_exit_code_passes_through(submitted: Path):
    done = start(submitted / "jobs" / "label.py", "--sequence", "all")
    assert (done.stdout.split(), done.returncode) == (["label", "--sequence", "all", "auto"], 3)


def test_address_of_the_job_is_kept(submitted: Path):
    done = start(submitted / "jobs" / "label.py", RAY_ADDRESS="10.0.0.1:6379")
    assert done.stdout.split() == ["label", "10.0.0.1:6379"]


def test_options_are_those_of_the_command():
    from click.testing import CliRunner

    from vsrd_ray.cli import main

    done = start(JOBS / "label.py", "--help")
    assert done.returncode == 0, done.stderr
    options = CliRunner().invoke(main, ["label", "--help"], terminal_width=78).output.split("Options:")[1]
    assert done.stdout.split("Options:")[1].split() == options.split()


def test_bad_input_is_one_line_and_exit_code_2():
    done = start(JOBS / "label.py", "--sequence", "x", "--root", "/nowhere", "--num-actors", "none")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
