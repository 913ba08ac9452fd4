"""Runs of training as they are read back, and how long-lived ones are started and ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

SEQUENCE = "2013_05_28_drive_0000_sync"
Train = Callable[..., Result]
ENDLESS = ("--set", "optimisation.steps=1000000")
SCRIPT = Path(sys.executable).with_name("vsrd-ray")


def arguments(root: Path, cache: Path, output: Path, config: object, *options: object) -> list[object]:
    """Of a run on the street."""
    return [
        *("train", "--root", root, "--sequence", SEQUENCE, "--cache", cache, "--config", config),
        *("--output", output, *options),
    ]


def history(run: Path, kind: str = "train") -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "history.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == kind]


def newest(run: Path) -> int:
    """Steps of the newest checkpoint; 0 where there is none."""
    return max((int(path.stem.removeprefix("step-")) for path in run.glob("checkpoints/step-*.pt")), default=0)


def start(
    folder: Path, environment: dict[str, str], words: list[object], *, script: Path = SCRIPT
) -> subprocess.Popen[str]:
    """A script, `vsrd-ray` by default, in a process group of its own; what it says is in log.txt."""
    with (folder / "log.txt").open("w") as log:
        return subprocess.Popen(
            [sys.executable, str(script), *map(str, words)],
            env=environment,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
            cwd=folder,
        )


def kill(process: subprocess.Popen[str]) -> None:
    """End it as a machine that goes away does."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(is_true: Callable[[], object], process: subprocess.Popen[str], *, what: str, seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert process.poll() is None, f"the process ended with {process.returncode} before {what}"
        assert time.monotonic() < end, f"expected {what} within {seconds} s"
        time.sleep(0.2)
