"""Deadlines in processes of their own, since they end these."""

import subprocess
import sys
from pathlib import Path

import pytest

from vsrd_ray.engines.ray_data import deadline
from vsrd_ray.engines.ray_data.deadline import EXIT_OVERDUE

# The module alone, without its package, which takes seconds to import.
PROCESS = """
import contextlib, ctypes, os, sys, time
sys.path.insert(0, {folder!r})
import deadline as module

module._GRACE = {grace}

def tell():
    os.write(1, b"told")
    {tell}

def slow_one():
    {block}

with contextlib.suppress(ArithmeticError), module.deadline({seconds}, tell=tell):
    slow_one()
time.sleep({after})
print("went on")
"""
HOLDING_THE_GIL = "ctypes.PyDLL(None).usleep(60_000_000)"


def run(
    *, block: str, seconds: float = 0.3, grace: float = 20.0, tell: str = "pass", after: float = 0.0
) -> subprocess.CompletedProcess:
    folder = str(Path(deadline.__file__).parent)
    program = PROCESS.format(folder=folder, block=block, seconds=seconds, grace=grace, tell=tell, after=after)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=900, check=False)


def test_slow_block_ends_the_process_after_telling_where_it_was():
    done = run(block="time.sleep(60)")
    assert done.returncode == EXIT_OVERDUE
    assert done.stdout == "told"
    assert "in slow_one" in done.stderr


def test_native_code_that_hangs_is_ended():
    done = run(block="ctypes.CDLL(None).usleep(60_000_000)")
    assert (done.returncode, done.stdout) == (EXIT_OVERDUE, "told")


def test_native_code_that_hangs_and_lets_no_python_run_is_ended_a_little_later():
    done = run(block=HOLDING_THE_GIL, grace=0.5)
    assert done.returncode not in (0, EXIT_OVERDUE)
    assert done.stdout == ""
    assert "in slow_one" in done.stderr


def test_process_ends_even_if_it_cannot_tell():
    assert run(block="time.sleep(60)", tell="raise ConnectionError").returncode == EXIT_OVERDUE


def test_process_ends_even_if_telling_hangs():
    done = run(block="time.sleep(60)", tell="time.sleep(60)", grace=3.0)
    assert done.returncode != 0
    assert done.stdout == "told"


@pytest.mark.parametrize(
    ("block", "seconds"),
    [("pass", 1.0), ("raise ArithmeticError", 1.0), ("time.sleep(0.5)", 0.0)],
    ids=["in time", "an error in time", "no limit"],
)
def test_process_of_a_fast_block_goes_on_past_the_limit(block, seconds):
    done = run(block=block, seconds=seconds, after=1.3, grace=0.1)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")
