"""Runs on a real Ray of several nodes that lose workers, nodes and their driver, and groups that fail in every way."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
DRIVER = Path(__file__).with_name("drive.py")


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
    assert drive(options, output=output, serial=True).wait(timeout=600) == 0
    return output


def drive(options: dict, *, output: Path, environment: dict[str, str] | None = None, **more) -> subprocess.Popen:
    text = json.dumps(options | {"output": str(output)} | more)
    environment = os.environ | (environment or {})
    return subprocess.Popen([sys.executable, DRIVER, text], stderr=subprocess.PIPE, text=True, env=environment)


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


def test_killed_worker_costs_its_group_another_attempt(cluster, options, undisturbed, files_in, tmp_path):
    (tmp_path / "pids").mkdir()
    more = {"address": cluster.address, "seconds": 5.0, "folder": str(tmp_path / "pids")}
    process = drive(options, output=tmp_path / "output", **more)
    (first, *_) = wait_for(lambda: [p for p in (tmp_path / "pids").iterdir() if p.read_text()], what="group begun")
    pid = int(first.read_text())
    assert Path(f"/proc/{pid}/cmdline").read_text().startswith(f"ray::fit {first.name}")
    os.kill(pid, signal.SIGKILL)
    code, said = ended(process)
    assert code == 0, said
    check_same(tmp_path / "output", undisturbed, files_in)
    attempts = {row["group_id"]: row["attempts"] for row in read_groups(tmp_path / "output").to_pylist()}
    assert attempts.pop(first.name) == 2
    assert set(attempts.values()) == {1}


def test_killed_node_costs_no_group(cluster, options, undisturbed, files_in, tmp_path):
    from ray._private.ray_constants import PROCESS_TYPE_RAYLET

    (tmp_path / "pids").mkdir()
    lost = add_node(cluster, num_cpus=4)
    more = {"address": cluster.address, "num_actors": (4, 4), "seconds": 1.5, "folder": str(tmp_path / "pids")}
    process = drive(options, output=tmp_path / "output", **more)
    wait_for(lambda: list((tmp_path / "output" / "groups").glob("*.parquet")), what="group done")
    os.kill(lost.all_processes[PROCESS_TYPE_RAYLET][0].process.pid, signal.SIGKILL)
    code, said = ended(process)
    cluster.remove_node(lost, allow_graceful=False)
    assert code == 0, said
    check_same(tmp_path / "output", undisturbed, files_in)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_bad_groups_fail_alone_and_however_they_fail(cluster, options, undisturbed, files_in, tmp_path, *, batch_size):
    """By an error, by the end of the process, and by hanging; also in a batch with others."""
    good, *others = [row["group_id"] for row in read_groups(undisturbed).to_pylist()]
    scripts = dict(zip(others, ("fail", "exit", "hang"), strict=False))
    more = {"address": cluster.address, "scripts": scripts, "group_timeout": 20.0, "max_attempts": 2}
    code, said = ended(drive(options, output=tmp_path / "output", batch_size=batch_size, **more))
    assert code == 3, said
    rows = {row["group_id"]: row for row in read_groups(tmp_path / "output").to_pylist()}
    errors = {group_id: row["error"] for group_id, row in rows.items() if row["status"] == "failed"}
    died = "2 attempts to fit this group ended with their worker"
    hung = f"{died}; the last one took longer than 20 s"
    assert errors == dict(zip(others, ("ArithmeticError: not a number", died, hung), strict=False))
    assert {rows[group_id]["attempts"] for group_id in errors} == {2}
    assert rows[good]["status"] == "ok"
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    assert manifest["status"] == "complete_with_failures"
    assert manifest["counts"]["groups_failed"] == 3
    labelled = set(read_labels(tmp_path / "output")["group_id"].to_pylist())
    assert labelled == rows.keys() - errors.keys()
    code, said = ended(drive(options, output=tmp_path / "output", serial=True))
    assert code == 0, said
    check_same(tmp_path / "output", undisturbed, files_in)


@pytest.mark.parametrize("one_actor", ["fails", "sets_up"])
def test_broken_machine_costs_no_group(cluster, options, undisturbed, files_in, tmp_path, *, one_actor):
    """One of two actors fails at whatever it is given, at once and for good; or its labeler cannot be set up."""
    (tmp_path / "folder").mkdir()
    more = {"address": cluster.address, "seconds": 1.0, "folder": str(tmp_path / "folder"), "one_actor": one_actor}
    code, said = ended(drive(options, output=tmp_path / "output", **more))
    assert code == 0, (said, read_groups(tmp_path / "output")["error"].to_pylist())
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
        process = drive(options, output=output, **more)
        wait_for(moment, what=what)
        process.kill()
        process.communicate()
        assert json.loads((output / "manifest.json").read_text())["status"] == "running"
    assert attempts() in (1, 2)
    code, said = ended(drive(options, output=output, **more))
    assert code == 3, said
    rows = {row["group_id"]: row for row in read_groups(output).to_pylist()}
    assert {group_id: row["attempts"] for group_id, row in rows.items() if row["status"] == "failed"} == {bad: 3}
    assert not (output / ".attempts.json").exists()
    code, said = ended(drive(options, output=output, serial=True))
    assert code == 0, said
    check_same(output, undisturbed, files_in)


def test_group_that_takes_all_memory_fails_alone(options, undisturbed, tmp_path):
    """Ray ends the worker before the machine runs out of memory, which a threshold near what is used now stands for."""
    from ray._private.utils import get_system_memory, get_used_memory

    total, used = get_system_memory(), get_used_memory()
    if total - used < 14e9:
        pytest.skip("less than 14 GB of memory are free")
    bad = read_groups(undisturbed)["group_id"][2].as_py()
    more = {"num_actors": (1, 1), "scripts": {bad: "swell"}, "max_attempts": 2}
    environment = {"RAY_memory_usage_threshold": str((used + 6e9) / total)}
    code, said = ended(drive(options, output=tmp_path / "output", environment=environment, **more))
    assert code == 3, said
    rows = {row["group_id"]: row for row in read_groups(tmp_path / "output").to_pylist()}
    errors = {group_id: (row["attempts"], row["error"]) for group_id, row in rows.items() if row["status"] == "failed"}
    assert errors == {bad: (2, "2 attempts to fit this group ended with their worker")}
    assert set(read_labels(tmp_path / "output")["group_id"].to_pylist()) == rows.keys() - {bad}
