"""The way of planned groups into Ray Data: the driver plans while the stream runs, and not further than it must."""

import asyncio
from collections.abc import Iterator
from typing import Any

import ray


class Feed:
    """Run as an actor: rows that the driver puts in, in their order, each of them there until it is dropped.

    Rows are asked for by number. So a source that Ray starts anew, after its process was lost, makes the same rows
    again: Ray takes those that it had before as known.
    """

    def __init__(self) -> None:
        self._rows: dict[int, bytes] = {}
        self._count = 0
        self._closed = False
        self._changed = asyncio.Condition()

    async def put(self, row: bytes) -> int:
        """Add a row; its number."""
        async with self._changed:
            number, self._count = self._count, self._count + 1
            self._rows[number] = row
            self._changed.notify_all()
        return number

    async def close(self) -> None:
        """No row comes after those that were put in."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def drop(self, number: int) -> None:
        """A row is done with."""
        self._rows.pop(number, None)

    async def get(self, number: int) -> bytes | None:
        """A row as soon as it is there, empty if it was dropped; None after the last one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or number < self._count)
        return self._rows.get(number, b"") if number < self._count else None


def frame_groups(_: dict[str, Any], feed: Any) -> Iterator[dict[str, Any]]:
    """The rows of a feed (a handle of its actor), `number` and `tasks` (bytes), from the first to the last."""
    number = 0
    while (tasks := ray.get(feed.get.remote(number))) is not None:
        yield {"number": number, "tasks": tasks}
        number += 1
