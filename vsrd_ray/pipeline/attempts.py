"""How often workers have begun a group, counted outside their processes. It needs no torch, and so is soon there."""

from collections import Counter

MAX_ATTEMPTS = 3  # after as many deaths of workers, a group is taken to be what they die of


class Attempts:
    """Run as an actor, it outlives the worker that a group kills: by a crash of native code, or for want of memory."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, group_id: str) -> int:
        """Count that a worker begins a group, and say how often one has, this time included."""
        self._begun[group_id] += 1
        return self._begun[group_id]
