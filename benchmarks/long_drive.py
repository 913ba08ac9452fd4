"""A drive of any length with tiny masks, a labeler that only waits, and runs of the whole pipeline over them.

Four frames in a row show the same two cars and make one frame group, in the published grouping.
"""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labelers.base import Output, PreparedGroup, Provenance, TraceSink
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.labels.boxes.rows import label_rows

SEQUENCE = "2013_05_28_drive_0000_sync"
FRAMES_A_GROUP = 4
GROUPING = {"num_sources": FRAMES_A_GROUP - 1, "min_shared": 1.0, "min_area": 32, "min_box_side": 4}
_SIZE = 88, 24  # px
_PREPARED_BYTES = 1_000_000
_FIRST_CARS, _SECOND_CARS = 900, 99  # ids of either car; all pairs of them are different groups
_CALIBRATION = "S_rect_00: {0} {1}\nP_rect_00: 40.0 0.0 {2} 0.0 0.0 40.0 {3} 0.0 0.0 0.0 1.0 0.0\n"


@dataclass(frozen=True)
class Measured:
    """What a run over a long drive took."""

    groups: int
    workers: int
    sleep: float  # s that each group waits
    wall: float  # s, from the first task to the last result
    total: float  # s of the whole call: index, plan, Ray's start, compaction
    driver_cpu: float  # s of CPU time that the driver took for all of it
    driver_gb: float  # most memory that the driver had at any time
    store_gb: float  # most of the object store that was in use
    busy: float  # share of the workers' time, from when all of them work until the first has nothing left

    @property
    def overhead(self) -> float:
        """Seconds of a worker that the engine takes for a group."""
        return (self.wall * self.workers - self.sleep * self.groups) / self.groups


class Waiting:
    """Waits as long as a fit would take, and gives a box for each instance. It logs when it is busy."""

    def __init__(self, config: VSRDConfig, device: str, *, seconds: float, folder: str) -> None:
        self._seconds, self._folder = seconds, Path(folder)

    def setup(self) -> None:
        """Nothing to set up."""

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """What frames and index say, and as many bytes as the outlines of a window of instances have."""
        return PreparedGroup.of(group, np.zeros(_PREPARED_BYTES, np.uint8))

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> list[BoxFit]:
        """Wait, and give boxes ten metres ahead."""
        (outcome,) = self.label_many([prepared], seed=seed)
        return outcome

    def label_many(self, prepared: list[PreparedGroup], *, seed: int) -> list[list[BoxFit]]:
        """Wait as long for each of them."""
        begun = time.time()
        time.sleep(self._seconds * len(prepared))
        with (self._folder / f"{os.getpid()}.busy").open("a") as log:
            log.write(f"{begun} {time.time()}\n")
        return [[_box(group, instance_id) for instance_id in group.plan.instance_ids] for group in prepared]

    def output(self, found: list[BoxFit], prepared: PreparedGroup, provenance: Provenance) -> Output:
        """The boxes as label rows."""
        return {"boxes": label_rows(found, prepared, **asdict(provenance))}


def sequence_name(number: int) -> str:
    """A name like KITTI-360's."""
    return f"2013_05_28_drive_{number:04d}_sync"


def write_drive(root: Path, *, groups: int, sequence: str = SEQUENCE) -> None:
    """Write a drive of so many frame groups, in KITTI-360's layout."""
    width, height = _SIZE
    files = {
        paths.calibration_file(root): _CALIBRATION.format(width, height, width / 2, height / 2),
        paths.poses_file(root, sequence): "".join(_pose(frame) for frame in range(groups * FRAMES_A_GROUP)),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    paths.mask_folder(root, sequence, "image_00").mkdir(parents=True)
    for group in range(groups):
        mask = np.zeros((height, width), np.uint16)
        mask[4:20, 8:32] = 26001 + group % _FIRST_CARS
        mask[4:20, 48:72] = 26001 + _FIRST_CARS + group // _FIRST_CARS % _SECOND_CARS
        first, *others = (
            paths.mask_file(root, sequence, "image_00", group * FRAMES_A_GROUP + n) for n in range(FRAMES_A_GROUP)
        )
        cv2.imwrite(str(first), mask)
        for path in others:
            path.hardlink_to(first)


def measure(folder: Path, *, groups: int, workers: int, seconds: float, batch_size: int) -> Measured:
    """Label a drive of so many groups, in a process of its own with a Ray of its own, and see what it takes."""
    root = folder / "root"
    write_drive(root, groups=groups)
    options = {"root": str(root), "folder": str(folder), "workers": workers, "seconds": seconds, "batch": batch_size}
    command = [sys.executable, "-m", "benchmarks.long_drive", json.dumps(options)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    state = json.loads(said.splitlines()[-1])
    assert state["groups"] == groups, f"expected {groups} groups, got {state}"
    return Measured(groups=groups, workers=workers, sleep=seconds, busy=_busy(folder, workers), **state["measured"])


def _pose(frame: int) -> str:
    T = np.array([[1.0, 0, 0, 0], [0, 0, 1, frame], [0, -1, 0, 1.5], [0, 0, 0, 1]])  # one metre a frame
    return f"{frame} {' '.join(map(repr, T.ravel().tolist()))}\n"


def _box(group: PreparedGroup, instance_id: int) -> BoxFit:
    view = group.views[0]
    return BoxFit(
        instance_id=instance_id,
        class_name="car",
        box=UprightBoxes((view.T_world_cam @ [0.0, 0.5, 10.0, 1.0])[:3], np.array([4.0, 1.8, 1.5]), np.array(1.5)),
        confidence=0.5,
        mean_iou_2d=0.5,
        num_views=len(group.views),
        bearing_spread_deg=0.0,
        silhouette_loss=0.0,
        is_moving=False,
    )


def _busy(folder: Path, workers: int) -> float:
    """Share of the time that workers wait on a group's behalf, while all have work."""
    logs = [np.loadtxt(path, ndmin=2) for path in folder.glob("*.busy")]
    assert len(logs) == workers, f"{len(logs)} of {workers} workers had any work"
    start, end = max(log[0, 0] for log in logs), min(log[-1, 1] for log in logs)
    spent = sum(float((np.clip(log, start, end) @ [-1, 1]).sum()) for log in logs)
    return spent / (workers * (end - start))


def run_measured(root: str, folder: str, workers: int, seconds: float, batch: int) -> dict[str, Any]:
    """The measured run itself."""
    import ray  # noqa: PLC0415 - not needed by the process that starts this one

    from vsrd_ray.engines import label  # noqa: PLC0415
    from vsrd_ray.engines.ray_data.session import ray_session  # noqa: PLC0415
    from vsrd_ray.pipeline.pool import Machines, Node, PoolRequest  # noqa: PLC0415
    from vsrd_ray.pipeline.request import LabelRequest  # noqa: PLC0415
    from vsrd_ray.runs.manifest import read_manifest  # noqa: PLC0415

    output = Path(folder, "output")
    request = LabelRequest(
        Path(root),
        (SEQUENCE,),
        output,
        VSRDConfig.model_validate({"grouping": GROUPING}),
        pool=PoolRequest(num_actors=(workers, workers), batch_size=batch),
    )
    from benchmarks.long_drive import Waiting as ImportedWaiting  # noqa: PLC0415 - workers find it under that name

    factory = partial(ImportedWaiting, seconds=seconds, folder=folder)
    with ray_session(Machines((Node(cpus=workers, gpus=0),), is_local=True)):
        most, stop = [0.0], threading.Event()

        def watch() -> None:
            total = ray.cluster_resources()["object_store_memory"]
            while not stop.wait(0.5):
                most[0] = max(most[0], total - ray.available_resources().get("object_store_memory", total))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        started, cpu = time.perf_counter(), time.process_time()
        label(request, labeler_factory=factory)
        total, cpu = time.perf_counter() - started, time.process_time() - cpu
        stop.set()
        thread.join()
    manifest = read_manifest(output)
    assert manifest is not None
    return {
        "groups": manifest["counts"]["groups_ok"],
        "measured": {
            "wall": manifest["progress"]["seconds"],
            "total": total,
            "driver_cpu": cpu,
            "driver_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            "store_gb": most[0] / 2**30,
        },
    }


if __name__ == "__main__":
    print(json.dumps(run_measured(**json.loads(sys.argv[1]))))
