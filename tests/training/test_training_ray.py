"""Ray Train's workers: they learn what one process learns, and whatever is killed, the losses stay the same."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from learning import ENDLESS, Train, arguments, history, kill, newest, start, wait_for

from vsrd_ray.errors import InputError, OutputError, WorkerError

SCRIPT = Path(__file__).with_name("ray_training.py")
MARK = "VSRD_RAY_TEST_TRAINING"  # every process of the runs inherits it
TOLERANCE = 1e-6


def marked(mark: str) -> dict[int, str]:
    """Command lines of the living processes that inherited the mark, by pid."""
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def raylet_of(worker: int) -> int:
    """The process that started a worker: one on each node."""
    return int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def marking(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of processes that end with the test, whatever becomes of it."""
    name = uuid.uuid4().hex
    yield environment | {MARK: name, "RAY_AUTH_MODE": "disabled"}
    end_all(name)


def end_all(mark: str) -> None:
    for pid in marked(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.ray
@pytest.mark.slow
def test_workers_agree_with_one_process_whatever_is_killed(
    train: Train, street: Path, cache: Path, marking: dict[str, str], tmp_path: Path
):
    mark = marking[MARK]
    run = tmp_path / "run"
    # A cache of their own: Ray Data prepares the samples.
    words = arguments(street, tmp_path / "cache", run, "colours", "--workers", 2)
    process = start(tmp_path, marking, [2, *words, *ENDLESS], script=SCRIPT)
    wait_for(lambda: newest(run), process, what="a checkpoint")

    urls = [word for word in (tmp_path / "log.txt").read_text().split() if word.startswith("http://")]
    assert len(urls) == 2

    def has_metrics() -> bool:  # those of the node of the first worker
        text = "".join(urllib.request.urlopen(url, timeout=60).read().decode() for url in urls)
        return "ray_vsrd_training_step{" in text and "ray_vsrd_training_loss{" in text

    wait_for(has_metrics, process, what="metrics")
    worker, other = (pid for pid, line in marked(mark).items() if "RayTrainWorker" in line)
    assert raylet_of(worker) != raylet_of(other)
    os.kill(worker, signal.SIGKILL)
    before = newest(run)
    wait_for(lambda: newest(run) > before + 8, process, what="steps after a worker was killed")
    assert worker not in marked(mark)
    kill(process)
    end_all(mark)  # what a machine that goes away takes with it

    steps = newest(run) + 4
    more = ("--set", f"optimisation.steps={steps}", "--set", f"watching.checkpoint_every={steps}")
    done = subprocess.run([sys.executable, SCRIPT, *map(str, [1, *words, *more])], env=marking, check=False)
    assert done.returncode == 0
    assert train(tmp_path / "one", *more).exit_code == 0
    for kind, name in (("train", "loss"), ("train", "colour"), ("validation", "loss")):
        two, one = ([(line["step"], line[name]) for line in history(path, kind)] for path in (run, tmp_path / "one"))
        assert [step for step, _ in two] == [step for step, _ in one]
        assert [value for _, value in two] == pytest.approx([value for _, value in one], abs=TOLERANCE, rel=TOLERANCE)
    assert len(history(run)) == steps
    record = json.loads((run / "training.json").read_text())
    assert (record["status"], record["workers"]) == ("complete", 2)
    made, kept = ({path.name: path.read_bytes() for path in one.rglob("*.npy")} for one in (tmp_path / "cache", cache))
    assert made == kept and made


def test_what_ends_workers_is_told():
    from ray.exceptions import OutOfMemoryError
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

    from vsrd_ray.engines.ray_train import _told

    def told(*errors: Exception) -> Exception:
        return _told(WorkerGroupError("workers failed", dict(enumerate(errors))))

    memory = told(RuntimeError("connection closed by peer"), OutOfMemoryError("a message of any words"))
    assert isinstance(memory, WorkerError) and "ran out of: set a smaller optimisation.batch_size" in str(memory)
    own = InputError("sample a: no image")
    assert told(RuntimeError("connection closed"), UserExceptionWithTraceback(own, "Traceback …")) is own
    full = told(UserExceptionWithTraceback(OSError(28, "No space left on device", "run/best.pt"), "Traceback …"))
    assert isinstance(full, OutputError) and "run/best.pt cannot be used" in str(full) and "make room" in str(full)
    other = told(UserExceptionWithTraceback(KeyError("depth"), "Traceback …"))
    assert isinstance(other, WorkerError) and "KeyError: 'depth'" in str(other)
