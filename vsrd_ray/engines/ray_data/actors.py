"""What Ray's workers run: tasks that load batches of groups, and actors that label them.

A row is a batch. Where a worker dies over several groups, there is no telling which of them it died of: they come back
as lost, and the driver sends each by itself. A single group that goes on killing its workers is given up.
"""

import logging
import os
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, cast

import ray
from ray._raylet import setproctitle  # pyright: ignore[reportAttributeAccessIssue] - compiled; Ray itself sets titles so
from ray.util.metrics import Gauge

from vsrd_ray.data.groups import GroupTask
from vsrd_ray.engines.ray_data.attempts import Attempt
from vsrd_ray.engines.ray_data.deadline import deadline
from vsrd_ray.errors import one_line
from vsrd_ray.labelers.base import Labeler
from vsrd_ray.pipeline.work import Loaded, Work
from vsrd_ray.runs.results import GroupResult

logger = logging.getLogger(__name__)

LOAD, FIT, SETUP = "load", "fit", "setup"
_MAX_SETUPS = 3  # of an actor; when its worker dies over each of them, the labeler or the machine is what it dies of
_LONGEST_BACK_OFF = 60.0  # seconds
_PARTING = 0.5  # seconds for a result to leave the process
_EXIT_ANEW = 1  # of a worker that is to be replaced by a new one


@dataclass(frozen=True)
class RetryPolicy:
    """How often workers try a batch, and for how long."""

    attempts: Any  # handle of an actor of `AttemptLedger`
    max_attempts: int
    seconds: float  # that a batch may take, at loading and at labelling; 0: any time

    def begin(self, stage: str, group_ids: Sequence[str]) -> Attempt:
        """Count that this worker begins a batch."""
        context = ray.get_runtime_context()
        name, worker = self.name(stage, group_ids), context.get_actor_id() or ""
        return cast(Attempt, ray.get(self.attempts.begin.remote(name, context.get_node_id(), worker)))

    def limited(self, stage: str, group_ids: Sequence[str]) -> AbstractContextManager[None]:
        """A block that ends with this process, should it take too long."""
        name = self.name(stage, group_ids)
        return deadline(self.seconds, tell=lambda: ray.get(self.attempts.overdue.remote(name)))

    def why_given_up(self, stage: str, attempt: Attempt) -> str:
        """The error of a group that has been tried often enough."""
        tries = f"{attempt.count - 1} attempts to {stage} this group ended with their worker"
        return f"{tries}; the last one took longer than {self.seconds:g} s" if attempt.was_overdue else tries

    @staticmethod
    def name(stage: str, group_ids: Sequence[str]) -> str:
        """What the attempts of a batch are counted under."""
        return " ".join([stage, *group_ids])


def load_groups(row: dict[str, Any], work: Work, policy: RetryPolicy) -> dict[str, Any]:
    """Load a batch of groups.

    Args:
        row: its `number`, and pickled `tasks` (a list of `GroupTask`); none if it is done with.
        work: how groups are loaded.
        policy: how often and for how long.

    Returns:
        Its `number`, and pickled `loaded` (a list of `Loaded`).
    """
    tasks: list[GroupTask] = pickle.loads(row["tasks"]) if row["tasks"] else []

    def load(attempt: Attempt) -> list[Loaded]:
        preparer = work.preparer()
        return [replace(work.load(preparer, task), attempts=attempt.count) for task in tasks]

    loaded = _within_policy(
        LOAD,
        [task.plan.group_id for task in tasks],
        policy,
        load,
        lambda group_id, attempts, error: Loaded(group_id, error=error, attempts=attempts),
    )
    # To be loaded again, as when a node is lost, is then no sign of a failure.
    done = [one.group_id for one in loaded if one.prepared is not None]
    policy.attempts.end.remote([policy.name(LOAD, [group_id]) for group_id in done])
    if len(loaded) > 1 and len(done) == len(loaded):
        policy.attempts.end.remote([policy.name(LOAD, done)])
    return {"number": row["number"], "loaded": pickle.dumps(loaded)}


class LabelGroups:
    """Labels a batch of groups for each row; its name is what Ray's dashboard shows.

    A group's labels depend on the group, the configuration and its seed alone, and so on neither the actor nor on what
    it labelled before, nor, but for rounding on a GPU, on the batch.
    """

    def __init__(self, *, work: Work, policy: RetryPolicy) -> None:
        """Set up the labeler.

        Args:
            work: how groups are labelled.
            policy: how often and for how long.
        """
        self._work, self._policy = work, policy
        self._labeler: Labeler | None = None
        self._defect = ""
        self._is_leaving = False
        actor = self._actor = ray.get_runtime_context().get_actor_id() or ""
        time.sleep(cast(float, ray.get(policy.attempts.back_off.remote(actor))))
        attempt = policy.begin(SETUP, [actor])
        others_go_on = ray.get(policy.attempts.is_set_up_elsewhere.remote(actor))
        if attempt.count > _MAX_SETUPS and not others_go_on:
            self._defect = f"{_MAX_SETUPS} workers ended while they set it up"
        else:
            if attempt.count > _MAX_SETUPS:  # this machine may recover
                time.sleep(min(2.0 ** (attempt.count - _MAX_SETUPS), _LONGEST_BACK_OFF))
            with policy.limited(SETUP, [actor]):
                self._set_up()
            ray.get(policy.attempts.end.remote([policy.name(SETUP, [actor])]))
        self._memory = Gauge("vsrd_gpu_memory_bytes", "Most memory that an actor had of its GPU.", ("actor",))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Label a batch of groups.

        Args:
            row: its `number`, and pickled `loaded` (a list of `Loaded`).

        Returns:
            Its `number`, and pickled `results` (a list of `GroupResult`); or where there is no labeler to make any,
            why, as `defect`.
        """
        if self._labeler is None:
            return {"number": row["number"], "results": b"", "defect": self._defect}
        labeler, loaded = self._labeler, pickle.loads(row["loaded"])
        ready = [one for one in loaded if one.prepared is not None]
        results = [one.without_labels() for one in loaded if one.prepared is None]
        if self._is_leaving:
            results += [GroupResult(one.group_id, attempts=0) for one in ready]
            return {"number": row["number"], "results": pickle.dumps(results), "defect": ""}
        before = {one.group_id: one.attempts - 1 for one in ready}
        results += _within_policy(
            FIT,
            list(before),
            self._policy,
            lambda attempt: [
                replace(result, attempts=before[result.group_id] + attempt.count)
                for result in self._fit(labeler, ready)
            ],
            lambda group_id, attempts, error: GroupResult(group_id, error=error, attempts=attempts),
        )
        if len(ready) > 1 and all(result.attempts for result in results):
            self._policy.attempts.end.remote([self._policy.name(FIT, list(before))])
        if len(ready) == 1 and not results[-1].attempts:  # it is for others, and Ray would send it here again
            self._leave()
        self._tell_memory()
        return {"number": row["number"], "results": pickle.dumps(results), "defect": ""}

    def _fit(self, labeler: Labeler, ready: list[Loaded]) -> list[GroupResult]:
        failed, is_good = [one.group_id for one in ready], False
        try:
            results = self._work.label_together(labeler, ready)
            failed = [result.group_id for result in results if result.error is not None]
            is_good = len(failed) < len(ready)
            return results
        finally:
            names = [self._policy.name(FIT, [group_id]) for group_id in failed]
            is_to_back_off = self._policy.attempts.outcome.remote(self._actor, is_good=is_good, failed=names)
            if not is_good and ray.get(is_to_back_off):
                self._leave()

    def _leave(self) -> None:
        """Let Ray replace this process, once its results are gone; until then, others get the groups."""
        self._is_leaving = True
        threading.Timer(_PARTING, os._exit, [_EXIT_ANEW]).start()

    def _set_up(self) -> None:
        try:
            labeler = self._work.labeler()
            labeler.setup()
            self._labeler = labeler
            ray.get(self._policy.attempts.set_up.remote(self._actor, ray.get_runtime_context().get_node_id()))
        except Exception as error:  # Ray would tell of it at length and on the terminal; the driver tells it in a line
            logger.exception("the labeler cannot be set up")
            self._defect = one_line(error)
            if ray.get(self._policy.attempts.is_set_up_elsewhere.remote(self._actor)):  # this machine is to blame
                os._exit(_EXIT_ANEW)

    def _tell_memory(self) -> None:
        if self._work.device == "cuda":
            import torch  # noqa: PLC0415 - takes two seconds, which an actor without a GPU may never need

            self._memory.set(torch.cuda.max_memory_allocated(), {"actor": self._actor})


def _show(stage: str, group_ids: Sequence[str]) -> None:
    """Let the process's title, as Ray's dashboard and `ps` have it, say what it works on; Ray sets it back itself."""
    more = f" and {len(group_ids) - 1} more" if len(group_ids) > 1 else ""
    setproctitle(f"ray::{stage} {group_ids[0]}{more}")


def _within_policy(
    stage: str,
    group_ids: Sequence[str],
    policy: RetryPolicy,
    do: Callable[[Attempt], list],
    fail: Callable[[str, int, str | None], Any],
) -> list:
    """What comes of a batch, unless earlier workers died over it, or it fails as a whole."""
    if not group_ids:
        return []
    _show(stage, group_ids)
    attempt = policy.begin(stage, group_ids)
    is_single = len(group_ids) == 1
    if attempt.is_for_others or (attempt.count > 1 and not is_single):
        return [fail(group_id, 0, None) for group_id in group_ids]
    if attempt.count > policy.max_attempts:
        return [fail(group_ids[0], attempt.count - 1, policy.why_given_up(stage, attempt))]
    try:
        with policy.limited(stage, group_ids):
            return do(attempt)
    except Exception as error:
        logger.exception("%d groups failed together", len(group_ids))
        if is_single:
            return [fail(group_ids[0], attempt.count, one_line(error))]
        return [fail(group_id, 0, None) for group_id in group_ids]
