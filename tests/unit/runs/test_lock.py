import fcntl
import json
import os
import subprocess
import sys
import threading
import time
import uuid

import pytest
from upath import UPath

from vsrd_ray.errors import OutputError
from vsrd_ray.runs import lock
from vsrd_ray.runs.lock import TakenOverError, locked
from vsrd_ray.storage import open_location

HOLDER = """
import sys, time
from pathlib import Path
from vsrd_ray.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_folder_is_held_once_at_a_time(tmp_path):
    output = tmp_path / "a" / "b"
    with locked(output):
        with pytest.raises(OutputError, match=r"running into .*/a/b: wait until"), locked(output):
            pass
        with locked(tmp_path / "other"):
            pass
    with locked(output):
        pass


def test_killed_process_holds_nothing(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another vsrd-ray label is running"), locked(tmp_path):
            pass
        holder.kill()
    assert (tmp_path / ".lock").is_file()
    with locked(tmp_path):
        pass


def test_programs_that_the_holder_starts_do_not_hold_it_on(tmp_path):
    """Ray's helpers outlive a killed run for a while."""
    with locked(tmp_path):
        command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
        helper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, close_fds=False)
        assert helper.stdout.readline() == "up\n"
    try:
        with locked(tmp_path):
            pass
    finally:
        helper.kill()
        helper.communicate()


def test_file_systems_without_locks_will_do(tmp_path, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locked(tmp_path):
        pass


@pytest.fixture
def store() -> UPath:
    """A folder in an object store of this test's own."""
    return UPath(f"memory://{uuid.uuid4().hex}")


def lease(folder: UPath, **changes: object) -> None:
    """What another run leaves of itself, a living one on this machine unless said otherwise."""
    sign = {"host": lock._host(), "pid": os.getppid(), "beat": time.time()} | changes
    (folder / ".lock").write_text(json.dumps(sign))


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_object_store_is_held_once_at_a_time_and_nothing_stays(store, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT", 0.2)
    monkeypatch.setattr(lock, "_LOOK", 0.05)
    with locked(store):
        with pytest.raises(OutputError, match=r"label is running into memory://.*: wait until"), locked(store):
            pass
        with locked(store / "other"):
            pass
        assert (store / ".lock").exists()
    assert not (store / ".lock").exists()


def test_error_gives_a_lease_back(store):
    with pytest.raises(ZeroDivisionError), locked(store):
        _ = 1 / 0
    assert not (store / ".lock").exists()


@pytest.fixture
def hasty(monkeypatch):
    """Signs of life are waited for only briefly."""
    monkeypatch.setattr(lock, "_LEASE", 1.0)
    monkeypatch.setattr(lock, "_LOOK", 0.02)


def test_lease_of_a_dead_process_of_this_machine_is_taken_over_at_once(store, monkeypatch):
    lease(store, pid=dead_pid())
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: pytest.fail("it waits for a sign of life"))
    with locked(store):
        assert json.loads((store / ".lock").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("changes", [{}, {"host": "elsewhere"}, {"host": "elsewhere", "pid": dead_pid()}])
def test_lease_without_a_sign_of_life_is_taken_over(store, hasty, changes):
    lease(store, **changes)
    with locked(store):
        assert json.loads((store / ".lock").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("changes", [{}, {"host": "elsewhere"}, {"host": "elsewhere", "pid": dead_pid()}])
def test_lease_counts_while_its_run_gives_signs_of_life(store, monkeypatch, changes):
    monkeypatch.setattr(lock, "_LOOK", 0.02)
    lease(store, **changes)
    timer = threading.Timer(0.3, lambda: lease(store, **changes))
    timer.start()
    with pytest.raises(OutputError, match="another vsrd-ray label"), locked(store):
        pass
    timer.join()
    assert json.loads((store / ".lock").read_text())["pid"] != os.getpid()


@pytest.mark.parametrize("text", ["", "half", "[]", "{}", '{"host": 3, "pid": null, "beat": "noon"}'])
def test_lock_that_no_run_has_written_holds_nothing(store, hasty, text):
    (store / ".lock").write_text(text)
    with locked(store):
        assert json.loads((store / ".lock").read_text())["pid"] == os.getpid()


def test_lease_is_prolonged_while_the_run_goes_on(store, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT", 0.02)
    with locked(store):
        first = json.loads((store / ".lock").read_text())["beat"]
        end = time.monotonic() + 60
        while json.loads((store / ".lock").read_text())["beat"] <= first:
            assert time.monotonic() < end, "no further sign of life"
            time.sleep(0.01)


def holder_of(folder: UPath) -> int:
    return json.loads((folder / ".lock").read_text())["pid"]


def test_run_that_is_taken_over_finds_out_by_its_next_sign_and_leaves_the_others(store, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT", 0.02)
    with locked(store) as check:
        check()
        lease(store)
        end = time.monotonic() + 60
        with pytest.raises(TakenOverError, match="another vsrd-ray label has taken over memory://"):
            while time.monotonic() < end:
                check()
        assert holder_of(store) == os.getppid()
    assert holder_of(store) == os.getppid()


def test_run_that_slept_looks_before_it_writes(store, monkeypatch):
    with locked(store) as check:
        lease(store)
        check()  # it has just given a sign itself
        monkeypatch.setattr(lock, "_LEASE", 0.0)
        with pytest.raises(TakenOverError):
            check()
    assert holder_of(store) == os.getppid()


def test_run_that_slept_and_is_alone_goes_on(store, monkeypatch):
    monkeypatch.setattr(lock, "_LEASE", 0.0)
    with locked(store) as check:
        first = json.loads((store / ".lock").read_text())["beat"]
        check()
        assert json.loads((store / ".lock").read_text())["beat"] > first


def test_bucket_that_is_not_there_is_named(s3_server):
    output = open_location("s3://no-such-bucket/output")
    said = r"s3://no-such-bucket/output cannot be written \(.*check the bucket"
    with pytest.raises(OutputError, match=said), locked(output):
        pass


def test_error_of_a_run_is_told_even_if_its_lease_cannot_be_given_back(store, monkeypatch):
    with pytest.raises(ZeroDivisionError), locked(store):
        monkeypatch.setattr(lock._Lease, "is_ours", lambda self: (_ for _ in ()).throw(PermissionError("no answer")))
        _ = 1 / 0
