"""Runs on a real Ray of several nodes that lose workers, nodes and their driver, and groups that fail in every way."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import drive
import pytest

from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.runs.reading import read_groups

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    # Ray's test cluster leaves pipes of the processes that it starts to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SEQUENCE = "2013_05_28_drive_0000_sync"
LABELS = ("labels", "kitti")
ERROR = "ArithmeticError: not a number"
DIED = "2 attempts to fit this group ended with their worker"
HUNG = f"{DIED}; the last one took longer than 20 s"


@pytest.fixture(scope="module")
def cluster():
    """Three nodes: one for the driver and the tasks that load, and two for an actor each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        add_node(cluster, num_cpus=2)
    gc.collect()
    yield cluster
    cluster.shutdown()
    del cluster
    gc.collect()  # here, where what Ray left open is forgiven, and not in the next module


def add_node(cluster, **options):
    """A further node. On a busy machine it may take longer than Ray waits for it, and is then added once more."""
    try:
        return cluster.add_node(**options)
    except Exception:
        return cluster.add_node(**options)


@pytest.fixture(scope="module")
def options(street, config):
    return {"root": str(street), "sequence": SEQUENCE, "config": config.model_dump(mode="json")}


@pytest.fixture(scope="module")
def undisturbed(options, tmp_path_factory) -> Path:
    """OUTPUT of a run in one process, without Ray."""
    output = tmp_path_factory.mktemp("undisturbed") / "output"
    assert drive.main(**options, output=str(output), serial=True) == 0
    return output


@pytest.fixture(scope="module")
def begin(cluster, options) -> Iterator[Callable[..., Future[int]]]:
    """Begins a run on the cluster, whose result is the exit code; all in one process."""
    spawn = get_context("spawn")  # a fork of this process would have half of its Ray
    with ProcessPoolExecutor(1, spawn, initializer=drive.connect, initargs=(cluster.address,)) as driver:
        yield lambda output, **more: driver.submit(drive.main, **options | {"output": str(output)} | more)


def start(options: dict, *, output: Path, environment: dict[str, str] | None = None, **more) -> subprocess.Popen:
    """A run in a process of its own."""
    text = json.dumps(options | {"output": str(output)} | more)
    environment = os.environ | (environment or {})
    return subprocess.Popen([sys.executable, drive.__file__, text], stderr=subprocess.PIPE, text=True, env=environment)


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """The exit code of a driver, and what it said."""
    _, said = process.communicate(timeout=900)
    return process.returncode, said


def wait_for(found, *, what: str, seconds: float = 600.0):
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.05)
    return result


def check_same(output: Path, undisturbed: Path, files_in) -> None:
    assert files_in(output, *LABELS) == files_in(undisturbed, *LABELS)
    columns = ["attempts", "seconds"]
    assert read_groups(output).drop_columns(columns).equals(read_groups(undisturbed).drop_columns(columns))
    assert json.loads((output / "manifest.json").read_text())["status"] == "complete"
    assert not (output / ".attempts.json").exists()


def check_failures(output: Path, errors: dict[str, str]) -> None:
    """Some groups have failed, each alone and in two attempts, and all others are labelled."""
    rows = {row["group_id"]: row for row in read_groups(output).to_pylist()}
    failed = {group_id: row for group_id, row in rows.items() if row["status"] == "failed"}
    assert {group_id: row["error"] for group_id, row in failed.items()} == errors
    assert {row["attempts"] for row in failed.values()} == {2}
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["status"] == "complete_with_failures"
    assert manifest["counts"]["groups_failed"] == len(errors)
    assert set(read_labels(output)["group_id"].to_pylist()) == rows.keys() - errors.keys() != set()


def test_killed_worker_costs_its_group_another_attempt(begin, undisturbed, files_in, tmp_path):
    (tmp_path / "pids").mkdir()
    run = begin(tmp_path / "output", seconds=5.0, folder=str(tmp_path / "pids"))
    (first, *_) = wait_for(lambda: [p for p in (tmp_path / "pids").iterdir() if p.read_text()], what="group begun")
    pid = int(first.read_text())
    assert Path(f"/proc/{pid}/cmdline").read_text().startswith(f"ray::fit {first.name}")
    os.kill(pid, signal.SIGKILL)
    assert run.result(timeout=900) == 0
    check_same(tmp_path / "output", undisturbed, files_in)
    attempts = {row["group_id"]: row["attempts"] for row in read_groups(tmp_path / "output").to_pylist()}
    assert attempts.pop(first.name) == 2
    assert set(attempts.values()) == {1}


def test_killed_node_costs_no_group(cluster, begin, undisturbed, files_in, tmp_path):
    from ray._private.ray_constants import PROCESS_TYPE_RAYLET

    (tmp_path / "pids").mkdir()
    lost = add_node(cluster, num_cpus=4)
    run = begin(tmp_path / "output", num_actors=(4, 4), seconds=1.5, folder=str(tmp_path / "pids"))
    wait_for(lambda: list((tmp_path / "output" / "groups").glob("*.parquet")), what="group done")
    os.kill(lost.all_processes[PROCESS_TYPE_RAYLET][0].process.pid, signal.SIGKILL)
    code = run.result(timeout=900)
    cluster.remove_node(lost, allow_graceful=False)
    assert code == 0
    check_same(tmp_path / "output", undisturbed, files_in)


def test_bad_groups_fail_alone_also_in_a_batch(begin, options, undisturbed, files_in, tmp_path):
    """By an error, by the end of the process, and by hanging."""
    _, *others = read_groups(undisturbed)["group_id"].to_pylist()
    output, scripts = tmp_path / "output", dict(zip(others, ("fail", "exit", "hang"), strict=False))
    more = {"batch_size": 3, "scripts": scripts, "group_timeout": 20.0, "max_attempts": 2}
    assert begin(output, **more).result(timeout=900) == 3
    check_failures(output, dict(zip(others, (ERROR, DIED, HUNG), strict=False)))
    assert drive.main(**options, output=str(output), serial=True) == 0
    check_same(output, undisturbed, files_in)


@pytest.mark.parametrize("one_actor", ["fails", "sets_up"])
def test_broken_machine_costs_no_group(begin, undisturbed, files_in, tmp_path, *, one_actor):
    """One of two actors fails at whatever it is given, at once and for good; or its labeler cannot be set up."""
    (tmp_path / "folder").mkdir()
    run = begin(tmp_path / "output", seconds=1.0, folder=str(tmp_path / "folder"), one_actor=one_actor)
    assert run.result(timeout=900) == 0, read_groups(tmp_path / "output")["error"].to_pylist()
    assert (tmp_path / "folder" / "first actor").exists()
    check_same(tmp_path / "output", undisturbed, files_in)


def test_driver_that_is_killed_again_and_again_ends_with_the_same_bytes(
    cluster, options, undisturbed, files_in, tmp_path
):
    """Once before any group, once when a group has killed its worker; that group's attempts outlive the driver."""
    output, bad = tmp_path / "output", read_groups(undisturbed)["group_id"][2].as_py()
    more = {"address": cluster.address, "seconds": 1.0, "num_actors": (1, 1), "scripts": {bad: "exit"}}

    def attempts() -> int:
        path = output / ".attempts.json"
        return json.loads(path.read_text()).get(f"fit {bad}", 0) if path.exists() else 0

    def is_under_way() -> bool:
        return bool(list((output / "groups").glob("*.parquet"))) and attempts() > 0

    for moment, what in (((output / "manifest.json").exists, "manifest"), (is_under_way, "a group, and a lost worker")):
        process = start(options, output=output, **more)
        wait_for(moment, what=what)
        process.kill()
        process.communicate()
        assert json.loads((output / "manifest.json").read_text())["status"] == "running"
    assert attempts() in (1, 2)
    code, said = ended(start(options, output=output, **more))
    assert code == 3, said
    rows = {row["group_id"]: row for row in read_groups(output).to_pylist()}
    assert {group_id: row["attempts"] for group_id, row in rows.items() if row["status"] == "failed"} == {bad: 3}
    assert not (output / ".attempts.json").exists()
    assert drive.main(**options, output=str(output), serial=True) == 0
    check_same(output, undisturbed, files_in)


def test_bad_groups_of_a_local_ray_fail_alone_also_one_that_takes_all_memory(options, undisturbed, files_in, tmp_path):
    """Ray ends the worker before the machine runs out of memory, which a threshold near what is used now stands for."""
    from ray._private.utils import get_system_memory, get_used_memory

    total, used = get_system_memory(), get_used_memory()
    if total - used < 14e9:
        pytest.skip("less than 14 GB of memory are free")
    _, *others = read_groups(undisturbed)["group_id"].to_pylist()
    output, scripts = tmp_path / "output", dict(zip(others, ("fail", "exit", "hang", "swell"), strict=False))
    more = {"num_actors": (1, 1), "scripts": scripts, "group_timeout": 20.0, "max_attempts": 2}
    environment = {"RAY_memory_usage_threshold": str((used + 6e9) / total)}
    code, said = ended(start(options, output=output, environment=environment, **more))
    assert code == 3, said
    check_failures(output, dict(zip(others, (ERROR, DIED, HUNG, DIED), strict=False)))
    assert drive.main(**options, output=str(output), serial=True) == 0
    check_same(output, undisturbed, files_in)
