"""Training on Ray: pieces are made by Ray Data, and the loop runs in the workers of Ray Train.

Workers add up over gloo on CPUs and NCCL on GPUs. A worker that dies ends the others; Ray Train starts all of them
again, and they go on from the newest checkpoint in the run's folder, which the first of them writes.
"""

import logging
import pickle
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from vsrd_ray.engines.ray_data.session import RayOnDemand
from vsrd_ray.errors import InputError, OutputError, VSRDRayError, WorkerError, explained, one_line
from vsrd_ray.training.base import Piece
from vsrd_ray.training.record import read_progress

if TYPE_CHECKING:
    from vsrd_ray.pipeline.training import TrainingDisplay, TrainRequest
    from vsrd_ray.training.loop import TrainingJob
    from vsrd_ray.training.record import TrainingProgress

logger = logging.getLogger(__name__)

_PIECES_AT_ONCE = 16
_LOOK = 1.0  # seconds between looks at how far workers are
_LOW_ON_MEMORY = "low on memory"  # what Ray says of an actor that it has ended for it


class RayTraining(RayOnDemand):
    """Training on a Ray of this machine's own, or on a cluster."""

    def __init__(self, request: "TrainRequest") -> None:
        super().__init__(address=request.address, dashboard=False, verbose=request.verbose)
        self._request = request

    def __enter__(self) -> "RayTraining":
        return self

    def device(self, wanted: str) -> str:
        """See `vsrd_ray.pipeline.training.TrainingEngine`; also that the workers can be placed."""
        machines, workers = self.machines(), self._request.workers
        device = wanted if wanted != "auto" else ("cuda" if machines.gpus else "cpu")
        if machines.may_be_more:
            if wanted == "auto":
                raise InputError("machines may join this cluster of which nothing is known here: give --device")
            return device
        if device == "cuda" and machines.gpus < workers:
            raise InputError(
                f"--workers {workers} on CUDA: there are {machines.gpus:g} GPUs: start fewer, or on the CPU"
            )
        cpus = workers * self._request.num_cpus
        if machines.cpus < cpus:
            raise InputError(f"--workers {workers} need {cpus} CPUs, and there are {machines.cpus:g}: start fewer")
        return device

    def make(self, job: "TrainingJob", pieces: Sequence[Piece]) -> Iterator[int]:
        """See `vsrd_ray.pipeline.training.TrainingEngine`."""
        self.start()
        import ray  # noqa: PLC0415 - starts first
        from ray.exceptions import RayError  # noqa: PLC0415

        dataset = ray.data.from_items([{"piece": pickle.dumps(piece)} for piece in pieces])
        done = 0
        try:
            work: Any = partial(prepare_samples, job=job)
            made = dataset.map_batches(work, batch_size=_PIECES_AT_ONCE)
            made.set_name("samples to train on")
            for row in made.iter_rows():
                if row["error"]:
                    raise InputError(row["error"])
                done += 1
                yield done
        except RayError as error:
            raise WorkerError(f"samples cannot be prepared: {one_line(_cause(error))}") from error

    def train(self, job: "TrainingJob", display: "TrainingDisplay") -> None:
        """See `vsrd_ray.pipeline.training.TrainingEngine`."""
        self.start()
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError  # noqa: PLC0415
        from ray.train.torch import TorchConfig, TorchTrainer  # noqa: PLC0415

        request, is_gpu = self._request, job.device == "cuda"
        for name in ("ray.train", "ray.train.v2"):
            logging.getLogger(name).setLevel(logging.INFO if request.verbose else logging.CRITICAL)
        resources = {"CPU": float(request.num_cpus), **({"GPU": 1.0} if is_gpu else {})}
        own = tempfile.mkdtemp(prefix="vsrd-ray-")  # for what Ray Train keeps, which is nothing: checkpoints are ours
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"job": job, "num_cpus": request.num_cpus},
            torch_config=TorchConfig(backend="nccl" if is_gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=request.workers, use_gpu=is_gpu, resources_per_worker=resources),
            run_config=RunConfig(
                name="train",
                storage_path=own,
                failure_config=FailureConfig(max_failures=request.max_attempts - 1),
            ),
        )
        try:
            _follow(_Fit(trainer), job, display)
        except TrainingFailedError as error:
            raise _told(error) from error
        finally:
            shutil.rmtree(own, ignore_errors=True)


def prepare_samples(batch: Any, job: "TrainingJob") -> Any:
    """Make some pieces on a worker; errors come back as rows. Its name is what Ray's dashboard shows."""
    from vsrd_ray.training.pieces import make_piece  # noqa: PLC0415 - on the worker

    trainable, errors = job.build(job.settings), []
    for piece in batch["piece"]:
        try:
            make_piece(trainable, pickle.loads(piece), job.store)
            errors.append("")
        except (VSRDRayError, OSError) as error:
            errors.append(str(error) if isinstance(error, VSRDRayError) else one_line(error))
    return {"error": errors}


def _worker(config: dict[str, Any]) -> None:
    """What each worker of Ray Train does."""
    import torch  # noqa: PLC0415 - on the worker
    from ray.train.torch import get_device  # noqa: PLC0415

    from vsrd_ray.training.loop import train  # noqa: PLC0415
    from vsrd_ray.training.sums import Together  # noqa: PLC0415

    torch.set_num_threads(config["num_cpus"])
    workers, device = Together(), get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    train(config["job"], workers, device=device, listener=_Metrics().update if workers.rank == 0 else None)


class _Metrics:
    """How far training is, for Prometheus."""

    def __init__(self) -> None:
        from ray.util.metrics import Gauge  # noqa: PLC0415 - on the worker

        self._step = Gauge("vsrd_training_step", "Steps made.")
        self._steps = Gauge("vsrd_training_steps", "Steps to be made.")
        self._loss = Gauge("vsrd_training_loss", "Mean loss since the last note.")
        self._best = Gauge("vsrd_training_best", "Best figure of validation so far.")
        self._rate = Gauge("vsrd_training_steps_per_second", "Steps a second since the start.")
        self._memory = Gauge("vsrd_training_memory_bytes", "The most that the first worker's device held.")

    def update(self, progress: "TrainingProgress") -> None:
        """Training has come further."""
        self._step.set(progress.step)
        self._steps.set(progress.steps)
        self._memory.set(progress.memory_bytes)
        for gauge, value in ((self._loss, progress.loss), (self._best, progress.best), (self._rate, progress.rate)):
            if value is not None:
                gauge.set(value)


class _Fit(threading.Thread):
    """Ray Train at work, beside the main thread: there it would take Ctrl-C for itself, and end with exit code 0."""

    def __init__(self, trainer: Any) -> None:
        super().__init__(name="ray-train", daemon=True)
        self._trainer = trainer
        self.error: BaseException | None = None

    def run(self) -> None:
        """Train, and keep what it ends with."""
        try:
            self._trainer.fit()
        except BaseException as error:
            self.error = error


def _follow(fit: _Fit, job: "TrainingJob", display: "TrainingDisplay") -> None:
    """Shows what the first worker notes in the run's folder, until training ends."""
    shown = read_progress(job.run)
    fit.start()
    while fit.is_alive():
        fit.join(_LOOK)
        with suppress(InputError, OSError):
            if (progress := read_progress(job.run)) is not None and progress != shown:
                display.update(shown := progress)
    if fit.error is not None:
        raise fit.error


def _told(error: Exception) -> VSRDRayError:
    """An error of training as one for the user: a worker's own where there is one."""
    failures = list(getattr(error, "worker_failures", {}).values())
    causes = [_cause(one) for one in failures]
    own = [one for one in causes if isinstance(one, VSRDRayError)]
    if own:
        return own[0]
    from ray.exceptions import OutOfMemoryError  # noqa: PLC0415 - Ray is there by now

    is_for_memory = any(isinstance(one, OutOfMemoryError | MemoryError) for one in causes)
    if is_for_memory or any(_LOW_ON_MEMORY in str(one) for one in failures):
        return WorkerError(
            "a worker was ended for memory, which its machine ran out of: set a smaller optimisation.batch_size, or "
            "start fewer --workers a machine; the same command goes on from the newest checkpoint"
        )
    if system := [one for one in causes if isinstance(one, OSError)]:  # such as a full disk
        return OutputError(f"{explained(system[0])}; then the same command goes on from the newest checkpoint")
    reason = one_line(causes[0]) if causes else one_line(error)
    return WorkerError(
        f"workers ended before training did ({reason[:500]}); the same command goes on from the newest checkpoint"
    )


def _cause(error: BaseException) -> BaseException:
    """The error of the code in a worker, out of what Ray wraps it in."""
    for name in ("_base_exc", "cause"):
        inner = getattr(error, name, None)
        if isinstance(inner, BaseException):
            return _cause(inner)
    return error
