"""The entry points of evaluation and training as Ray jobs: the click commands, from the submitted folder."""

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
    sys.exit(2)
"""


def start(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
    command = [sys.executable, script, *arguments]
    return subprocess.run(command, cwd=script.parent, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_submitted_package_is_used_and_the_exit_code_passes_through(tmp_path: Path, command: str):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "vsrd_ray").mkdir()
    shutil.copy(JOBS / f"{command}.py", tmp_path / "jobs")
    (tmp_path / "vsrd_ray" / "__init__.py").touch()
    (tmp_path / "vsrd_ray" / "cli.py").write_text(STAND_IN)
    done = start(tmp_path / "jobs" / f"{command}.py", "labels", "--official")
    assert (done.stdout.split(), done.returncode) == ([command, "labels", "--official", "auto"], 2)


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_options_are_those_of_the_command(command: str):
    from click.testing import CliRunner

    from vsrd_ray.cli import main

    done = start(JOBS / f"{command}.py", "--help")
    assert done.returncode == 0, done.stderr
    options = CliRunner().invoke(main, [command, "--help"], terminal_width=78).output.split("Options:")[1]
    assert done.stdout.split("Options:")[1].split() == options.split()
