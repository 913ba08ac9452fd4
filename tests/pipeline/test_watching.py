"""What can be seen of a run from outside: Ray's metrics for Prometheus, and the names that its dashboard shows."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.runs.reading import read_groups

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SEQUENCE = "2013_05_28_drive_0000_sync"
DRIVER = Path(__file__).with_name("watched.py")
SAMPLE = re.compile(r"ray_(?P<name>vsrd_\w+)(\{(?P<tags>[^}]*)\})? (?P<value>\S+)")
PHASE = re.compile(r'phase="(\w+)"')
SECONDS_TO_REPORT = 300.0  # Ray's processes tell their metrics every 10 s


@dataclass(frozen=True)
class Watched:
    """A run whose Ray is still there."""

    output: Path
    code: int  # that its process would end with
    metrics: dict[tuple[str, str], float]  # (name without "ray_", phase) -> value; of a histogram, but for its buckets
    dashboard: str  # host:port
    job: str

    def asked(self, path: str) -> dict:
        """What the dashboard answers."""
        with urllib.request.urlopen(f"http://{self.dashboard}{path}", timeout=120) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def watch(street, config, tmp_path_factory):
    """Runs a driver to the end of its run, and keeps its Ray up for the tests of this module."""
    drivers: list[subprocess.Popen] = []

    def run(until: Callable[[dict], bool], *, with_dashboard: bool, **more) -> Watched:
        output = tmp_path_factory.mktemp("watched") / "output"
        options = {"root": str(street), "sequence": SEQUENCE, "config": config.model_dump(mode="json")}
        options |= {"output": str(output), "num_actors": (1, 1), "with_dashboard": with_dashboard} | more
        log = output.with_name("log.txt")
        with log.open("w") as file:
            driver = subprocess.Popen(
                [sys.executable, DRIVER, json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        drivers.append(driver)
        assert driver.stdout is not None
        said = next((line for line in driver.stdout if line.startswith("{")), None)
        assert said is not None, log.read_text()
        where = json.loads(said)
        metrics = scraped(where["metrics"], until)
        return Watched(output, where["code"], metrics, where["dashboard"], where["job"])

    yield run
    for driver in drivers:
        driver.communicate(timeout=240)


@pytest.fixture(scope="module")
def watched(watch, street, config) -> Watched:
    """A run in which a group fails twice, and for good."""
    failing = f"{SEQUENCE}-image_00-{first_frame(street, config):010d}"
    return watch(
        lambda metrics: num_ended(metrics) == 6,
        with_dashboard=True,
        scripts={failing: "fail"},
        max_attempts=2,
    )


def first_frame(street: Path, config) -> int:
    """The target frame of the first group."""
    from vsrd_ray.data.index import all_frames, index_frames
    from vsrd_ray.datasets.base import open_drive
    from vsrd_ray.labelers.vsrd.grouping import plan_groups

    sequence = open_drive(street, SEQUENCE)
    index = index_frames(sequence, all_frames(sequence))
    groups = plan_groups(index, sequence=SEQUENCE, camera="image_00", settings=config.grouping, classes=("car",))
    return groups[0].target_frame


def scraped(url: str, until: Callable[[dict], bool]) -> dict[tuple[str, str], float]:
    """The samples at an endpoint, once they hold what is waited for; as Prometheus would see them a moment later."""
    end = time.monotonic() + SECONDS_TO_REPORT
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                metrics = dict(samples(answer.read().decode()))
        except OSError:
            metrics = {}
        if until(metrics):
            return metrics
        assert time.monotonic() < end, f"no such metrics within {SECONDS_TO_REPORT} s: {metrics}"
        time.sleep(0.5)


def num_ended(metrics: dict[tuple[str, str], float]) -> float:
    return sum(metrics.get((f"vsrd_groups_{how}_total", ""), 0) for how in ("done", "failed"))


def samples(text: str):
    for line in text.splitlines():
        if (match := SAMPLE.fullmatch(line)) and not match["name"].endswith("_bucket"):
            phase = PHASE.search(match["tags"] or "")
            yield (match["name"], phase[1] if phase else ""), float(match["value"])


def test_counters_are_what_the_output_holds(watched):
    assert watched.code == 3
    groups = read_groups(watched.output)["status"].to_pylist()
    assert {status: groups.count(status) for status in set(groups)} == {"ok": 5, "failed": 1}
    totals = {name: value for (name, phase), value in watched.metrics.items() if not phase}
    assert totals == {
        "vsrd_groups_done_total": 5,
        "vsrd_groups_failed_total": 1,
        "vsrd_groups_retried_total": 1,
        "vsrd_labels_written_total": read_labels(watched.output).num_rows,
        "vsrd_groups_total": 6,
    }


def test_seconds_of_groups_are_there_by_phase(watched):
    phases = {phase: value for (name, phase), value in watched.metrics.items() if name == "vsrd_group_seconds_count"}
    assert phases == {"load": 6, "fit": 6, "write": 6}
    sums = {phase: value for (name, phase), value in watched.metrics.items() if name == "vsrd_group_seconds_sum"}
    assert sums.keys() == phases.keys()
    assert all(seconds > 0 for seconds in sums.values())
    told = sum(read_groups(watched.output)["seconds"].to_pylist())
    # Ray notes the middle of a sample's bucket, whose ends are .01 s or a factor of 3.3 apart.
    assert 0.6 * told - 0.12 < sums["load"] + sums["fit"] < 2.3 * told + 0.12


def test_dashboard_shows_what_the_run_and_its_parts_do(watched):
    (dataset,) = watched.asked(f"/api/data/datasets/{watched.job}")["datasets"]
    assert dataset["dataset"].startswith("label vsrd into output_")
    assert dataset["state"] == "FINISHED"
    operators = [operator["name"] for operator in dataset["operators"]]
    # apart: one loads while the other labels
    assert operators[-3:] == ["FlatMap(frame_groups)", "Map(load_groups)", "Map(LabelGroups)"]
    blocks = [operator["progress"] for operator in dataset["operators"][-3:]]
    assert blocks == [7, 7, 7]  # a group each, and one of them twice
    actors = watched.asked("/api/v0/actors?detail=1")["data"]["result"]["result"]
    names = [actor["class_name"] for actor in actors]
    assert names.count("MapWorker(Map(LabelGroups))") == 1
    assert {"Feed", "AttemptLedger"} <= set(names)
    (ledger,) = (actor["repr_name"] for actor in actors if actor["class_name"] == "AttemptLedger")
    assert ledger.startswith(f"failed attempts in: {watched.output}")
    tasks = watched.asked("/api/v0/tasks?limit=1000")["data"]["result"]["result"]
    assert f"index {SEQUENCE}" in {task["name"] for task in tasks}


def test_actors_of_a_run_that_has_ended_are_gone(watched):
    actors = watched.asked("/api/v0/actors?detail=1")["data"]["result"]["result"]
    ours = [
        actor for actor in actors if actor["class_name"] in ("Feed", "AttemptLedger", "MapWorker(Map(LabelGroups))")
    ]
    assert {actor["state"] for actor in ours} == {"DEAD"}


def test_metrics_need_no_dashboard(watch):
    metrics = watch(lambda metrics: num_ended(metrics) == 2, with_dashboard=False, limit=2).metrics
    assert metrics["vsrd_groups_done_total", ""] == metrics["vsrd_groups_total", ""] == 2
    assert ("vsrd_groups_failed_total", "") not in metrics
