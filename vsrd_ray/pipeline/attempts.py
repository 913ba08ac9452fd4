"""How often workers have begun a group, counted outside their processes. It needs no torch, and so is soon there."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import ray

from vsrd_ray.data.atomic import atomic_write
from vsrd_ray.data.storage import Location


@dataclass(frozen=True)
class Begun:
    """An attempt that begins."""

    count: int  # attempts so far, this one included
    was_overdue: bool  # whether the one before took longer than allowed


class Attempts:
    """Run as an actor, it outlives the workers that a group kills: by a crash of native code, or for want of memory.

    A worker tells when it begins something, and an attempt that fails ends with the worker or with an error: so what is
    begun again had failed. These counts are kept in a file, for the next run should this one be killed.
    """

    def __init__(
        self, file: Location, counts: dict[str, int], *, lives: Callable[[str], bool] = lambda node: True
    ) -> None:
        """Start counting.

        Args:
            file: where failed attempts are kept: on this machine, or in an object store.
            counts: failed attempts of a killed run.
            lives: whether a node is still part of the cluster.
        """
        self._file, self._lives = file, lives
        self._nodes: dict[str, str] = {}  # where what is under way was begun
        self._set_up = False
        self._counts = Counter(counts)
        self._overdue: set[str] = set()

    def begin(self, what: str, node: str = "") -> Begun:
        """Count that a worker on a node begins something, such as a group.

        An attempt that ended with its node is none: not the group was to blame.
        """
        if what not in self._nodes or self._lives(self._nodes[what]):
            self._counts[what] += 1
        self._nodes[what] = node
        begun = Begun(self._counts[what], was_overdue=what in self._overdue)
        self._overdue.discard(what)
        if begun.count > 1:
            self._keep()
        return begun

    def overdue(self, what: str) -> None:
        """A worker takes too long for something, and is about to end."""
        self._overdue.add(what)

    def end(self, whats: list[str]) -> None:
        """What has come of some things is on record: forget their attempts."""
        for what in whats:
            self._nodes.pop(what, None)
        failed = [what for what in whats if self._counts.pop(what, 0) > 1]
        if failed:
            self._keep()

    def set_up(self) -> None:
        """A worker has set up its labeler."""
        self._set_up = True

    def is_set_up(self) -> bool:
        """Whether any worker has set up its labeler."""
        return self._set_up

    def _keep(self) -> None:
        failed = {what: count - 1 for what, count in self._counts.items() if count > 1}
        with atomic_write(self._file) as temporary:
            temporary.write_text(json.dumps(failed))


def is_alive(node_id: str) -> bool:
    """Whether a node is part of the cluster that this process is connected to."""
    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())


def read_attempts(file: Location) -> dict[str, int]:
    """Failed attempts that a killed run has left; none where there is no such file."""
    try:
        return {str(what): int(count) for what, count in json.loads(file.read_text()).items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):  # not there, or nothing that a run has written
        return {}
