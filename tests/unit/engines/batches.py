"""A source of batches and what tests of the stream wait with."""

import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

from vsrd_ray.pipeline.pool import Pool

POOL = Pool(2, 2, 2, num_gpus=0.0, num_cpus=1, accelerator=None, batch_size=1, device="cpu")
LONG = 60.0  # seconds, within which whatever does not hang has ended


class Batches:
    """A source of numbered batches, which ends once all of them have come back; it notes how it is used."""

    def __init__(self, count: int, *, error: BaseException | None = None, patience: float = 0.001) -> None:
        self.count, self.error, self.patience = count, error, patience
        self.taken: list[int] = []
        self.back: set[int] = set()
        self.most_ahead = 0
        self.rewinds = 0
        self.is_in_use = False
        self._again: list[int] = []

    @property
    def finished(self) -> bool:
        return len(self.back) == self.count

    @property
    def num_batches(self) -> int:
        return self.count - len(self.taken)

    def next_batch(self, seconds: float) -> list | None:
        self.is_in_use = True
        try:
            left = self._again or [n for n in range(self.count) if n not in self.taken]
            if not left:
                if self.error is not None:
                    raise self.error
                time.sleep(self.patience)
                return None
            number = left[0]
            self._again = self._again[1:]
            self.taken.append(number)
            self.most_ahead = max(self.most_ahead, len(self.taken) - len(self.back))
            return [number]
        finally:
            self.is_in_use = False

    def come_back(self, number: int) -> None:
        self.back.add(number)

    def rewind(self) -> None:
        self.rewinds += 1
        self._again = [n for n in dict.fromkeys(self.taken) if n not in self.back]


def in_time(action: Callable[[], Any]) -> Any:
    """What an action gives, or raises; should it hang, the test fails instead of hanging as well."""
    outcome: list[Any] = []

    def act() -> None:
        try:
            outcome.append((action(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(LONG)
    assert outcome, "it hangs"
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.002)


def settle() -> None:
    """Lets a supply that does not stop by itself go on, so that it can be seen."""
    time.sleep(0.1)


def row_batch(row: dict[str, Any]) -> int:
    (number,) = pickle.loads(row["tasks"])
    return number
