"""A labelling run: index, plan, label, commit."""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from functools import cache

from vsrd_ray import storage
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.instances import SEMANTIC_IDS
from vsrd_ray.datasets.kitti360.sequences import check_known, list_sequences
from vsrd_ray.engines.ray_data.session import RayOnDemand
from vsrd_ray.engines.serial import SerialEngine
from vsrd_ray.errors import InputError, OutputError, TerminatedError, VSRDRayError, one_line
from vsrd_ray.pipeline.factory import LabelerFactory, build_labeler
from vsrd_ray.pipeline.pool import Pool, resolve_pool, this_machine
from vsrd_ray.pipeline.queue import Engine
from vsrd_ray.pipeline.request import ALL_SEQUENCES, LabelRequest, Summary, default_timeout
from vsrd_ray.pipeline.state import ATTEMPTS_FILE, RunState
from vsrd_ray.pipeline.work import Work
from vsrd_ray.runs.lock import TakenOverError, locked
from vsrd_ray.runs.manifest import check_same_settings, check_writable, read_manifest

logger = logging.getLogger(__name__)


def label(request: LabelRequest, *, labeler_factory: LabelerFactory = build_labeler) -> Summary:
    """Label sequences into an output folder, going on where an earlier run into it has stopped.

    Sequences are indexed, planned and labelled one after the other, each indexed while the one before is labelled. One
    that cannot be used is left out, and told of with its error; nothing is written before one is found that can. A
    group that fails is tried again, and in the end no error: it is a row with its error, counted in the summary, and
    tried again by the next run. Ray is started where there is something to do, and stopped again, unless this process
    is connected to one.

    Args:
        request: what to label, how, and where to.
        labeler_factory: makes the labelers of workers; called with the configuration and a torch device.

    Raises:
        InputError: a request or an input that cannot be used, or a pool that could never be placed.
        OutputError: the output folder holds other things, or a run with other settings, cannot be written, or is being
            written by another run.
        WorkerError: no labeler can be set up, or Ray cannot go on.
        KeyboardInterrupt: the run was interrupted; the folder is whole, and the same request goes on from there.
    """
    started = time.monotonic()
    sequences = _check(request)
    check_writable(request.output)
    with RayOnDemand(address=request.address, dashboard=request.dashboard, verbose=request.verbose) as on_demand:
        pool = resolve_pool(request.pool, this_machine() if request.serial else on_demand.machines())

        @cache
        def engine() -> Engine:
            return _engine(request, pool, labeler_factory, start_ray=on_demand.start)

        run = RunState(request, sequences, engine, batch_size=1 if request.serial else pool.batch_size, started=started)
        run.look_ahead()
        with _terminated_like_interrupted(), locked(request.output) as check_lock:
            try:
                return _carried_out(run, engine, check_lock)
            except OSError as error:  # such as a full disk
                mend = "mend that, and the same command goes on from there"
                raise OutputError(f"the run into {request.output} cannot go on ({one_line(error)}): {mend}") from error


def _check(request: LabelRequest) -> tuple[str, ...]:
    """The names of the sequences to label, after a look at what was asked for and at what is in the output folder."""
    if repeated := {name for name in request.sequences if request.sequences.count(name) > 1}:
        raise InputError(f"--sequence {min(repeated)} is given more than once: name each sequence once")
    for name in request.sequences:
        storage.plain_name(name, what="--sequence")
    if request.group_timeout is not None and not 0 <= request.group_timeout < math.inf:
        raise InputError(f"--group-timeout {request.group_timeout}: expected seconds, or 0 for any time")
    if not request.classes:
        raise InputError("--classes names no class: give one or more with commas between them, such as car,truck")
    for name in request.classes:
        if name not in SEMANTIC_IDS:
            nearest = get_close_matches(name, SEMANTIC_IDS, n=1, cutoff=0.0)[0]
            raise InputError(f"--classes: no class {name!r} in KITTI-360; did you mean {nearest!r}?")
        if name not in request.config.box.sizes:
            known = ", ".join(request.config.box.sizes)
            raise InputError(
                f"--classes: nothing says how large a {name} is: give a configuration with box.sizes.{name} "
                f"(there are sizes for {known})"
            )
    if (manifest := read_manifest(request.output)) is not None:
        check_same_settings(manifest, request)
    if ALL_SEQUENCES in request.sequences:
        return _all_sequences(request)
    known = list_sequences(request.root)
    for name in request.sequences:
        check_known(name, known, root=request.root)
    return request.sequences


def _all_sequences(request: LabelRequest) -> tuple[str, ...]:
    """Those with masks of the camera; poses may be had for more."""
    if len(request.sequences) > 1:
        raise InputError(f"--sequence {ALL_SEQUENCES} stands for every sequence: give no other beside it")
    names = [
        name
        for name in list_sequences(request.root)
        if storage.is_folder(paths.mask_folder(request.root, name, request.camera))
    ]
    if not names:
        masks = paths.masks_root(request.root)
        raise InputError(f"no instance masks of {request.camera} in {masks}: download KITTI-360's 2D semantics")
    return tuple(names)


def _engine(
    request: LabelRequest, pool: Pool, labeler_factory: LabelerFactory, *, start_ray: Callable[[], None]
) -> Engine:
    work = Work(request.config, labeler_factory, pool.device, request.trace, pool.num_cpus)
    if request.serial:
        return SerialEngine(work)
    start_ray()
    from vsrd_ray.engines.ray_data.stages import RayEngine  # noqa: PLC0415 - imports Ray, which starts first

    return RayEngine(
        work=work,
        pool=pool,
        max_attempts=request.max_attempts,
        seconds=default_timeout(request.config) if request.group_timeout is None else request.group_timeout,
        attempts_file=storage.absolute(request.output) / ATTEMPTS_FILE,
    )


def _carried_out(run: RunState, engine: Callable[[], Engine], check_lock: Callable[[], None]) -> Summary:
    """What comes of a run whose output folder is locked."""
    run.take_over(check_lock)
    try:
        run.begin()
        if not run.finished:
            with run.display:
                for result in engine().label(run):
                    with _interrupted_afterwards():
                        run.commit(result)
    except KeyboardInterrupt:
        counts = run.close("running", is_interrupted=True).counts
        done = f"{counts.groups_ok} of {counts.groups}"
        logger.warning("Interrupted with %s groups done; the same command goes on from there.", done)
        raise
    except TakenOverError:  # nothing there is this run's any more, its manifest least
        raise
    except Exception as error:
        with suppress(OSError):  # what ended the run may hinder this too
            run.close("failed", error=str(error) if isinstance(error, VSRDRayError) else one_line(error))
        raise
    return run.close()


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does. Signals are for the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the block, so that a group is counted where its files are.

    A second one does not wait. Signals are for the main thread alone.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def set_back() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def wait(number: int, frame: object) -> None:
        came.append(number)
        set_back()

    for number in handlers:
        signal.signal(number, wait)
    try:
        yield
    finally:
        set_back()
    if came:
        signal.raise_signal(came[0])
