"""A labelling run: index, plan, label, commit."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from difflib import get_close_matches
from functools import partial

from vsrd_ray.data.frames import GroupPlan, Sequence
from vsrd_ray.data.index import all_frames, fingerprint
from vsrd_ray.data.kitti360.instances import SEMANTIC_IDS
from vsrd_ray.data.kitti360.sequences import open_sequence
from vsrd_ray.errors import InputError
from vsrd_ray.pipeline.factory import LabelerFactory, build_labeler
from vsrd_ray.pipeline.manifest import begin, check_same_settings, progressed, read_manifest, write_manifest
from vsrd_ray.pipeline.plan import Earlier, SequencePlan, earlier_results, plan_sequence, why_no_group
from vsrd_ray.pipeline.pool import Pool, resolve_pool
from vsrd_ray.pipeline.progress import GroupProgress
from vsrd_ray.pipeline.request import Counts, Failure, LabelRequest, Summary
from vsrd_ray.pipeline.session import available_machine, ray_session
from vsrd_ray.pipeline.sink import GroupResult, Sink

logger = logging.getLogger(__name__)

StartRay = Callable[[], None]


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
        OutputError: the output folder holds other things, or a run with other settings.
        KeyboardInterrupt: the run was interrupted; the folder is whole, and the same request goes on from there.
    """
    started = time.monotonic()
    _check(request)
    previous = read_manifest(request.output)
    if previous is not None:
        check_same_settings(previous, request)
    sequences = [open_sequence(request.root, name, request.camera) for name in request.sequences]
    machine = available_machine()
    pool = resolve_pool(request.pool, machine)
    sink = Sink(request.output)
    with ExitStack() as stack:
        session = partial(ray_session, machine, dashboard=request.dashboard, verbose=request.verbose)

        def start_ray() -> None:
            stack.enter_context(session())

        plans = _plan(request, sequences, sink=sink, start_ray=start_ray)
        manifest = begin(previous, request, plans)
        write_manifest(request.output, manifest)
        groups = [group for plan in plans for group in plan.groups]
        earlier = _prepare(sink, plans, groups)
        wanted = groups[: request.limit]
        close = partial(_close, request, sink=sink, manifest=manifest, wanted=wanted, started=started)
        try:
            _label_pending(
                request,
                wanted,
                plans,
                earlier=earlier,
                sink=sink,
                pool=pool,
                labeler_factory=labeler_factory,
                start_ray=start_ray,
            )
        except KeyboardInterrupt:
            counts, _ = close(interrupted=True)
            logger.warning(
                "Interrupted with %d of %d groups done; the same command goes on from there.",
                counts.groups_ok,
                counts.groups,
            )
            raise
        except Exception as error:
            close(error=f"{type(error).__name__}: {' '.join(str(error).split())}")
            raise
        counts, failures = close()
    notes = [
        why_no_group(plan, settings=request.config.grouping, classes=request.classes)
        for plan in plans
        if not plan.groups
    ]
    return Summary(
        request=request,
        counts=counts,
        failures=failures,
        wall_seconds=time.monotonic() - started,
        notes=tuple(notes),
    )


def _check(request: LabelRequest) -> None:
    if repeated := {name for name in request.sequences if request.sequences.count(name) > 1}:
        raise InputError(f"--sequence {min(repeated)} is given more than once: name each sequence once")
    for name in request.classes:
        if name not in SEMANTIC_IDS:
            nearest = get_close_matches(name, SEMANTIC_IDS, n=1, cutoff=0.0)[0]
            raise InputError(f"--classes: no class {name!r} in KITTI-360; did you mean {nearest!r}?")


def _plan(request: LabelRequest, sequences: list[Sequence], *, sink: Sink, start_ray: StartRay) -> list[SequencePlan]:
    fingerprints = {sequence.name: fingerprint(sequence) for sequence in sequences}
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


def _prepare(sink: Sink, plans: list[SequencePlan], groups: list[GroupPlan]) -> Earlier:
    sink.clear_debris()
    recorded = sink.recorded_groups()
    earlier = earlier_results(groups, recorded)
    for plan in plans:
        sink.write_index(plan)
        sink.prepare(plan, earlier=earlier, recorded=recorded)
    return earlier


def _label_pending(
    request: LabelRequest,
    wanted: list[GroupPlan],
    plans: list[SequencePlan],
    *,
    earlier: Earlier,
    sink: Sink,
    pool: Pool,
    labeler_factory: LabelerFactory,
    start_ray: StartRay,
) -> None:
    """Label and commit the wanted groups that are not committed yet."""
    pending = {group.group_id: group for group in wanted if group.group_id not in earlier.committed}
    if not pending:
        return
    start_ray()
    from vsrd_ray.pipeline.stages import label_groups  # noqa: PLC0415 - imports Ray, which starts first

    results = label_groups(
        list(pending.values()),
        {plan.sequence.name: plan for plan in plans},
        pool=pool,
        config=request.config,
        labeler_factory=labeler_factory,
        trace=request.trace,
    )
    with GroupProgress(total=len(wanted), done=len(wanted) - len(pending)) as progress:

        def commit(result: GroupResult) -> None:
            attempts = earlier.attempts.get(result.group_id, 0) + 1
            sink.commit(pending.pop(result.group_id), result, attempts=attempts)
            progress.update(failed=result.error is not None)

        for result in results:
            commit(result)
        for group_id in list(pending):
            commit(GroupResult(group_id, error="no result came back", seconds=0.0, labels=None, trace=None))


def _close(
    request: LabelRequest,
    *,
    sink: Sink,
    manifest: dict,
    wanted: list[GroupPlan],
    started: float,
    interrupted: bool = False,
    error: str | None = None,
) -> tuple[Counts, tuple[Failure, ...]]:
    """Count what the folder holds, and write it into the manifest."""
    rows = sink.recorded_groups()
    failures = tuple(
        Failure(row["group_id"], row["sequence"], row["target_frame"], row["attempts"], row["error"])
        for row in rows.values()
        if row["status"] != "ok"
    )
    counts = Counts(
        frames=sum(manifest["inputs"]["frames"].values()),
        frames_skipped=sum(sum(reasons.values()) for reasons in manifest["inputs"]["skipped_frames"].values()),
        labelled_frames=sink.count_labelled_frames(),
        groups=len(rows.keys() | {group.group_id for group in wanted}),
        groups_ok=len(rows) - len(failures),
        groups_failed=len(failures),
        boxes=sink.count_boxes(),
    )
    outcome = "complete_with_failures" if failures else "complete"
    status = "failed" if error else "running" if interrupted else outcome
    done = progressed(
        manifest,
        status=status,
        counts=counts,
        failures=failures,
        wall_seconds=time.monotonic() - started,
        device_seconds=sum(row["seconds"] for row in rows.values()),
        error=error,
    )
    write_manifest(request.output, done)
    return counts, failures
