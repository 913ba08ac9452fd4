"""A run of training on two workers of torch's process group, without Ray: as Ray Train would start them."""

import multiprocessing
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist

from vsrd_ray.training.loop import TrainingJob, train
from vsrd_ray.training.sums import Together


def train_on_two(job: TrainingJob) -> None:
    """Train to the end; the newest checkpoint is in the job's folder."""
    with tempfile.TemporaryDirectory() as folder:
        spawning = multiprocessing.get_context("spawn")
        workers = [spawning.Process(target=_work, args=(job, rank, f"{folder}/meeting")) for rank in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(300)
        codes = [worker.exitcode for worker in workers]
        for worker in workers:
            worker.kill()
    assert codes == [0, 0], codes
    assert Path(str(job.run)).is_dir()


def _work(job: TrainingJob, rank: int, meeting: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    try:
        train(job, Together(), device=torch.device("cpu"))
    finally:
        dist.destroy_process_group()
