"""Groups a minute on one device: batches of groups, loaded and labelled in several threads at once, without Ray.

While one thread's bodies are fitted on the GPU, others read masks and trace outlines.
"""

import itertools
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from benchmarks.cost_and_quality import use_one_thread
from benchmarks.datasets import (
    FAST,
    Dataset,
    PlannedSequence,
    judge,
    num_instances,
    plan_dataset,
    read_variant,
    rows_of,
)
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labelers.vsrd.labeler import VSRDLabeler
from vsrd_ray.labels.boxes.evaluation.quality import summarise
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA

COMPARED_GROUPS = 3  # with the CPU
_SAMPLING_SECONDS = 1.0


@dataclass(frozen=True)
class Amount:
    """How much is labelled, and how."""

    groups: int  # at least
    batch: int  # groups that are fitted together
    threads: int


@dataclass(frozen=True)
class Throughput:
    """What a device did with the groups of one kind."""

    kind: str  # of grouping
    num_groups: int
    num_failed: int
    num_instances: int
    seconds: float
    utilisation: float  # percent, mean; NaN where there is no nvidia-smi
    peak_gigabytes: float  # of the device's memory that torch reserved; NaN on a CPU
    free_gigabytes: float  # before the first batch; NaN on a CPU
    num_compared: int  # boxes
    largest_difference: float  # metres, of any corner from the CPU's
    mean_iou_3d: float  # of static truths


@dataclass(frozen=True)
class _Labelled:
    fits: list[BoxFit]
    rows: pa.Table


def measure_throughput(dataset: Dataset, kind: str, *, device: str, amount: Amount) -> Throughput:
    """Label the groups of one kind ("vsrd" or "scene") again and again, after a batch that is not counted."""
    use_one_thread()  # of each library; the threads here are enough
    config = read_variant(f"{FAST},grouping.kind={kind}")
    planned = plan_dataset(dataset, config.grouping)
    plans = list(itertools.islice(itertools.cycle(planned.groups), max(amount.groups, len(planned.groups))))
    labeler = VSRDLabeler(config, device)
    labeler.setup()
    on_gpu = labeler.device.type == "cuda"
    free = torch.cuda.mem_get_info(labeler.device)[0] if on_gpu else np.nan
    _label_batch(planned, labeler, plans[: amount.batch])
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(labeler.device)
    with Utilisation(labeler.device) as utilisation:
        started = time.perf_counter()
        labelled = _label_all(planned, labeler, plans, amount)
        seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_reserved(labeler.device) if on_gpu else np.nan
    first = labelled[: len(planned.groups)]
    differences = _differences(planned, config, first)
    return Throughput(
        kind=kind,
        num_groups=len(plans),
        num_failed=sum(one is None for one in labelled),
        num_instances=num_instances(plans),
        seconds=seconds,
        utilisation=utilisation.mean(),
        peak_gigabytes=peak / 2**30,
        free_gigabytes=free / 2**30,
        num_compared=len(differences),
        largest_difference=max(differences, default=np.nan),
        mean_iou_3d=_mean_iou(dataset, planned, first),
    )


def device_name(device: str) -> str:
    """What the device is called."""
    return torch.cuda.get_device_name(device) if device == "cuda" else device


class Utilisation:
    """Samples a GPU's utilisation once a second while its block runs; on other devices nothing."""

    def __init__(self, device: torch.device) -> None:
        self._samples: list[float] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if device.type == "cuda" and shutil.which("nvidia-smi"):
            gpu = f"--id=GPU-{torch.cuda.get_device_properties(device).uuid}"
            query = ["nvidia-smi", gpu, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
            self._thread = threading.Thread(target=self._sample, args=(query,), daemon=True)

    def __enter__(self) -> "Utilisation":
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def mean(self) -> float:
        """Percent; NaN without samples."""
        return float(np.mean(self._samples)) if self._samples else np.nan

    def _sample(self, query: list[str]) -> None:
        while not self._ended.wait(_SAMPLING_SECONDS):
            answer = subprocess.run(query, capture_output=True, text=True, check=True).stdout
            self._samples.append(float(answer))


def _label_all(
    planned: PlannedSequence, labeler: VSRDLabeler, plans: list[GroupPlan], amount: Amount
) -> list[_Labelled | None]:
    batches = [plans[start : start + amount.batch] for start in range(0, len(plans), amount.batch)]
    with ThreadPoolExecutor(amount.threads) as pool:
        results = pool.map(lambda batch: _label_batch(planned, labeler, batch), batches)
        return [one for batch in results for one in batch]


def _label_batch(planned: PlannedSequence, labeler: VSRDLabeler, plans: list[GroupPlan]) -> list[_Labelled | None]:
    """What becomes of each group from its masks to its rows; None of one that failed."""
    groups = [labeler.prepare(planned.load(plan)) for plan in plans]
    outcomes = labeler.label_many(groups, seed=labeler.config.seed)
    return [
        None
        if isinstance(fits, Exception)
        else _Labelled(fits, rows_of(fits, group, labeler=labeler, config=labeler.config))
        for fits, group in zip(outcomes, groups, strict=True)
    ]


def _differences(planned: PlannedSequence, config: VSRDConfig, labelled: list[_Labelled | None]) -> list[float]:
    """Of each box of the first groups the largest distance, metres, of a corner from where the CPU puts it."""
    labeler = VSRDLabeler(config)
    labeler.setup()
    differences = []
    for plan, one in zip(planned.groups[:COMPARED_GROUPS], labelled, strict=False):
        fits = labeler.label(labeler.prepare(planned.load(plan)), seed=config.seed)
        expected = {fit.instance_id: fit for fit in fits}
        for fit in [] if one is None else one.fits:
            apart = np.linalg.norm(fit.box.corners() - expected[fit.instance_id].box.corners(), axis=-1)
            differences.append(float(apart.max()))
    return differences


def _mean_iou(dataset: Dataset, planned: PlannedSequence, labelled: list[_Labelled | None]) -> float:
    rows = [LABEL_SCHEMA.empty_table(), *(one.rows for one in labelled if one is not None)]
    return summarise(judge(dataset, planned, planned.groups, pa.concat_tables(rows))).iou_3d.mean
