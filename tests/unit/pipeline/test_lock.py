import fcntl
import os
import subprocess
import sys

import pytest

from vsrd_ray.errors import OutputError
from vsrd_ray.pipeline.lock import locked

HOLDER = """
import sys, time
from pathlib import Path
from vsrd_ray.pipeline.lock import locked
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
