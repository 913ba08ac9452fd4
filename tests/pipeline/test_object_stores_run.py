"""Runs on Ray with ROOT and OUTPUT in an object store, over HTTP: undisturbed, killed, and two at a time."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from upath import UPath

from vsrd_ray import storage
from vsrd_ray.runs.reading import read_groups

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SEQUENCE = "2013_05_28_drive_0000_sync"
PART = f"{SEQUENCE}-image_00-part00000.parquet"
LABELS = ("labels", "kitti")
DRIVER = Path(__file__).with_name("drive.py")
# All that a complete run leaves, and so no lock, no count of attempts, no temporary object and no piece.
OBJECTS = {
    "manifest.json",
    f"index/{SEQUENCE}.parquet",
    f"index/.{SEQUENCE}.finished.json",
    f"groups/{PART}",
    f"labels/sequence={SEQUENCE}/{PART}",
    *(f"kitti/{SEQUENCE}/image_00/label_2/{frame:010d}.txt" for frame in range(24)),
}


@pytest.fixture(scope="module")
def bucket(s3_server, street) -> UPath:
    """A bucket with the street under `root`."""
    bucket = storage.open_location(f"s3://bucket-{uuid.uuid4().hex}")
    assert isinstance(bucket, UPath)
    bucket.fs.mkdir(bucket.path)
    storage.bring(street, bucket / "root")
    return bucket


@pytest.fixture(scope="module")
def drive(bucket, config):
    """Starts a driver with one actor on a Ray of its own, whose ROOT is in the bucket."""
    drivers: list[subprocess.Popen] = []

    def start(output: Path | UPath, *, root: Path | UPath = bucket / "root", **more) -> subprocess.Popen:
        options = {"root": str(root), "output": str(output), "sequence": SEQUENCE, "num_actors": (1, 1)}
        options |= {"config": config.model_dump(mode="json")} | more
        command = [sys.executable, DRIVER, json.dumps(options)]
        drivers.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return drivers[-1]

    yield start
    for driver in drivers:
        if driver.poll() is None:
            driver.kill()
            driver.communicate()


@pytest.fixture(scope="module")
def undisturbed(drive, street, files_in, tmp_path_factory) -> dict[str, bytes]:
    """Labels of a run in one process, from a local folder to another."""
    output = tmp_path_factory.mktemp("undisturbed") / "output"
    assert ended(drive(output, root=street, serial=True))[0] == 0
    return files_in(output, *LABELS)


def ended(driver: subprocess.Popen) -> tuple[int, str]:
    """The exit code of a driver, and what it said."""
    _, said = driver.communicate(timeout=900)
    return driver.returncode, said


def wait_for(found: Callable[[], object], *, what: str, seconds: float = 600.0) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.1)


def objects(output: UPath) -> set[str]:
    """Names of all objects below a folder."""
    return {path.removeprefix(f"{output.path}/") for path in output.fs.find(output.path)}


def check_complete(output: UPath, undisturbed: dict[str, bytes]) -> None:
    assert objects(output) == OBJECTS
    names = [name for name in OBJECTS if name.startswith(LABELS)]
    assert {name: storage.read_bytes(output / name) for name in names} == undisturbed
    assert json.loads((output / "manifest.json").read_text())["status"] == "complete"


def test_run_in_an_object_store_makes_the_bytes_of_a_local_one(drive, bucket, undisturbed):
    code, said = ended(drive(bucket / "output"))
    assert code == 0, said
    check_complete(bucket / "output", undisturbed)
    assert set(read_groups(bucket / "output")["attempts"].to_pylist()) == {1}


def test_killed_run_holds_its_output_until_it_is_dead_and_goes_on(drive, bucket, undisturbed):
    """While it lives, another run is refused; once it is dead, the next one on this machine need not wait."""
    output = bucket / "killed"
    first = drive(output, seconds=8.0)  # a group: its next sign of life, in 20 s at most, comes before its end
    wait_for(lambda: storage.names_in(output / "groups"), what="group")
    code, said = ended(drive(output, serial=True))
    assert code != 0
    assert f"OutputError: another vsrd-ray label is running into {output}: wait until it has ended" in said
    first.kill()
    first.communicate()
    done = read_groups(output).to_pylist()
    assert 1 <= len(done) < 6
    assert json.loads((output / "manifest.json").read_text())["status"] == "running"
    assert ".lock" in objects(output)
    code, said = ended(drive(output))
    assert code == 0, said
    check_complete(output, undisturbed)
    after = read_groups(output).to_pylist()
    assert all(row in after for row in done)  # also of the same seconds: none was labelled again
