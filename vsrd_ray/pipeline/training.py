"""A run of training: look up what is asked, prepare samples once, train on whatever engine does the work."""

import hashlib
import json
import logging
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Protocol

from tqdm import tqdm

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.given import NOTHING_GIVEN
from vsrd_ray.datasets.base import (
    Dataset,
    check_camera,
    check_known,
    dataset_named,
    dataset_of,
    open_with,
    side_cameras,
)
from vsrd_ray.errors import InputError, OutputError, VSRDRayError, explained, one_line
from vsrd_ray.labelers.trainables import trainable_named
from vsrd_ray.pipeline.request import ALL_SEQUENCES, format_seconds
from vsrd_ray.pipeline.run import terminated_like_interrupted
from vsrd_ray.runs.lock import locked
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage import Location, absolute, plain_name, read_bytes
from vsrd_ray.storage.targets import check_folder
from vsrd_ray.training.base import Piece, TrainableSpec, TrainingNeeds
from vsrd_ray.training.paths import TrainingPaths
from vsrd_ray.training.record import (
    Record,
    Status,
    TrainingProgress,
    check_folder_of,
    read_progress,
    read_record,
    write_record,
)
from vsrd_ray.training.settings import TrainingSettings

logger = logging.getLogger(__name__)

SECONDS_PER_LINE = 15.0
_SILENCE = 120.0  # seconds without a note, after which one may wonder
_PACKAGES = ("vsrd-ray", "torch", "ray", "numpy")


@dataclass(frozen=True)
class TrainRequest:
    """One run of training. Only settings, dataset, camera, sequences, teacher and init decide what is learnt."""

    root: Location
    sequences: tuple[str, ...]
    output: Location
    settings: TrainingSettings
    title: str = ""  # what the user calls the configuration
    val_sequences: tuple[str, ...] = ()
    dataset: str | None = None
    camera: str | None = None
    teacher: Location | None = None
    init: Location | None = None
    cache: Location | None = None  # None: in `output`
    workers: int = 0  # of Ray Train; 0: this process, without Ray
    num_cpus: int = 1  # of a worker
    device: Literal["auto", "cpu", "cuda"] = "auto"
    address: str | None = None
    max_attempts: int = 3
    show_bar: bool = True
    verbose: bool = False


class TrainingEngine(Protocol):
    """What does the work of training."""

    def device(self, wanted: str) -> str:
        """The device, "cpu" or "cuda", of a wish that may be "auto".

        Raises:
            InputError: there is no such device.
        """
        ...

    def make(self, job: Any, pieces: Sequence[Piece]) -> Iterator[int]:
        """Make pieces and keep them; how many are done, now and then."""
        ...

    def train(self, job: Any, display: "TrainingDisplay") -> None:
        """Train to the end."""
        ...


@dataclass(frozen=True)
class TrainSummary:
    """How a run of training ended."""

    request: TrainRequest
    progress: TrainingProgress
    wall_seconds: float


def run_training(request: TrainRequest, backend: AbstractContextManager[TrainingEngine]) -> TrainSummary:
    """Train into an output folder, going on from its newest checkpoint.

    Args:
        request: what to train, on what, and where to.
        backend: what does the work; it is started after the request has been checked.

    Raises:
        InputError: a request or an input that cannot be used.
        OutputError: the folder holds other things or another run, cannot be written, or is written by another run.
        WorkerError: workers end without a result.
        KeyboardInterrupt: the run was interrupted; the same request goes on from the newest checkpoint.
    """
    started = time.monotonic()
    spec = trainable_named(request.settings.trainable)
    drives, val_drives, inputs = _inputs(request, spec)
    check_folder(request.output, fix="give another --output")
    record = _record(request, inputs)
    check_folder_of(record, request.output)
    with terminated_like_interrupted(), locked(request.output):
        try:
            with backend as engine:
                write_record(record, request.output)
                job = _job(request, spec, drives, val_drives, inputs=inputs, device=engine.device(request.device))
                logger.info("Configuration %s (%s)%s", request.title, record.config_hash, _in_words(request.settings))
                with TrainingDisplay(show_bar=request.show_bar) as display:
                    _make_pieces(job, engine, display)
                    engine.train(job, display)
        except KeyboardInterrupt:
            _close(record, request.output, status="interrupted")
            logger.warning("Interrupted; the same command goes on from the newest checkpoint.")
            raise
        except OSError as error:  # such as a full disk
            _close(record, request.output, status="failed", error=explained(error))
            fix = f"{explained(error)}; then the same command goes on from the newest checkpoint"
            raise OutputError(f"the training into {request.output} cannot go on: {fix}") from error
        except Exception as error:
            text = str(error) if isinstance(error, VSRDRayError) else one_line(error)
            _close(record, request.output, status="failed", error=text)
            raise
        _close(record, request.output, status="complete")
    progress = read_progress(request.output) or TrainingProgress()
    return TrainSummary(request, progress, time.monotonic() - started)


def _inputs(
    request: TrainRequest, spec: TrainableSpec[Any]
) -> tuple[tuple[Drive, ...], tuple[Drive, ...], dict[str, Any]]:
    """Open drives, and what is recorded of all that is given."""
    dataset = dataset_of(request.root) if request.dataset is None else dataset_named(request.dataset)
    camera = dataset.cameras[0] if request.camera is None else request.camera
    check_camera(camera, dataset.cameras)
    needs = spec.needs(request.settings)
    cameras = dataset.cameras if needs.all_cameras else (camera,)
    cameras += side_cameras(dataset) if needs.side_cameras else ()
    names = _names(request, dataset, needs, camera)
    if both := set(names) & set(request.val_sequences):
        raise InputError(f"--val-sequence {min(both)} is trained on as well: give another")
    opened = [_open(dataset, request.root, name, cameras, needs) for name in (*names, *request.val_sequences)]
    asked = {"teacher": request.teacher, "init": request.init}
    given = {option: place for option, place in asked.items() if place is not None}
    inputs = {
        "dataset": dataset.name,
        "camera": camera,
        "sequences": list(names),
        "val_sequences": list(request.val_sequences),
        "fingerprints": {
            name: dataset.fingerprint(request.root, name, cameras) for name in (*names, *request.val_sequences)
        },
        "given": {option: _digest(place) for option, place in given.items()},
        "root": str(request.root),
        "places": {option: str(place) for option, place in given.items()},
    }
    return tuple(opened[: len(names)]), tuple(opened[len(names) :]), inputs


def _names(request: TrainRequest, dataset: Dataset, needs: TrainingNeeds, camera: str) -> tuple[str, ...]:
    known = dataset.drives(request.root)
    if ALL_SEQUENCES in request.val_sequences:
        raise InputError(f"--val-sequence {ALL_SEQUENCES}: name each sequence to validate on")
    for name in (*request.sequences, *request.val_sequences):
        if name != ALL_SEQUENCES:
            check_known(plain_name(name, what="sequence"), known, root=request.root)
    if repeated := {name for name in request.sequences if request.sequences.count(name) > 1}:
        raise InputError(f"--sequence {min(repeated)} is given more than once: name each sequence once")
    if ALL_SEQUENCES not in request.sequences:
        return request.sequences
    if len(request.sequences) > 1:
        raise InputError(f"--sequence {ALL_SEQUENCES} stands for every sequence: give no other beside it")
    usable = [
        name
        for name in known
        if name not in request.val_sequences
        and all(dataset.has_layer(request.root, name, layer, camera) for layer in needs.layers)
    ]
    if not usable:
        raise InputError(dataset.missing(request.root, None, needs.layers[0], camera))
    return tuple(usable)


def _open(dataset: Dataset, root: Location, name: str, cameras: tuple[str, ...], needs: TrainingNeeds) -> Drive:
    drive = open_with(dataset, absolute(root), name, cameras, NOTHING_GIVEN, with_ids=False)
    for layer in needs.layers:
        if not any(drive.layers.get(layer, {}).values()):
            raise InputError(dataset.missing(root, name, layer, cameras[0]))
    if needs.side_cameras and not (sides := set(side_cameras(dataset))) & drive.cameras.keys():
        lacking = f"{dataset.title} has none" if not sides else f"no image of {' or '.join(sorted(sides))}"
        logger.warning("%s is trained on without cameras that look to the sides: %s", name, lacking)
    return drive


def _digest(place: Location) -> str:
    """What tells a run of training by its weights, or one of labelling by its settings and inputs."""
    manifest = RunPaths(place).manifest
    if manifest.exists():
        content = json.loads(read_bytes(manifest))
        decisive = [content.get("config_hash"), content.get("inputs", {}).get("identities")]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]
    from vsrd_ray.training.checkpoints import load_trained  # noqa: PLC0415 - imports torch

    return load_trained(place).digest


def _record(request: TrainRequest, inputs: dict[str, Any]) -> Record:
    versions = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return Record(
        trainable=request.settings.trainable,
        config=request.settings.model_dump(mode="json"),
        config_hash=request.settings.hash(),
        decisive=request.settings.decisive(),
        inputs=inputs,
        workers=request.workers,
        versions=versions,
    )


def _job(
    request: TrainRequest,
    spec: TrainableSpec[Any],
    drives: tuple[Drive, ...],
    val_drives: tuple[Drive, ...],
    *,
    inputs: dict[str, Any],
    device: str,
) -> Any:
    from vsrd_ray.training.loop import TrainingJob  # noqa: PLC0415 - imports torch
    from vsrd_ray.training.pieces import PieceStore  # noqa: PLC0415

    output = absolute(request.output)
    make = type(spec.build(request.settings)).make
    named = [f"{make.__module__}.{make.__qualname__}", inputs["dataset"], inputs["fingerprints"]]
    digest = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:12]
    cache = TrainingPaths(output).cache if request.cache is None else absolute(request.cache)
    return TrainingJob(
        settings=request.settings,
        build=spec.build,
        drives=drives,
        val_drives=val_drives,
        run=output,
        store=PieceStore(cache / digest),
        device=device,
        teacher=None if request.teacher is None else absolute(request.teacher),
        init=None if request.init is None else absolute(request.init),
    )


def _in_words(settings: TrainingSettings) -> str:
    return f": {settings.in_words}" if settings.in_words else ""


def _make_pieces(job: Any, engine: TrainingEngine, display: "TrainingDisplay") -> None:
    pieces = job.store.missing(job.build(job.settings).pieces((*job.drives, *job.val_drives)))
    if not pieces:
        return
    logger.info("Preparing %d pieces of samples", len(pieces))
    for done in engine.make(job, pieces):
        display.show(done, len(pieces), f"{done}/{len(pieces)} prepared")


def _close(record: Record, run: Location, *, status: Status, error: str | None = None) -> None:
    with suppress(OSError, VSRDRayError):  # what ended the run may hinder this too
        write_record(replace(record, status=status, error=error), run)


class TrainingDisplay:
    """How far training is: a bar in a terminal, a line now and then in a log."""

    def __init__(self, *, show_bar: bool = True) -> None:
        self._show_bar = show_bar
        self._last = 0.0
        self._bar: tqdm | None = None

    def __enter__(self) -> "TrainingDisplay":
        self._bar = tqdm(
            bar_format="{percentage:3.0f}%|{bar}| {desc}",
            disable=not (self._show_bar and sys.stderr.isatty()),
            leave=False,
            dynamic_ncols=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, progress: TrainingProgress) -> None:
        """Training has come further."""
        self.show(progress.step, progress.steps, training_line(progress))

    def show(self, done: int, count: int, line: str) -> None:
        """Show a part of a whole."""
        if self._bar is not None and not self._bar.disable:
            self._bar.total, self._bar.n = count, done
            self._bar.set_description_str(line, refresh=False)
            self._bar.refresh()
            return
        now = time.monotonic()
        if done == count or now - self._last >= SECONDS_PER_LINE:
            self._last = now
            logger.info("%s", line)


def training_line(progress: TrainingProgress) -> str:
    """The state in one line: steps, loss, the best figure, rate, time left."""
    parts = [f"{progress.step}/{progress.steps} steps"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4g}")
    if progress.best is not None:
        parts.append(f"best {progress.best:.4g}")
    if progress.rate:
        slow = progress.rate < 1
        parts.append(f"{60 * progress.rate:.3g} a minute" if slow else f"{progress.rate:.3g} a second")
        parts.append(f"{format_seconds((progress.steps - progress.step) / progress.rate)} left")
    if progress.memory_bytes:
        parts.append(f"{progress.memory_bytes / 2**30:.1f} GiB")
    return ", ".join(parts)


def format_train_summary(summary: TrainSummary) -> str:
    """The closing lines of a run of training."""
    progress, output = summary.progress, summary.request.output
    rows = [("Steps", f"{progress.step} of {progress.steps}")]
    if progress.loss is not None:
        rows.append(("Loss", f"{progress.loss:.6g}"))
    if progress.best is not None:
        rows.append(("Best", f"{summary.request.settings.watching.best} {progress.best:.6g}, in checkpoints/best.pt"))
    rows += [("Time", format_seconds(summary.wall_seconds)), ("Output", str(output))]
    rows.append(("Next", f"vsrd-ray status {shlex.quote(str(output))}"))
    return "\n".join(f"{name:10}{text}" for name, text in rows)


def read_training_status(run: Location) -> dict[str, Any]:
    """The state of the training in a folder: the record's values, `progress`, and its `age` in seconds.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    record = read_record(run)
    if record is None:
        raise InputError(f"no {TrainingPaths(run).record}: expected the output folder of `vsrd-ray train`")
    progress = read_progress(run)
    age = None
    if progress is not None:
        age = (datetime.now(UTC) - datetime.fromisoformat(progress.time)).total_seconds()
    return {"output": str(run), **vars(record), "progress": None if progress is None else vars(progress), "age": age}


def format_training_status(state: dict[str, Any]) -> str:
    """The state in a few lines."""
    status, age = state["status"], state["age"] or 0.0
    if status == "interrupted":
        status = "interrupted; the same command goes on from there"
    elif status == "running" and age > _SILENCE:
        status = "running when it was last heard of; if it was killed, the same command goes on from there"
    rows = [("Output", state["output"]), ("Trains", state["trainable"]), ("Status", status)]
    if state["progress"] is not None:
        rows.append(("Progress", training_line(TrainingProgress(**state["progress"]))))
        rows.append(("Noted", f"{format_seconds(max(age, 0.0))} ago"))
    if state["error"]:
        rows.append(("Error", state["error"]))
    return "\n".join(f"{name:10}{text}" for name, text in rows)
