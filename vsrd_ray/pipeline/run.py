"""A labelling run: index, plan, label, commit."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from vsrd_ray.data.frames import Sequence
from vsrd_ray.data.index import all_frames, fingerprint
from vsrd_ray.data.kitti360 import paths
from vsrd_ray.data.kitti360.instances import SEMANTIC_IDS
from vsrd_ray.data.kitti360.sequences import open_sequence
from vsrd_ray.data.loading import GroupTask, GroupTasks
from vsrd_ray.errors import InputError, VSRDRayError, one_line
from vsrd_ray.pipeline.factory import LabelerFactory, build_labeler
from vsrd_ray.pipeline.lock import locked
from vsrd_ray.pipeline.manifest import (
    Status,
    begin,
    check_same_settings,
    check_writable,
    progressed,
    read_manifest,
    write_manifest,
)
from vsrd_ray.pipeline.plan import Earlier, SequencePlan, earlier_results, plan_sequence, why_no_group
from vsrd_ray.pipeline.pool import Pool, resolve_pool
from vsrd_ray.pipeline.progress import GroupProgress
from vsrd_ray.pipeline.request import Counts, Failure, LabelRequest, Summary
from vsrd_ray.pipeline.results import GroupResult
from vsrd_ray.pipeline.session import RayOnDemand, available_machine
from vsrd_ray.pipeline.sink import Sink

logger = logging.getLogger(__name__)


def label(request: LabelRequest, *, labeler_factory: LabelerFactory = build_labeler) -> Summary:
    """Label sequences into an output folder, going on where an earlier run into it has stopped.

    Nothing is written before every input has been found usable. Failed groups are no error: they are rows with their
    error, counted in the summary, and tried again by the next run. Ray is started where there is something to do, and
    stopped again, unless this process is connected to one.

    Args:
        request: what to label, how, and where to.
        labeler_factory: makes the labeler of each worker; called with the configuration and a torch device.

    Raises:
        InputError: an input that cannot be used, or a pool that could never be placed.
        OutputError: the output folder holds other things, or a run with other settings, cannot be written, or is being
            written by another run.
        WorkerError: no labeler can be set up, or Ray cannot go on.
        KeyboardInterrupt: the run was interrupted; the folder is whole, and the same request goes on from there.
    """
    started = time.monotonic()
    _check(request)
    _previous(request)  # refuse early
    check_writable(request.output)
    sequences = [open_sequence(request.root, name, request.camera) for name in request.sequences]
    machine = available_machine()
    pool = resolve_pool(request.pool, machine)
    with RayOnDemand(machine, dashboard=request.dashboard, verbose=request.verbose) as on_demand:
        plans = _plan(request, sequences, start_ray=on_demand.start)
        with locked(request.output):
            run = _Run(request, plans, previous=_previous(request), started=started)
            try:
                if tasks := run.pending_tasks():
                    on_demand.start()
                    run.commit_all(_results(tasks, request=request, pool=pool, labeler_factory=labeler_factory))
            except KeyboardInterrupt:
                counts = run.close("running").counts
                done = f"{counts.groups_ok} of {counts.groups}"
                logger.warning("Interrupted with %s groups done; the same command goes on from there.", done)
                raise
            except Exception as error:
                run.close("failed", error=str(error) if isinstance(error, VSRDRayError) else one_line(error))
                raise
            return run.close()


def _previous(request: LabelRequest) -> dict[str, Any] | None:
    """The manifest of an earlier run into the output folder, with the same settings; None where there is none."""
    manifest = read_manifest(request.output)
    if manifest is not None:
        check_same_settings(manifest, request)
    return manifest


def _check(request: LabelRequest) -> None:
    if repeated := {name for name in request.sequences if request.sequences.count(name) > 1}:
        raise InputError(f"--sequence {min(repeated)} is given more than once: name each sequence once")
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


def _plan(request: LabelRequest, sequences: list[Sequence], *, start_ray: Callable[[], None]) -> list[SequencePlan]:
    """Plans of sequences, from the indexes in the output folder where these are of the present inputs."""
    sink = Sink(request.output)
    fingerprints = {name: fingerprint(request.root, name, request.camera) for name in request.sequences}
    kept = {name: sink.load_index(name, digest) for name, digest in fingerprints.items()}
    indexes = {name: table for name, table in kept.items() if table is not None}
    if stale := [sequence for sequence in sequences if sequence.name not in indexes]:
        logger.info("Indexing %d frames", sum(len(all_frames(sequence)) for sequence in stale))
        start_ray()
        from vsrd_ray.pipeline.stages import index_sequences  # noqa: PLC0415 - imports Ray, which starts first

        indexes |= index_sequences(stale)
    return [
        plan_sequence(
            sequence,
            indexes[sequence.name],
            fingerprint=fingerprints[sequence.name],
            settings=request.config.grouping,
            classes=request.classes,
        )
        for sequence in sequences
    ]


def _results(
    tasks: list[GroupTask], *, request: LabelRequest, pool: Pool, labeler_factory: LabelerFactory
) -> Iterator[GroupResult]:
    from vsrd_ray.pipeline.stages import label_groups  # noqa: PLC0415 - imports Ray, which starts first

    return label_groups(tasks, pool=pool, config=request.config, labeler_factory=labeler_factory, trace=request.trace)


class _Run:
    """A planned run into its output folder."""

    def __init__(
        self, request: LabelRequest, plans: list[SequencePlan], *, previous: dict[str, Any] | None, started: float
    ) -> None:
        """Mark the folder as one of a run, and clear it of what does not belong to the plan.

        Args:
            request: what to label, how, and where to.
            plans: of its sequences.
            previous: the manifest of an earlier run into the folder.
            started: when the run began, on the monotonic clock.
        """
        self._request, self._plans, self._started = request, plans, started
        self._wanted = [group for plan in plans for group in plan.groups][: request.limit]
        self._sink = Sink(request.output)
        self._manifest = begin(previous, request, plans)
        # The fingerprints of changed inputs stand in the file only when nothing of the earlier ones is left.
        before = previous or self._manifest
        write_manifest(request.output, {**before, "status": "running"})
        self._earlier = self._take_over(before["inputs"].get("fingerprints", {}))
        write_manifest(request.output, self._manifest)
        self._pending = {
            group.group_id: group for group in self._wanted if group.group_id not in self._earlier.committed
        }
        self._notes = self._remarks()

    def _take_over(self, fingerprints: dict[str, str]) -> Earlier:
        """Keep what earlier runs left of the plan, made from inputs with these fingerprints, and nothing else."""
        self._sink.clear_debris()
        recorded = self._sink.recorded_groups()
        earlier = earlier_results(self._plans, recorded, fingerprints=fingerprints)
        wanted = {group.group_id for group in self._wanted}
        for plan in self._plans:
            self._sink.write_index(plan)
            self._sink.prepare(plan, wanted=wanted, earlier=earlier, recorded=recorded)
        return earlier

    def _remarks(self) -> tuple[str, ...]:
        settings, classes = self._request.config.grouping, self._request.classes
        notes = [why_no_group(plan, settings=settings, classes=classes) for plan in self._plans if not plan.groups]
        if self._wanted and not self._pending:
            notes.append("Nothing was left to do: every wanted group has its labels.")
        return tuple(notes)

    def pending_tasks(self) -> list[GroupTask]:
        """The wanted groups that have no labels yet."""
        tasks = {plan.sequence.name: GroupTasks(plan.sequence, plan.index) for plan in self._plans}
        return [tasks[group.sequence].task(group) for group in self._pending.values()]

    def commit_all(self, results: Iterable[GroupResult]) -> None:
        """Write results as they come; a pending group without any becomes a failure."""
        total = len(self._wanted)
        with GroupProgress(total=total, done=total - len(self._pending)) as progress:
            for result in results:
                self._commit(result)
                progress.update(failed=result.error is not None)
            for group_id in list(self._pending):
                self._commit(GroupResult(group_id, error="no result came back", seconds=0.0, labels=None, trace=None))
                progress.update(failed=True)

    def _commit(self, result: GroupResult) -> None:
        attempts = self._earlier.attempts.get(result.group_id, 0) + 1
        self._sink.commit(self._pending.pop(result.group_id), result, attempts=attempts)

    def close(self, status: Status | None = None, *, error: str | None = None) -> Summary:
        """Count what the folder holds, and write it into the manifest.

        Args:
            status: how the run ended; by default complete, with failures or without.
            error: what ended it, if it failed.
        """
        self._sink.fill_empty_folders(self._plans)
        rows = self._sink.recorded_groups()
        failures = tuple(
            Failure(row["group_id"], row["sequence"], row["target_frame"], row["attempts"], row["error"])
            for row in rows.values()
            if row["status"] != "ok"
        )
        inputs = self._manifest["inputs"]
        counts = Counts(
            frames=sum(inputs["frames"].values()),
            frames_skipped=sum(sum(reasons.values()) for reasons in inputs["skipped_frames"].values()),
            labelled_frames=self._sink.count_labelled_frames(),
            groups=len(rows.keys() | {group.group_id for group in self._wanted}),
            groups_ok=len(rows) - len(failures),
            groups_failed=len(failures),
            boxes=self._sink.count_boxes(),
        )
        wall_seconds = time.monotonic() - self._started
        manifest = progressed(
            self._manifest,
            status=status or ("complete_with_failures" if failures else "complete"),
            counts=counts,
            failures=failures,
            wall_seconds=wall_seconds,
            device_seconds=sum(row["seconds"] for row in rows.values()),
            error=error,
        )
        write_manifest(self._request.output, manifest)
        return Summary(
            request=self._request,
            counts=counts,
            failures=failures,
            wall_seconds=wall_seconds,
            notes=self._notes,
            has_truth=all(paths.boxes_file(self._request.root, name).is_file() for name in self._request.sequences),
        )
