"""The console script as users start it: real processes with a Ray of their own, some of them stopped in mid-run."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from vsrd_ray.runs.reading import read_groups

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SCRIPT = Path(sys.executable).with_name("vsrd-ray")
SEQUENCE = "2013_05_28_drive_0000_sync"
LABELS = ("labels", "kitti")
PART = f"{SEQUENCE}-image_00-part00000.parquet"


@dataclass(frozen=True)
class Started:
    """A process, and which processes it has started, however often one looked."""

    process: subprocess.Popen
    output: Path
    home: Path
    descendants: set[tuple[int, str]]  # pid and start time, which together name a process for good

    def look(self) -> None:
        parents = {pid: (parent, began) for pid, parent, began in running_processes()}
        found = {self.process.pid}
        while more := {pid for pid, (parent, _) in parents.items() if parent in found} - found:
            found |= more
        self.descendants.update((pid, parents[pid][1]) for pid in found - {self.process.pid})

    def survivors(self) -> set[tuple[int, str]]:
        return self.descendants & {(pid, began) for pid, _, began in running_processes()}


def running_processes() -> Iterator[tuple[int, int, str]]:
    """Pid, parent and start time of every process that is no zombie."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, *others = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            yield int(folder.name), int(parent), others[17]


def wait_until(is_true: Callable[[], object], *, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"expected {what} within {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def start(street, quick, tmp_path_factory) -> Iterator[Callable[..., Started]]:
    """Starts `vsrd-ray label` on the street, in a session of its own, as a user who has never used Ray."""
    runs: list[Started] = []
    # What a shell starts in the background ignores Ctrl-C, and so would all that it starts in turn.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(*options: str) -> Started:
        folder = tmp_path_factory.mktemp("process")
        (folder / "home").mkdir()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        command = [SCRIPT, "label", "--root", street, "--sequence", SEQUENCE, "--output", folder / "output", *quick]
        process = subprocess.Popen(
            [*map(str, command), "--num-actors", "1", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment | {"HOME": str(folder / "home")},
        )
        runs.append(Started(process, folder / "output", folder / "home", set()))
        return runs[-1]

    yield run
    signal.signal(signal.SIGINT, before)
    for started in runs:
        started.process.kill()
        started.process.communicate()
        for pid, _ in started.survivors():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def stop_after_first_group(start) -> Callable[..., Started]:
    """Starts a run and sends it a signal once a group is done: Ctrl-C to the whole session, as a terminal does."""

    def run(kind: signal.Signals, *options: str) -> Started:
        started = start(*options)
        wait_until(
            lambda: list(started.output.glob("groups/[!.]*.parquet")) or started.process.poll() is not None,
            seconds=600,
            what="a group",
        )
        assert started.process.returncode is None, started.process.communicate()
        started.look()
        (os.killpg if kind == signal.SIGINT else os.kill)(started.process.pid, kind)
        return started

    return run


@pytest.fixture(scope="module")
def killed(stop_after_first_group) -> Started:
    started = stop_after_first_group(signal.SIGKILL)
    started.process.communicate(timeout=600)
    return started


@pytest.fixture(scope="module")
def undisturbed(label_street, tmp_path_factory) -> Path:
    """OUTPUT of a run in one process."""
    output = tmp_path_factory.mktemp("undisturbed") / "output"
    result = label_street(output, "--serial")
    assert result.exit_code == 0, result.output
    return output


def check_rest_is_labelled(started: Started, undisturbed: Path, label_street, files_in, *options: str) -> None:
    """The run was stopped in between, and the same command ends with the labels of an undisturbed run."""
    assert json.loads((started.output / "manifest.json").read_text())["status"] == "running"
    done = read_groups(started.output).to_pylist()
    assert 1 <= len(done) < 6
    assert len(files_in(started.output, "groups")) >= len(done)  # no part before its last group
    result = label_street(started.output, *options)
    assert result.exit_code == 0, result.output
    assert "Groups    6 of 6 labelled, 0 failed" in result.stdout
    assert files_in(started.output, *LABELS) == files_in(undisturbed, *LABELS)
    after = read_groups(started.output).to_pylist()
    assert all(row in after for row in done)  # also of the same seconds: none was labelled again
    assert [path.name for path in (started.output / "groups").iterdir()] == [PART]
    assert [path.name for path in (started.output / "labels" / f"sequence={SEQUENCE}").iterdir()] == [PART]


def test_killed_run_goes_on_where_it_was(killed, undisturbed, label_street, files_in):
    assert killed.process.returncode == -signal.SIGKILL
    check_rest_is_labelled(killed, undisturbed, label_street, files_in, "--serial")


def test_killed_run_over_a_scene_goes_on_where_it_was(stop_after_first_group, label_street, files_in, tmp_path):
    """Its windows share frames, whose texts wait for all of them."""
    options = ("--serial", "--grouping", "scene", "--set", "grouping.window_instances=1")
    started = stop_after_first_group(signal.SIGKILL, *options)
    started.process.communicate(timeout=600)
    label_street(tmp_path / "output", *options)
    check_rest_is_labelled(started, tmp_path / "output", label_street, files_in, *options)


def test_interrupted_run_goes_on_where_it_was(stop_after_first_group, undisturbed, label_street, files_in):
    started = stop_after_first_group(signal.SIGINT)
    said, told = started.process.communicate(timeout=600)
    assert started.process.returncode == 130
    assert said == ""
    done = read_groups(started.output).num_rows
    config, indexing, *between, last = told.splitlines()
    assert indexing == "Indexing 24 frames"
    assert config.startswith("Configuration demo --set ")
    assert last == f"Interrupted with {done} of 6 groups done; the same command goes on from there."
    assert all(re.fullmatch(r"\d/6 groups, .* left, 0 failed", line) for line in between)  # one every 15 s
    assert started.descendants
    wait_until(lambda: not started.survivors(), seconds=600, what="no process of its Ray left")
    check_rest_is_labelled(started, undisturbed, label_street, files_in, "--serial")


def test_run_says_nothing_but_its_own_lines_and_leaves_no_token(start):
    started = start("--limit", "1")
    said, told = started.process.communicate(timeout=600)
    assert started.process.returncode == 0, told
    assert [line.split()[0] for line in said.splitlines()][:5] == ["Frames", "Groups", "Boxes", "Time", "Output"]
    config, indexing, *between, progress = told.splitlines()
    assert indexing == "Indexing 24 frames"
    assert config.startswith("Configuration demo --set ")
    assert progress.startswith("1/1 groups, ")
    assert all(line == "0/1 groups, starting" for line in between)  # one every 15 s
    assert not (started.home / ".ray").exists()


def test_killed_run_leaves_no_process(killed):
    """After a kill, Ray's own watchers end the last of its helpers, but only after a minute."""
    assert killed.descendants
    wait_until(lambda: not killed.survivors(), seconds=600, what="no process of its Ray left")
