"""A labelling run: index, plan, label, commit, on whatever engine does the work."""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

from vsrd_ray import storage
from vsrd_ray.data.drive import MASKS
from vsrd_ray.datasets.base import check_known
from vsrd_ray.errors import InputError, OutputError, TerminatedError, VSRDRayError, explained, one_line
from vsrd_ray.masks.given import check_masks_of, has_masks_of
from vsrd_ray.pipeline.job import LabelJob
from vsrd_ray.pipeline.pool import resolve_pool
from vsrd_ray.pipeline.queue import Backend, Engine
from vsrd_ray.pipeline.request import ALL_SEQUENCES, LabelRequest, Summary, format_beginning
from vsrd_ray.pipeline.state import RunState
from vsrd_ray.pipeline.visual import with_visual_poses
from vsrd_ray.pipeline.work import LabelerFactory, Work
from vsrd_ray.poses.source import check_poses_of
from vsrd_ray.runs.lock import TakenOverError, locked
from vsrd_ray.runs.manifest import check_same_settings, read_manifest
from vsrd_ray.storage.targets import check_folder

logger = logging.getLogger(__name__)


def run(request: LabelRequest, backend: Backend, labeler_factory: LabelerFactory) -> Summary:
    """Label drives into an output folder, going on where an earlier run into it has stopped.

    Drives are indexed, planned and labelled one after the other, each indexed while the one before is labelled. One
    that cannot be used is left out, and told of with its error; nothing is written before one is found that can. A
    group that fails is retried, and in the end no error: it is a row with its error, counted in the summary, and
    tried again by the next run.

    Args:
        request: what to label, how, and where to.
        backend: what does the work; it is started where there is something to do.
        labeler_factory: makes the labelers of workers; called with the configuration and a torch device.

    Raises:
        InputError: a request or an input that cannot be used, or a pool that could never be placed.
        OutputError: the output folder holds other things, or a run with other settings, cannot be written, or is being
            written by another run.
        WorkerError: no labeler can be set up, or the engine cannot go on.
        KeyboardInterrupt: the run was interrupted; the folder is whole, and the same request goes on from there.
    """
    started = time.monotonic()
    _check_request(request)
    request = with_visual_poses(request)
    job = LabelJob.of(request)
    drives = _drives(job)
    check_folder(request.output, fix="give another --output")
    with backend:
        pool = resolve_pool(request.pool, backend.machines(), gpu_batch=job.resources.gpu_batch)
        work = Work(request.config, labeler_factory, pool.device, request.trace, pool.num_cpus, job.spec.writes)

        @cache
        def engine() -> Engine:  # asked for where there is something to do
            if request.config_title:
                logger.info("%s", format_beginning(request))
            return backend.engine(work, pool, job)

        batch_size = 1 if request.serial else pool.batch_size
        state = RunState(job, drives, engine, batch_size=batch_size, started=started)
        state.look_ahead()
        with terminated_like_interrupted() as is_ending, locked(request.output) as check_lock:
            try:
                return _carried_out(state, engine, check_lock, is_ending)
            except OSError as error:  # such as a full disk
                fix = f"{explained(error)}; then the same command goes on from there"
                raise OutputError(f"the run into {request.output} cannot go on: {fix}") from error


def _check_request(request: LabelRequest) -> None:
    """Refuse what no dataset and no labeler could make good."""
    if repeated := {name for name in request.sequences if request.sequences.count(name) > 1}:
        raise InputError(f"--sequence {min(repeated)} is given more than once: name each sequence once")
    for name in request.sequences:
        storage.plain_name(name, what="--sequence")
    if request.group_timeout is not None and not 0 <= request.group_timeout < math.inf:
        raise InputError(f"--group-timeout {request.group_timeout}: expected seconds, or 0 for any time")


def _drives(job: LabelJob) -> tuple[str, ...]:
    """The names of the drives to label, after a look at what is in the output folder."""
    request = job.request
    if (manifest := read_manifest(request.output)) is not None:
        check_same_settings(manifest, job.settings, output=request.output)
    if ALL_SEQUENCES in request.sequences:
        return _checked(job, _all_drives(job))
    known = job.dataset.drives(request.root)
    for name in request.sequences:
        check_known(name, known, root=request.root)
    return _checked(job, request.sequences)


def _checked(job: LabelJob, names: tuple[str, ...]) -> tuple[str, ...]:
    """The same names, if what is given is of each of them."""
    if job.request.given.masks is not None:
        check_masks_of(job.request.given.masks, names)
    if job.request.given.pose_file is not None:
        check_poses_of(job.request.given.pose_file, names)
    return names


def _all_drives(job: LabelJob) -> tuple[str, ...]:
    """Those with every layer that the labeler needs; poses may be had for more."""
    request, dataset, camera = job.request, job.dataset, job.cameras[0]
    if len(request.sequences) > 1:
        raise InputError(f"--sequence {ALL_SEQUENCES} stands for every sequence: give no other beside it")
    names, layers = dataset.drives(request.root), job.needs.layers

    def has(name: str, layer: str) -> bool:
        if layer == MASKS and request.given.masks is not None:
            return has_masks_of(request.given.masks, name, names)
        try:
            return dataset.has_layer(request.root, name, layer, camera)
        except OSError:  # such as a folder that may not be read, which is told when the drive is opened
            return True

    usable = [name for name in names if all(has(name, layer) for layer in layers)]
    if not usable:
        lacking = [layer for layer in layers if not any(has(name, layer) for name in names)]
        raise InputError(dataset.missing(request.root, None, (lacking or list(layers))[0], camera))
    return tuple(usable)


def _carried_out(
    state: RunState, engine: Callable[[], Engine], check_lock: Callable[[], None], is_ending: threading.Event
) -> Summary:
    """What comes of a run whose output folder is locked."""
    state.take_over(check_lock)
    try:
        state.begin()
        if not state.finished:
            with state.display:
                for result in engine().label(state):
                    with _interrupted_afterwards():
                        state.commit(result)
                    if is_ending.is_set():  # said where Python drops exceptions, as in a destructor
                        raise TerminatedError
    except KeyboardInterrupt:
        # At once: whoever ends a process may not wait until its folder is counted, and may ask twice.
        done = f"{state.progress.groups_ok} of {state.progress.groups}"
        logger.warning("Interrupted with %s groups done; the same command goes on from there.", done)
        with _interrupted_afterwards():
            state.close("running", is_interrupted=True)
        raise
    except TakenOverError:  # nothing there is this run's any more, its manifest least
        raise
    except Exception as error:
        with suppress(OSError, VSRDRayError):  # what ended the run may hinder this too
            state.close("failed", error=str(error) if isinstance(error, VSRDRayError) else one_line(error))
        raise
    return state.close()


@contextmanager
def terminated_like_interrupted() -> Iterator[threading.Event]:
    """Let SIGTERM end the block as Ctrl-C does, and say that it came. Signals are for the main thread alone."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def end(number: int, frame: object) -> None:
        came.set()
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield came
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
