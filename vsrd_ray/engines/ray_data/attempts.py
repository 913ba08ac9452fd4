"""What workers have begun and failed at, counted outside their processes. It needs no torch, and so is soon there."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ray

from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import atomic_write

_PASSES = 5  # of a group that a worker failed at, before the same worker may try it again
_NODES_TO_BLAME_NO_GROUP = 5  # that something may be lost with; from then on it is what they died of
_FAILURES_TO_BACK_OFF_AFTER = 2  # of a worker, one after the other
_DOUBLINGS = 16  # of a rest
_SHORT_BACK_OFF, _LONG_BACK_OFF = 2.0, 600.0  # seconds, at most; the latter where other workers do better


@dataclass(frozen=True)
class Attempt:
    """An attempt that begins."""

    count: int  # attempts so far, this one included
    was_overdue: bool  # whether the one before took longer than allowed
    is_for_others: bool = False  # not to be made here: this worker has failed at it, and others are there


class AttemptLedger:
    """Run as an actor, it outlives the workers that a group kills: by a crash of native code, or for want of memory.

    A worker tells when it begins something, and an attempt that fails ends with the worker or with an error: so what is
    attempt again had failed. These counts are kept in a file, for the next run should this one be killed, and for this
    actor itself should it be started anew.
    """

    def __init__(self, file: Location, *, max_attempts: int, lives: Callable[[str], bool] = lambda node: True) -> None:
        """Go on counting where a killed run, or this actor, had stopped.

        Args:
            file: where failed attempts are kept: on this machine, or in an object store.
            max_attempts: after which groups are given up; of earlier ones so few count that one more is made.
            lives: whether a node is still part of the cluster.
        """
        self._file, self._lives = file, lives
        self._nodes: dict[str, str] = {}  # where what is under way was begun
        self._lost: Counter[str] = Counter()  # nodes that something was lost with
        self._counts = Counter({what: min(count, max_attempts - 1) for what, count in read_attempts(file).items()})
        self._overdue: set[str] = set()
        self._ready: dict[str, str] = {}  # nodes of the workers whose labelers are set up
        self._failed_at: dict[str, str] = {}  # the worker that something failed with last
        self._passes: Counter[str] = Counter()  # of something, since it failed with that worker
        self._failures: Counter[str] = Counter()  # of a worker, since its last success
        self._successes: Counter[str] = Counter()  # of a worker
        self._back_offs: dict[str, float] = {}  # seconds that workers are to rest when they begin anew
        self._successes_before: dict[str, int] = {}  # of the others, when a worker's failures began

    def __repr__(self) -> str:
        """What Ray's dashboard shows beside the name of the class."""
        return f"failed attempts in: {self._file}"

    def begin(self, what: str, node: str = "", worker: str = "") -> Attempt:
        """Count that a worker on a node begins something, such as a group.

        An attempt that ended with its node is none: not the group was to blame, unless it happens again and again.
        And what has failed with one worker is for another, as long as there is any and it comes by.
        """
        if self._failed_at.get(what, "") == worker != "" and self._others_are_ready(worker):
            self._passes[what] += 1
            if self._passes[what] <= _PASSES:
                return Attempt(self._counts[what], was_overdue=False, is_for_others=True)
        if what in self._nodes and not self._lives(self._nodes[what]):
            self._lost[what] += 1
            self._counts[what] += self._lost[what] >= _NODES_TO_BLAME_NO_GROUP
        else:
            self._counts[what] += 1
        self._nodes[what] = node
        attempt = Attempt(self._counts[what], was_overdue=what in self._overdue)
        self._overdue.discard(what)
        if attempt.count > 1:
            self._keep()
        return attempt

    def overdue(self, what: str) -> None:
        """A worker takes too long for something, and is about to end."""
        self._overdue.add(what)

    def end(self, whats: list[str]) -> None:
        """What has come of some things is on record: forget their attempts."""
        for what in whats:
            for record in (self._nodes, self._lost, self._failed_at, self._passes):
                record.pop(what, None)
        failed = [what for what in whats if self._counts.pop(what, 0) > 1]
        if failed:
            self._keep()

    def set_up(self, worker: str, node: str) -> None:
        """A worker on a node has set up its labeler."""
        self._ready[worker] = node

    def is_set_up_elsewhere(self, worker: str) -> bool:
        """Whether any other worker has its labeler set up; this one has not, or not any more."""
        self._ready.pop(worker, None)
        return self._others_are_ready(worker)

    def _others_are_ready(self, worker: str) -> bool:
        return any(self._lives(node) for other, node in self._ready.items() if other != worker)

    def outcome(self, worker: str, *, is_good: bool, failed: Sequence[str] = ()) -> bool:
        """Note what came of a worker's batch.

        Args:
            worker: whose.
            is_good: whether anything in it came off.
            failed: what did not.

        Returns:
            Whether the worker should begin anew, after a rest. A device that is broken, or a process whose device has
            failed once, fails at group after group, and faster than the others label them: it must not use up the
            attempts of them all.
        """
        self._failed_at |= dict.fromkeys(failed, worker)
        for what in failed:
            self._passes.pop(what, None)
        others = self._successes.total() - self._successes[worker]
        if is_good:
            self._successes[worker] += 1
            self._failures.pop(worker, None)
            return False
        if not self._failures[worker]:
            self._successes_before[worker] = others
        self._failures[worker] += 1
        if (more := self._failures[worker] - _FAILURES_TO_BACK_OFF_AFTER) < 0:
            return False
        most = _LONG_BACK_OFF if others > self._successes_before[worker] else _SHORT_BACK_OFF
        self._back_offs[worker] = min(2.0 ** min(more, _DOUBLINGS), most)
        return True

    def back_off(self, worker: str) -> float:
        """Seconds that a worker is to wait before it begins."""
        return self._back_offs.pop(worker, 0.0)

    def _keep(self) -> None:
        # What is under way has not failed; what an earlier run has left is not under way.
        counts = {what: count - (what in self._nodes) for what, count in self._counts.items()}
        failed = {what: count for what, count in counts.items() if count > 0}
        with atomic_write(self._file) as temporary:
            temporary.write_text(json.dumps(failed))


def is_alive(node_id: str) -> bool:
    """Whether a node is part of the cluster that this process is connected to."""
    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())


def read_attempts(file: Location) -> dict[str, int]:
    """Failed attempts that a killed run has left; none where there is no such file that can be read."""
    try:
        return {str(what): int(count) for what, count in json.loads(file.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):  # not there, or nothing that a run has written
        return {}
