"""The ledger of a labelling run: what is planned, given out, come back and written."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

from vsrd_ray import storage
from vsrd_ray.data.groups import GroupPlan, GroupTask, GroupTasks
from vsrd_ray.errors import InputError, OutputError
from vsrd_ray.pipeline.job import LabelJob
from vsrd_ray.pipeline.plan import why_no_group
from vsrd_ray.pipeline.planner import FinishedDrive, Planned, Planner, UnusableDrive
from vsrd_ray.pipeline.progress import GroupProgress
from vsrd_ray.pipeline.queue import Engine
from vsrd_ray.pipeline.request import Summary
from vsrd_ray.poses.check import DRIFT, PoseCheck
from vsrd_ray.runs.manifest import Manifest, Status, check_same_settings, read_manifest
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.plan import DrivePlan
from vsrd_ray.runs.reading import read_rows
from vsrd_ray.runs.records import NEARLY_ALL_DOUBTFUL, Counts, Failure, Progress
from vsrd_ray.runs.results import GroupResult
from vsrd_ray.runs.sink import Earlier, Sink

logger = logging.getLogger(__name__)


@dataclass
class _Pending:
    """A planned sequence with groups that are still to end."""

    plan: DrivePlan
    earlier: Earlier
    tasks: GroupTasks
    untaken: deque[GroupPlan]
    num_left: int


class RunState:
    """The state of a run: a source of work for an engine, in another thread than the one that commits results."""

    def __init__(
        self,
        job: LabelJob,
        drives: tuple[str, ...],
        engine: Callable[[], Engine],
        *,
        batch_size: int,
        started: float,
    ) -> None:
        """Plan nothing yet.

        Args:
            job: what to label, how, and where to.
            drives: their names.
            engine: gives what does the work, and may take seconds to start it.
            batch_size: groups that are given out together.
            started: when the run began, on the monotonic clock.
        """
        self._job, self._request, self._drives, self._engine = job, job.request, drives, engine
        self._batch_size, self._started = batch_size, started
        self._sink = Sink(job.request.output, job.tables)
        previous = read_manifest(job.request.output)
        known = set(previous["inputs"]["frames"]) if previous is not None else set()
        self._planner = Planner(job, drives, engine, self._sink, known)
        self._plans = self._planner.planned()
        self._head: deque[Planned] = deque()
        self._left = job.request.limit  # groups to plan yet; None: all
        self._pending: dict[str, _Pending] = {}  # by drive
        self._taken: dict[str, GroupTask] = {}  # by group id; given out, and without a final result
        self._again: deque[GroupTask] = deque()
        self._changed = threading.Condition()  # guards all that both threads use
        self._notes: list[str] = []
        self.progress = Progress(sequences=len(drives))
        self.display = GroupProgress(self.progress, show_bar=job.request.show_bar)

    def look_ahead(self) -> None:
        """Plan until there is a sequence that can be used, so that nothing is written where none can.

        Raises:
            InputError: none can be used; the error of the first.
        """
        for plan in self._plans:
            self._head.append(plan)
            if not isinstance(plan, UnusableDrive):
                return
        first = self._head[0]
        assert isinstance(first, UnusableDrive)
        raise first.error

    def take_over(self, check_lock: Callable[[], None]) -> None:
        """Mark the folder, which is locked by now, as one of a run.

        Args:
            check_lock: called before anything is written from now on; see `locked`.
        """
        self._check_lock = check_lock
        previous = read_manifest(self._request.output)
        if previous is not None:
            check_same_settings(previous, self._job.settings, output=self._request.output)
        self._manifest = Manifest(
            self._request.output,
            self._job.settings,
            previous,
            root=self._request.root,
            limit=self._request.limit,
            progress=self.progress,
        )
        self._sink.clear_debris()
        if any(isinstance(plan, FinishedDrive) for plan in self._head):  # as it seemed before the folder was locked
            self._plans, self._head = self._planner.planned(), deque()

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
                storage.remove([RunPaths(self._request.output).attempts])
            self._sink.fill_empty_folders(self._manifest.inputs["frames"])
            recorded = self._sink.recorded(self._manifest.inputs["frames"], self._job.cameras[0])
            for name, why in recorded.unreadable.items():
                self._manifest.unusable_sequences.setdefault(name, why)
            failures = tuple(
                Failure(row["group_id"], row["sequence"], row["target_frame"], row["attempts"], row["error"])
                for row in recorded.failed
            )
            inputs = self._manifest.inputs
            skipped = Counter[str]()
            for reasons in inputs["skipped_frames"].values():
                skipped.update(reasons)
            counts = Counts(
                frames=sum(inputs["frames"].values()),
                frames_skipped=skipped.total(),
                labelled_frames=recorded.frames,
                groups=recorded.groups + self._num_unrecorded(),
                groups_ok=recorded.groups - len(failures),
                groups_failed=len(failures),
                boxes=recorded.rows.get("boxes", 0),
                rows=recorded.rows,
                doubtful=recorded.doubtful,
                skipped=dict(skipped.most_common()),
            )
            for name, said in recorded.suspicious.items():
                others = [one for one in self._manifest.warnings.get(name, ()) if NEARLY_ALL_DOUBTFUL not in one]
                self._manifest.warn(name, [*others, f"{name}: {said}"])
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
        labelled = tuple(name for name in self._drives if name not in unusable)
        return Summary(
            request=self._request,
            sequences=labelled,
            counts=counts,
            failures=failures,
            unusable_sequences=unusable,
            wall_seconds=wall_seconds,
            notes=tuple(self._notes),
            warnings=tuple(one for name in labelled for one in self._manifest.warnings.get(name, ())),
            poses={
                name: str(found)
                for name in labelled
                if (found := PoseCheck.recorded(self._manifest.poses.get(name))) is not None
            },
            has_truth=self._has_truth(labelled),
            kinds=tuple(kind.name for kind in self._job.kinds),
            looks=self._job.kinds[0].looks,
        )

    @property
    def _is_planned(self) -> bool:
        return self.progress.planned == len(self._drives) or self._left == 0

    def _has_truth(self, drives: tuple[str, ...]) -> bool:
        """Whether there are true labels of the first kind to compare all labels with."""
        dataset, kind = self._job.dataset, self._job.kinds[0].name
        try:
            return all(dataset.has_truth(self._request.root, name, kind) for name in drives)
        except OSError:  # it is for what is suggested alone
            return False

    def _advance(self) -> None:
        """Take in one more drive."""
        self._check_lock()
        plan = self._head.popleft() if self._head else next(self._plans)
        if isinstance(plan, UnusableDrive):
            self._leave_out(plan.name, str(plan.error))
            return
        if isinstance(plan, FinishedDrive):
            with self._changed:
                self._manifest.take_in(plan.name)
                self._count(plan.num_groups, num_ok=plan.num_groups)
            return
        if not plan.groups and plan.num_frames == sum(plan.skipped_frames.values()):  # what labels there are, stay
            self._leave_out(plan.drive.name, self._why_no_group(plan))
            return
        tasks = GroupTasks(plan.drive, plan.index)
        with self._changed:
            wanted = plan.groups[: self._left]
            identity = self._manifest.inputs["identities"].get(plan.drive.name)
            self._manifest.add(plan)
            try:
                earlier = self._sink.prepare(plan, wanted={group.group_id for group in wanted}, identity=identity)
            except (InputError, OutputError) as error:  # of files that earlier runs have left of it
                self._leave_out(plan.drive.name, str(error))
                return
            untaken = deque(group for group in wanted if group.group_id not in earlier.committed)
            self._count(len(wanted), num_ok=len(wanted) - len(untaken))
            if not plan.groups:
                self._notes.append(self._why_no_group(plan))
            if untaken:
                self._pending[plan.drive.name] = _Pending(plan, earlier, tasks, untaken, len(untaken))
            else:
                self._sink.close(plan.drive.name)
                self._check_poses(plan)
            self._changed.notify_all()

    def _leave_out(self, name: str, why: str) -> None:
        """Go on without a drive."""
        logger.warning("%s is left out: %s", name, why)
        with self._changed:
            self._manifest.leave_out(name, why)
            self.progress.planned += 1
            self._changed.notify_all()

    def _why_no_group(self, plan: DrivePlan) -> str:
        return why_no_group(plan, config=self._job.config, wanted=self._job.wanted)

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
        self.progress.boxes_new += result.num_rows
        pending.num_left -= 1
        if not pending.num_left:
            del self._pending[plan.sequence]
            self._sink.close(plan.sequence)
            self._check_poses(pending.plan)

    def _check_poses(self, plan: DrivePlan) -> None:
        """Note what the labels of a drive tell of its poses, once all of them are there."""
        name, kind = plan.drive.name, self._job.kinds[0]
        if kind.check_poses is None or not plan.groups:
            return
        try:
            table = kind.table
            rows = read_rows(self._request.output, table.folder, table.schema, needed=("frame",), sequence=name)
            found = kind.check_poses(plan.drive, rows, plan.index)
        except (InputError, OSError, ValueError) as error:  # who reads the labels is told
            logger.warning("Poses of %s are not checked by its labels: %s", name, error)
            return
        self._manifest.poses[name] = asdict(found)
        others = [one for one in self._manifest.warnings.get(name, ()) if DRIFT not in one]
        self._manifest.warn(name, [*others, *found.warnings(name)])

    def _num_unrecorded(self) -> int:
        """Groups without any record."""
        given_out = [(self._pending[task.plan.sequence], task.plan) for task in self._taken.values()]
        waiting = [(pending, group) for pending in self._pending.values() for group in pending.untaken]
        return sum(group.group_id not in pending.earlier.attempts for pending, group in given_out + waiting)
