"""The loop: the same steps in one process and in many, and after a kill as without one."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError, WorkerError
from vsrd_ray.storage import Location
from vsrd_ray.training.base import Batch, Samples, Term, Trainable
from vsrd_ray.training.checkpoints import (
    Checkpoint,
    drop_old,
    load_state,
    load_trained,
    newest_checkpoint,
    write_checkpoint,
)
from vsrd_ray.training.draws import VALIDATION, Draws, batch_of, share_of
from vsrd_ray.training.feed import batches, on_device
from vsrd_ray.training.optimiser import Averaged, make_optimiser, make_scheduler
from vsrd_ray.training.paths import TrainingPaths
from vsrd_ray.training.pieces import PieceStore
from vsrd_ray.training.settings import TrainingSettings
from vsrd_ray.training.sums import Workers, add_gradients
from vsrd_ray.training.watch import Listener, Watch

logger = logging.getLogger(__name__)

_THREADS = 8  # that read samples beside a GPU
_NO_MEMORY = "can't allocate memory"  # what torch says of the CPU's, in an error of no kind of its own


@dataclass(frozen=True)
class TrainingJob:
    """All that a worker needs: small and picklable."""

    settings: TrainingSettings
    build: Callable[[Any], Trainable[Any]]
    drives: tuple[Drive, ...]
    val_drives: tuple[Drive, ...]  # empty: samples of `drives` are held out
    run: Location
    store: PieceStore
    device: str  # "cpu" or "cuda"
    teacher: Location | None = None  # a run, or a checkpoint
    init: Location | None = None

    def samples(self, trainable: Trainable[Any]) -> tuple[Samples, Samples]:
        """Samples to learn from, and those to validate on.

        Raises:
            InputError: there are none to learn from, or two of one id.
        """
        learnt = trainable.samples(self.drives, "all" if self.val_drives else "train", self.store)
        held = trainable.samples(self.val_drives or self.drives, "all" if self.val_drives else "validation", self.store)
        if not len(learnt.ids):
            names = ", ".join(drive.name for drive in self.drives)
            raise InputError(f"no sample to train on in {names}: name longer drives, or other settings")
        for some in (learnt, held):
            if len(set(some.ids)) < len(some.ids):
                raise InputError("two samples have the same id: a trainable must give each its own")
        return learnt, held


def train(job: TrainingJob, workers: Workers, *, device: torch.device, listener: Listener | None = None) -> None:
    """Train from the newest checkpoint on, until all steps are made. Every worker calls this.

    Args:
        job: what to do.
        workers: this one, and how to add up over all.
        device: of this one.
        listener: told by the first worker how far training is.

    Raises:
        InputError: samples, a checkpoint or weights that cannot be used, or a folder that this worker does not see.
        WorkerError: the device has no memory left, or losses are no numbers any more.
    """
    if not TrainingPaths(job.run).record.exists():
        raise InputError(f"{job.run} cannot be seen from a worker: give an --output that every node reads and writes")
    size = job.settings.optimisation.batch_size
    if workers.world_size > size:
        raise InputError(f"--workers {workers.world_size}: more than the {size} samples of a batch: start fewer")
    try:
        _Training(job, workers, device, listener).run()
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and _NO_MEMORY not in str(error):
            raise
        raise WorkerError(
            f"out of memory on {device} with {-(-size // workers.world_size)} samples a worker: set a smaller "
            "optimisation.batch_size, bfloat16 as its precision, or start more --workers"
        ) from error


class _Training:
    def __init__(self, job: TrainingJob, workers: Workers, device: torch.device, listener: Listener | None) -> None:
        self.job, self.workers, self.device = job, workers, device
        self.settings, self.how, self.when = job.settings, job.settings.optimisation, job.settings.watching
        self.trainable = job.build(job.settings)
        self.samples, self.held = job.samples(self.trainable)
        torch.manual_seed(self.settings.seed)
        teacher = None if job.teacher is None else self.trainable.teacher(job.teacher)
        model = self.trainable.model(teacher)
        checkpoint = newest_checkpoint(job.run)
        self.step = 0 if checkpoint is None else checkpoint.step
        self.best = None if checkpoint is None else checkpoint.best
        if checkpoint is not None:
            load_state(model, checkpoint.model, source=TrainingPaths(job.run).checkpoint(checkpoint.step))
        elif job.init is not None:
            self.trainable.initial(model, load_trained(job.init))
        if len(set(workers.gather(self.step))) > 1:
            raise InputError(f"workers find different checkpoints in {job.run}: give an --output that all nodes share")
        self.model = model.to(device).train()
        self.averaged = Averaged(self.model, self.how.ema) if self.how.ema else None
        self.optimiser = make_optimiser(self.model, self.how)
        self.scheduler = make_scheduler(self.optimiser, self.how)
        if checkpoint is not None:
            self.optimiser.load_state_dict(checkpoint.optimiser)
            self.scheduler.load_state_dict(checkpoint.scheduler)
            if self.averaged is not None and checkpoint.average is not None:
                self.averaged.model.load_state_dict(checkpoint.average)
            if checkpoint.random is not None:
                torch.set_rng_state(checkpoint.random)
        if self.how.compile:
            self.trainable.compile(self.model)
        self.sums: dict[str, Tensor] = {}  # of values since the last note
        self.num_summed = 0
        self.is_settled = True  # the last step is made and noted, and the next has changed no weight yet
        self.watch: Watch | None = None
        if workers.rank == 0:
            self.watch = Watch(job.run, step=self.step, steps=self.how.steps, best=self.best, listener=listener)

    def run(self) -> None:
        try:
            for batch, ids in self.feed():
                self.make_step(on_device(batch, self.device), ids)
                self.after_step()
                self.is_settled = True
            if self.watch is not None:
                self.watch.progress(self.step, memory_bytes=self.memory(), is_last=True)
        except KeyboardInterrupt:
            self.save_what_is_made()
            raise
        finally:
            if self.watch is not None:
                self.watch.close()

    def feed(self) -> Iterator[tuple[Batch, list[str]]]:
        """This worker's part of each step's batch."""
        plans = ((step, self.share(step)) for step in range(self.step, self.how.steps))
        return batches(plans, self.samples, self.trainable, threads=_THREADS if self.device.type == "cuda" else 0)

    def share(self, step: int) -> list[int]:
        numbers = batch_of(step, count=len(self.samples.ids), batch_size=self.how.batch_size, seed=self.settings.seed)
        return share_of(numbers, rank=self.workers.rank, world_size=self.workers.world_size)

    def make_step(self, batch: Batch, ids: list[str]) -> None:
        # What draws from torch's own generators, as dropout does, repeats itself too for as many workers.
        torch.manual_seed(hash_of(self.settings.seed, self.step, self.workers.rank))
        draws = Draws.of(self.settings.seed, self.step, ids, "loss", self.device)
        self.optimiser.zero_grad(set_to_none=True)
        with self.autocast():
            terms = self.trainable.loss(self.model, batch, draws)
        loss, values = total(terms, self.workers, self.device)
        loss.backward()
        parameters = [one for one in self.model.parameters() if one.requires_grad]
        add_gradients(parameters, self.workers)
        if self.how.clip:
            nn.utils.clip_grad_norm_(parameters, self.how.clip)
        self.is_settled = False
        self.optimiser.step()
        self.scheduler.step()
        if self.averaged is not None:
            self.averaged.update(self.model)
        self.step += 1
        self.num_summed += 1
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def after_step(self) -> None:
        is_last = self.step == self.how.steps
        is_kept = is_last or self.step % self.when.checkpoint_every == 0
        is_validated = is_last or self.step % self.when.validate_every == 0
        if is_kept or is_validated or self.step % self.when.note_every == 0:
            self.note()
        if is_validated and self.when.validation_samples and len(self.held.ids):
            self.validate()
        if is_kept:
            self.save()
        if self.watch is not None:
            self.watch.progress(self.step, memory_bytes=self.memory())

    def save(self) -> None:
        """The first worker writes a checkpoint."""
        if self.watch is not None:
            self.watch.write()
            write_checkpoint(self.checkpoint(), TrainingPaths(self.job.run).checkpoint(self.step))
            drop_old(self.job.run, keep=self.when.keep)

    def save_what_is_made(self) -> None:
        """A checkpoint on the way, of one process; a step that was interrupted half way is made again."""
        path = TrainingPaths(self.job.run).checkpoint(self.step)
        if self.is_settled and self.step and self.workers.world_size == 1 and not path.exists():
            if self.num_summed:
                self.note()
            self.save()
            if self.watch is not None:
                self.watch.progress(self.step, memory_bytes=self.memory(), is_last=True)
            logger.info("Kept what the %d steps so far have made: %s", self.step, path)

    def note(self) -> None:
        values = {name: float(value) / self.num_summed for name, value in self.sums.items()}
        self.sums, self.num_summed = {}, 0
        if not all(map(math.isfinite, values.values())):
            told = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise WorkerError(
                f"the loss is no number any more before step {self.step} ({told}): lower optimisation.learning_rate, "
                "or set optimisation.clip; the same command with the old settings goes on from the newest checkpoint"
            )
        if self.watch is not None:
            rate = float(self.optimiser.param_groups[0]["lr"])
            self.watch.note(self.step, {**values, "learning_rate": rate}, kind="train")

    def validate(self) -> None:
        model = (self.model if self.averaged is None else self.averaged.model).eval()
        numbers = spread(len(self.held.ids), self.when.validation_samples)
        mine = share_of(numbers, rank=self.workers.rank, world_size=self.workers.world_size)
        size = max(1, self.how.batch_size // self.workers.world_size)
        plans = [(VALIDATION, mine[first : first + size]) for first in range(0, len(mine), size)]
        sums: dict[str, list[float]] = {}
        with torch.no_grad(), self.autocast():
            for batch, ids in batches(plans, self.held, self.trainable, threads=0):
                draws = Draws.of(self.settings.seed, VALIDATION, ids, "loss", self.device)
                for name, term in self.trainable.validate(model, on_device(batch, self.device), draws).items():
                    one = sums.setdefault(name, [0.0, 0.0, term.weight])
                    one[0], one[1] = one[0] + float(term.sum), one[1] + float(term.count)
            figures = _figures(self.workers.gather(sums))
            if self.watch is not None:
                self.draw(model, numbers[: self.when.pictures])
        self.model.train()
        if self.when.best not in figures:
            raise InputError(f"watching.best: no figure {self.when.best!r}: give one of {', '.join(figures)}")
        value = figures[self.when.best]
        sign = 1 if self.when.best_is == "lowest" else -1
        if not math.isnan(value) and (self.best is None or sign * value < sign * self.best):
            self.best = value
            if self.watch is not None:
                write_checkpoint(self.checkpoint(), TrainingPaths(self.job.run).best)
        if self.watch is not None:
            self.watch.best = self.best
            self.watch.note(self.step, figures, kind="validation")

    def draw(self, model: nn.Module, numbers: list[int]) -> None:
        assert self.watch is not None
        plans = [(VALIDATION, [number]) for number in numbers]
        for place, (batch, ids) in enumerate(batches(plans, self.held, self.trainable, threads=0)):
            draws = Draws.of(self.settings.seed, VALIDATION, ids, "loss", self.device)
            for name, image in self.trainable.pictures(model, on_device(batch, self.device), draws).items():
                self.watch.picture(self.step, f"{name}-{place}", image)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            trainable=self.settings.trainable,
            settings=self.settings.model_dump(mode="json"),
            step=self.step,
            model=self.model.state_dict(),
            optimiser=self.optimiser.state_dict(),
            scheduler=self.scheduler.state_dict(),
            average=None if self.averaged is None else self.averaged.model.state_dict(),
            random=torch.get_rng_state(),
            best=self.best,
        )

    def autocast(self) -> AbstractContextManager[Any]:
        if self.how.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def memory(self) -> int:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0


def total(terms: Mapping[str, Term], workers: Workers, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a step, and the value of each term over all workers.

    Returns:
        This worker's part of the loss, whose gradients add up to those of the whole; and values by name, with "loss".
    """
    names = sorted(terms)
    weights = torch.tensor([terms[name].weight for name in names], dtype=torch.float64, device=device)
    sums = torch.stack([terms[name].sum.double() for name in names])
    counts = torch.stack([torch.as_tensor(terms[name].count, device=device).double() for name in names])
    both = workers.add(torch.stack([sums.detach(), counts.detach()]))
    factors = torch.where(both[1] > 0, 1 / both[1].clamp(min=1e-30), 0.0)
    values = both[0] * factors
    loss = (sums * (weights * factors)).sum()
    return loss, {**dict(zip(names, values, strict=True)), "loss": (weights * values).sum()}


def spread(count: int, wanted: int) -> list[int]:
    """So many numbers of `range(count)`, evenly spread; all of them where there are fewer."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(int)).tolist() if count else []


def hash_of(seed: int, step: int, rank: int) -> int:
    """A seed for torch's own generators."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0]) >> 1


def _figures(gathered: list[dict[str, list[float]]]) -> dict[str, float]:
    """Figures over all workers; "loss" is the weighted sum of those that have a weight, unless it is one of them."""
    names = dict.fromkeys(name for one in gathered for name in one)
    figures: dict[str, float] = {}
    loss = 0.0
    for name in names:
        rows = [one[name] for one in gathered if name in one]
        count = sum(row[1] for row in rows)
        figures[name] = sum(row[0] for row in rows) / count if count else math.nan
        loss += rows[0][2] * figures[name] if count else 0.0
    return {"loss": loss, **figures}
