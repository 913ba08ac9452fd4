"""Driver processes that are killed or interrupted in mid-run, and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from standin import StandIn

from vsrd_ray.pipeline.run import label

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

SCRIPT = Path(__file__).with_name("label_slowly.py")


@pytest.fixture
def start(street: Path, config, tmp_path: Path):
    """Starts a driver that takes `seconds` for a group, in a process group and session of its own."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps(config.model_dump(mode="json")))
    processes = []

    def run(output: Path, *, seconds: float) -> subprocess.Popen:
        command = [sys.executable, str(SCRIPT), str(street), str(output), str(settings), str(seconds)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def wait_until(is_true: Callable[[], bool], *, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"{what} within {seconds} s"
        time.sleep(0.05)


def wait_for_groups(output: Path, count: int) -> None:
    wait_until(lambda: len(list(output.glob("groups/*.parquet"))) >= count, seconds=90, what=f"{count} groups")


def session_processes(process: subprocess.Popen) -> set[int]:
    """Processes that descend from a process: children, and children of these."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            parents[int(folder.name)] = int(fields[1])
    found = {process.pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process.pid}


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_run_goes_on_where_it_was(start, request_for, files_in, tmp_path, kind):
    undisturbed = request_for(output=tmp_path / "undisturbed")
    label(undisturbed, labeler_factory=StandIn)

    output = tmp_path / "interrupted"
    process = start(output, seconds=1.5)
    wait_for_groups(output, 2)
    started = session_processes(process)
    assert started
    os.kill(process.pid, kind)
    _, errors = process.communicate(timeout=60)
    done = {path.name: path.read_bytes() for path in output.glob("groups/*.parquet")}
    assert 2 <= len(done) < len(list(undisturbed.output.glob("groups/*.parquet")))
    assert json.loads((output / "manifest.json").read_text())["status"] == "running"
    if kind == signal.SIGINT:
        assert f"Interrupted with {len(done)} of 6 groups done; the same command goes on from there." in errors

    summary = label(request_for(output=output), labeler_factory=StandIn)
    assert summary.counts.groups_ok == summary.counts.groups == 6
    assert files_in(output, "labels", "kitti") == files_in(undisturbed.output, "labels", "kitti")
    for name, content in done.items():
        assert (output / "groups" / name).read_bytes() == content
    # Ctrl-C stops Ray in order; after a kill, Ray's own watchers end its last processes.
    patience = 1 if kind == signal.SIGINT else 120
    wait_until(lambda: not any(map(is_alive, started)), seconds=patience, what="no process of its Ray left")
