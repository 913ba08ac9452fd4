"""The state of a labelling run: what is planned, given out, come back and written."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from vsrd_ray import storage
from vsrd_ray.data.groups import GroupPlan, Sequence
from vsrd_ray.data.index import fingerprint
from vsrd_ray.data.loading import GroupTask, GroupTasks
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.sequences import open_sequence
from vsrd_ray.errors import InputError
from vsrd_ray.pipeline.plan import SequencePlan, plan_sequence, why_no_group
from vsrd_ray.pipeline.progress import GroupProgress, Progress
from vsrd_ray.pipeline.queue import Engine
from vsrd_ray.pipeline.request import Counts, Failure, LabelRequest, Summary
from vsrd_ray.runs.manifest import Manifest, Status, check_same_settings, read_manifest
from vsrd_ray.runs.results import GroupResult
from vsrd_ray.runs.sink import Earlier, Sink

logger = logging.getLogger(__name__)

ATTEMPTS_FILE = ".attempts.json"
_SEQUENCES_AHEAD = 1  # that are indexed while one is labelled


@dataclass(frozen=True)
class _Finished:
    """A sequence whose groups are all labelled, as far as its files tell without a plan."""

    name: str
    num_groups: int


@dataclass(frozen=True)
class _Unusable:
    """A sequence whose inputs cannot be used."""

    name: str
    error: InputError


@dataclass
class _Pending:
    """A planned sequence with groups that are still to end."""

    plan: SequencePlan
    earlier: Earlier
    tasks: GroupTasks
    untaken: deque[GroupPlan]
    num_left: int


class RunState:
    """The state of a run: a source of work for an engine, in another thread than the one that commits results."""

    def __init__(
        self,
        request: LabelRequest,
        sequences: tuple[str, ...],
        engine: Callable[[], Engine],
        *,
        batch_size: int,
        started: float,
    ) -> None:
        """Plan nothing yet.

        Args:
            request: what to label, how, and where to.
            sequences: their names.
            engine: gives what does the work, and may take seconds to start it.
            batch_size: groups that are given out together.
            started: when the run began, on the monotonic clock.
        """
        self._request, self._sequences, self._engine = request, sequences, engine
        self._batch_size, self._started = batch_size, started
        self._sink = Sink(request.output)
        self._plans = self._planned()
        self._head: deque[SequencePlan | _Finished | _Unusable] = deque()
        previous = read_manifest(request.output)
        self._known = set(previous["inputs"]["frames"]) if previous is not None else set()  # sequences of the manifest
        self._left = request.limit  # groups to plan yet; None: all
        self._pending: dict[str, _Pending] = {}  # by sequence
        self._taken: dict[str, GroupTask] = {}  # by group id; given out, and without a final result
        self._again: deque[GroupTask] = deque()
        self._changed = threading.Condition()  # guards all that both threads use
        self._notes: list[str] = []
        self.progress = Progress(sequences=len(sequences))
        self.display = GroupProgress(self.progress, show_bar=request.show_bar)

    def look_ahead(self) -> None:
        """Plan until there is a sequence that can be used, so that nothing is written where none can.

        Raises:
            InputError: none can be used; the error of the first.
        """
        for plan in self._plans:
            self._head.append(plan)
            if not isinstance(plan, _Unusable):
                return
        first = self._head[0]
        assert isinstance(first, _Unusable)
        raise first.error

    def take_over(self, check_lock: Callable[[], None]) -> None:
        """Mark the folder, which is locked by now, as one of a run.

        Args:
            check_lock: called before anything is written from now on; see `locked`.
        """
        self._check_lock = check_lock
        previous = read_manifest(self._request.output)
        if previous is not None:
            check_same_settings(previous, self._request)
        self._manifest = Manifest(self._request, previous, self.progress)
        self._sink.clear_debris()
        if any(isinstance(plan, _Finished) for plan in self._head):  # as it seemed before the folder was locked
            self._plans, self._head = self._planned(), deque()

    def begin(self) -> None:
        """Plan until there is something to do."""
        while not self._is_planned and not self._pending:
            self._advance()

    @property
    def finished(self) -> bool:
        """See `Source`."""
        return self._is_planned and not self._pending

    @property
    def num_batches(self) -> int | None:
        """See `Source`."""
        with self._changed:
            if not self._is_planned:
                return None
            batches = [-(-len(pending.untaken) // self._batch_size) for pending in self._pending.values()]
            return sum(batches) + len(self._again)

    def next_batch(self, seconds: float) -> list[GroupTask] | None:
        """See `Source`."""
        while True:
            with self._changed:
                if self._again:
                    return [self._again.popleft()]
                if batch := self._take():
                    return batch
                if self._is_planned:
                    self._check_lock()
                    self._manifest.note(self.progress)  # a sign of life
                    self._changed.wait_for(lambda: self._again or self.finished, timeout=seconds)
                    return [self._again.popleft()] if self._again else None
            self._advance()

    def rewind(self) -> None:
        """See `Source`."""
        with self._changed:
            self._again = deque(self._taken.values())

    def commit(self, result: GroupResult) -> None:
        """Write a result, if it is for good; otherwise its group is given out again, by itself."""
        with self._changed:
            task = self._taken.get(result.group_id)
            if task is None:  # it has come back before
                return
            self._check_lock()
            if result.attempts == 0 or (result.error is not None and result.attempts < self._request.max_attempts):
                self.progress.groups_retried += 1
                self._again.append(task)
                self._changed.notify_all()
                return
            began = time.perf_counter()
            self._write(task.plan, result)
            self._engine().tell(self.progress, result, write_seconds=time.perf_counter() - began)
            self.display.update()
            self._manifest.note(self.progress)
            self._changed.notify_all()

    def close(self, status: Status | None = None, *, error: str | None = None, is_interrupted: bool = False) -> Summary:
        """Count what the folder holds, and write it into the manifest.

        Args:
            status: how the run ended; by default complete, with failures or without.
            error: what ended it, if it failed.
            is_interrupted: somebody ended it.
        """
        with self._changed:
            self._check_lock()
            if status is None:
                storage.remove([self._request.output / ATTEMPTS_FILE])
            self._sink.fill_empty_folders(self._manifest.inputs["frames"])
            recorded = self._sink.recorded()
            failures = tuple(
                Failure(row["group_id"], row["sequence"], row["target_frame"], row["attempts"], row["error"])
                for row in recorded.failed
            )
            inputs = self._manifest.inputs
            counts = Counts(
                frames=sum(inputs["frames"].values()),
                frames_skipped=sum(sum(reasons.values()) for reasons in inputs["skipped_frames"].values()),
                labelled_frames=recorded.texts,
                groups=recorded.groups + self._num_unrecorded(),
                groups_ok=recorded.groups - len(failures),
                groups_failed=len(failures),
                boxes=recorded.boxes,
            )
            wall_seconds = time.monotonic() - self._started
            unusable = self._manifest.unusable_sequences
            self._manifest.end(
                status=status or ("complete_with_failures" if failures or unusable else "complete"),
                counts=counts,
                failures=failures,
                wall_seconds=wall_seconds,
                device_seconds=recorded.seconds,
                progress=self.progress,
                error=error,
                is_interrupted=is_interrupted,
            )
        if self.finished and self.progress.groups and not self.progress.groups_new:
            self._notes.append("Nothing was left to do: every wanted group has its labels.")
        labelled = tuple(name for name in self._sequences if name not in unusable)
        return Summary(
            request=self._request,
            sequences=labelled,
            counts=counts,
            failures=failures,
            unusable_sequences=unusable,
            wall_seconds=wall_seconds,
            notes=tuple(self._notes),
            has_truth=all(paths.boxes_file(self._request.root, name).is_file() for name in labelled),
        )

    @property
    def _is_planned(self) -> bool:
        return self.progress.planned == len(self._sequences) or self._left == 0

    def _planned(self) -> Iterator["SequencePlan | _Finished | _Unusable"]:
        """The sequences in their order; the next one is indexed while one is worked on."""
        ahead: deque[Callable[[], SequencePlan | _Finished | _Unusable]] = deque()
        for name in self._sequences:
            ahead.append(self._begun(name))
            if len(ahead) > _SEQUENCES_AHEAD:
                yield ahead.popleft()()
        while ahead:
            yield ahead.popleft()()

    def _begun(self, name: str) -> "Callable[[], SequencePlan | _Finished | _Unusable]":
        """Begin to index a sequence, if that is necessary; gives its plan, if any is."""
        root, camera = self._request.root, self._request.camera
        try:
            digest = fingerprint(root, name, camera)
        except FileNotFoundError:
            digest = ""  # what is missing is told of when the sequence is opened
        num_groups = self._sink.finished_groups(name, camera, digest) if name in self._known else None
        if num_groups is not None:
            return partial(_Finished, name, num_groups)
        try:
            sequence = open_sequence(root, name, camera)
        except InputError as error:
            return partial(_Unusable, name, error)
        return partial(self._plan, sequence, digest, self._index(sequence, digest))

    def _index(self, sequence: Sequence, digest: str) -> Callable[[], pa.Table]:
        """Begin to index a sequence, if there is no index of its present files; gives the index when it is there."""
        kept = self._sink.load_index(sequence.name, digest)
        return self._engine().index(sequence) if kept is None else lambda: kept

    def _plan(self, sequence: Sequence, digest: str, index: Callable[[], pa.Table]) -> SequencePlan | _Unusable:
        settings, classes = self._request.config.grouping, self._request.classes
        try:
            return plan_sequence(sequence, index(), fingerprint=digest, settings=settings, classes=classes)
        except InputError as error:
            return _Unusable(sequence.name, error)

    def _advance(self) -> None:
        """Plan one more sequence."""
        self._check_lock()
        plan = self._head.popleft() if self._head else next(self._plans)
        if isinstance(plan, _Unusable):
            logger.warning("%s is left out: %s", plan.name, plan.error)
            with self._changed:
                self._manifest.leave_out(plan.name, str(plan.error))
                self.progress.planned += 1
                self._changed.notify_all()
            return
        if isinstance(plan, _Finished):
            with self._changed:
                self._manifest.take_in(plan.name)
                self._count(plan.num_groups, num_ok=plan.num_groups)
            return
        tasks = GroupTasks(plan.sequence, plan.index)
        with self._changed:
            wanted = plan.groups[: self._left]
            self._manifest.add(plan)
            earlier = self._sink.prepare(plan, wanted={group.group_id for group in wanted})
            untaken = deque(group for group in wanted if group.group_id not in earlier.committed)
            self._count(len(wanted), num_ok=len(wanted) - len(untaken))
            if not plan.groups:
                settings, classes = self._request.config.grouping, self._request.classes
                self._notes.append(why_no_group(plan, settings=settings, classes=classes))
            if untaken:
                self._pending[plan.sequence.name] = _Pending(plan, earlier, tasks, untaken, len(untaken))
            else:
                self._sink.close(plan.sequence.name)
            self._changed.notify_all()

    def _count(self, num_groups: int, *, num_ok: int) -> None:
        """Count the groups of a sequence as planned, and some of them as labelled."""
        if self._left is not None:
            num_groups = min(num_groups, self._left)
            num_ok = min(num_ok, self._left)
            self._left -= num_groups
        self.progress.planned += 1
        self.progress.groups += num_groups
        self.progress.groups_ok += num_ok

    def _take(self) -> list[GroupTask]:
        """The next groups of one sequence that have not been given out, none if there are none."""
        for pending in self._pending.values():
            count = min(self._batch_size, len(pending.untaken))
            if batch := [pending.tasks.task(pending.untaken.popleft()) for _ in range(count)]:
                self._taken |= {task.plan.group_id: task for task in batch}
                return batch
        return []

    def _write(self, plan: GroupPlan, result: GroupResult) -> None:
        """Write a final result."""
        pending = self._pending[plan.sequence]
        attempts = pending.earlier.attempts.get(plan.group_id, 0) + result.attempts
        self._sink.commit(plan, result, attempts=attempts)
        del self._taken[plan.group_id]
        self.progress.groups_new += 1
        self.progress.groups_ok += result.error is None
        self.progress.groups_failed += result.error is not None
        self.progress.boxes_new += result.labels.num_rows if result.labels is not None else 0
        pending.num_left -= 1
        if not pending.num_left:
            del self._pending[plan.sequence]
            self._sink.close(plan.sequence)

    def _num_unrecorded(self) -> int:
        """Groups without any record."""
        given_out = [(self._pending[task.plan.sequence], task.plan) for task in self._taken.values()]
        waiting = [(pending, group) for pending in self._pending.values() for group in pending.untaken]
        return sum(group.group_id not in pending.earlier.attempts for pending, group in given_out + waiting)
