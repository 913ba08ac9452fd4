"""A Ray head of a test's own: real `ray start --head`, on free ports, whose processes end with the test."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
JOBS = REPOSITORY / "jobs"
SEQUENCE = "2013_05_28_drive_0000_sync"
# Six groups of the street, a few seconds each: long enough to be stopped in between.
LABEL_OPTIONS = ["--sequence", SEQUENCE, "--device", "cpu", "--config", "demo"]
for _setting in (
    "schedule.steps=30",
    "rendering.num_rays=64",
    "field.start=random",
    "start.extent_steps=8",
    "start.contour_steps=4",
    "start.headings=4",
    "grouping.num_sources=4",
    "grouping.min_area=32",
    "grouping.min_box_side=4",
):
    LABEL_OPTIONS += ["--set", _setting]
NUM_GROUPS = 6

MARK = "VSRD_RAY_TEST_HEAD"  # every process below a head inherits it
TOKEN = "a-token-of-these-tests-alone"
LOOPBACK = "127.0.0.1"
OBJECT_STORE_BYTES = 128 * 2**20
START_SECONDS = 300.0
# Below those that systems give to whoever connects to somebody, and above those that Ray gives to its workers.
PORTS = range(20_000, 32_768)


@dataclass(frozen=True)
class Head:
    """A running head: where it listens, and the environment that its clients need."""

    gcs: str  # host:port
    dashboard: str  # http://host:port
    environment: dict[str, str]

    def ray(self, *arguments: object, check: bool = True, timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Runs the command `ray` from the repository, as its user would."""
        command = [str(Path(sys.executable).with_name("ray")), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def ask(self, path: str) -> Any:
        """What the dashboard answers."""
        request = urllib.request.Request(f"{self.dashboard}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def node_states(self) -> list[str]:
        """`ALIVE` or `DEAD` for every node that the cluster has had."""
        return [node["raylet"].get("state", "ALIVE") for node in self.ask("/nodes?view=summary")["data"]["summary"]]

    def has_ended(self, job: str) -> bool:
        return self.ask(f"/api/jobs/{job}")["status"] in ("SUCCEEDED", "FAILED", "STOPPED")

    def job(self, verb: str, *arguments: object, check: bool = True) -> str:
        """What `ray job VERB` prints."""
        done = self.ray("job", verb, "--address", self.dashboard, *arguments, check=check)
        return done.stdout + done.stderr


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on, all different."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            found.append(port)
    return found


def marked_processes(mark: str) -> list[int]:
    """Pids of the living processes that inherited the mark."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def label_command(root: Path, output: Path, *options: object) -> list[str]:
    """The entry point as a job's command, for the street of six groups."""
    return ["python", "jobs/label.py", "--root", *map(str, (root, "--output", output, *LABEL_OPTIONS, *options))]


def wait_until(is_true: Callable[[], object], *, seconds: float, what: str, pause: float = 0.25) -> None:
    """Waits; a dashboard that does not answer, as while it starts, counts as a no."""
    end = time.monotonic() + seconds

    def is_true_now() -> object:
        with suppress(OSError):
            return is_true()
        return False

    while not is_true_now():
        assert time.monotonic() < end, f"expected {what} within {seconds} s"
        time.sleep(pause)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@contextmanager
def running_head(*options: str, gcs_port: int | None = None, **variables: str) -> Iterator[Head]:
    """A head that asks for a token and binds to the loopback alone, once its dashboard shows it.

    One that does not come up, since on a busy machine its processes give up on each other, is started again.
    """
    for is_last in (False, False, True):
        folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # short: sockets lie below it
        mark = uuid.uuid4().hex
        process, head, agent = _start(folder, mark, options, gcs_port, variables)

        def is_up(head: Head = head, agent: int = agent) -> bool:
            return _listens(agent) and head.node_states() == ["ALIVE"]

        def has_ended(process: subprocess.Popen = process) -> bool:
            return process.poll() is not None

        try:
            wait_until(lambda: has_ended() or is_up(), seconds=START_SECONDS, what="a head")
            if not has_ended():
                yield head
                return
            assert not is_last, f"the head ended with {process.returncode}"
        finally:
            _end(process, mark)
            shutil.rmtree(folder, ignore_errors=True)


def _start(
    folder: Path, mark: str, options: tuple[str, ...], gcs_port: int | None, variables: dict[str, str]
) -> tuple[subprocess.Popen, Head, int]:
    """A head that begins to come up: its process, where it will listen, and its agent's port."""
    dashboard, listen, grpc, client, metrics, manager, objects, runtime, gcs = free_ports(9)
    gcs = gcs_port or gcs
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = inherited | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    environment.pop("PYTHONPATH", None)
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += [f"--node-ip-address={LOOPBACK}", f"--port={gcs}", f"--dashboard-port={dashboard}"]
    command += [f"--dashboard-agent-listen-port={listen}", f"--dashboard-agent-grpc-port={grpc}"]
    command += [f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}"]
    command += [f"--node-manager-port={manager}", f"--object-manager-port={objects}"]
    command += [f"--runtime-env-agent-port={runtime}", f"--object-store-memory={OBJECT_STORE_BYTES}"]
    command += [f"--temp-dir={folder / 'ray'}", *options]
    process = subprocess.Popen(
        command,
        env=environment | variables | {MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return process, Head(f"{LOOPBACK}:{gcs}", f"http://{LOOPBACK}:{dashboard}", environment), listen


def _end(process: subprocess.Popen, mark: str) -> None:
    """Ends the head's own processes, by pid, and no others; those too that began meanwhile."""

    def none_is_left() -> bool:
        found = marked_processes(mark)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    wait_until(none_is_left, seconds=600, what="no process of the head left")
    process.wait()
