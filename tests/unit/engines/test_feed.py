"""The feed as its actor runs it: methods that wait for each other on one event loop."""

import asyncio

import pytest

from vsrd_ray.engines.ray_data.feed import Feed


def test_rows_are_numbered_in_their_order_and_stay_until_they_are_dropped():
    async def rows():
        feed = Feed()
        assert [await feed.put(row) for row in (b"a", b"b")] == [0, 1]
        await feed.close()
        first = [await feed.get(number) for number in (0, 1, 2)]
        await feed.drop(0)
        await feed.drop(0)
        return first, [await feed.get(number) for number in (0, 1, 2)]

    assert asyncio.run(rows()) == ([b"a", b"b", None], [b"", b"b", None])


@pytest.mark.parametrize("closing", [False, True])
def test_who_asks_early_waits_for_a_row_or_for_the_end(closing):
    async def row():
        feed = Feed()
        waiting = asyncio.create_task(feed.get(0))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await (feed.close() if closing else feed.put(b"a"))
        return await asyncio.wait_for(waiting, timeout=60)

    assert asyncio.run(row()) == (None if closing else b"a")


def test_one_row_wakes_only_those_who_wait_for_it():
    async def rows():
        feed = Feed()
        first, second = (asyncio.create_task(feed.get(number)) for number in (0, 1))
        await asyncio.sleep(0)
        await feed.put(b"a")
        assert await asyncio.wait_for(first, timeout=60) == b"a"
        await asyncio.sleep(0.01)
        assert not second.done()
        await feed.close()
        return await asyncio.wait_for(second, timeout=60)

    assert asyncio.run(rows()) is None


def test_numbers_of_dropped_rows_are_not_given_again():
    async def number():
        feed = Feed()
        await feed.drop(await feed.put(b"a"))
        return await feed.put(b"b")

    assert asyncio.run(number()) == 1
