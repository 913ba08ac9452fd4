"""The supply of the stream without a Ray: bounded, ordered, and ended with its block."""

import pickle
import threading

import pytest
import ray
from batches import LONG, Batches, in_time, row_batch, settle, wait_for
from ray.exceptions import RayError

from vsrd_ray.engines.ray_data import stages
from vsrd_ray.engines.ray_data.feed import frame_groups
from vsrd_ray.engines.ray_data.stages import _Supply
from vsrd_ray.errors import InputError, WorkerError

# ---- the supply ----


@pytest.mark.parametrize("ahead", [1, 3])
def test_supply_is_so_many_batches_ahead_of_the_results_and_no_more(pretended, ahead):
    source = Batches(12)

    def consume() -> None:
        with _Supply.running(source, ahead=ahead) as supply:
            for back, row in enumerate(frame_groups({}, supply.feed)):
                wait_for(lambda back=back: len(source.taken) == min(back + ahead, source.count))
                settle()
                assert len(source.taken) == min(back + ahead, source.count)
                source.come_back(row_batch(row))
                supply.came_back(row["number"])

    in_time(consume)
    assert source.most_ahead == ahead
    assert source.taken == list(range(12))


def test_batches_come_numbered_in_the_order_of_the_source_and_the_feed_ends_with_it(pretended):
    source = Batches(40)

    def consume() -> list[tuple[int, int]]:
        rows = []
        with _Supply.running(source, ahead=8) as supply:
            for row in frame_groups({}, supply.feed):
                rows.append((row["number"], row_batch(row)))
                source.come_back(row_batch(row))
                supply.came_back(row["number"])
        return rows

    assert in_time(consume) == [(n, n) for n in range(40)]
    assert len(pretended.killed) == 1


def test_batch_that_came_back_is_dropped_from_the_feed(pretended):
    source = Batches(2)

    def consume() -> list[bytes]:
        with _Supply.running(source, ahead=2) as supply:
            wait_for(lambda: len(source.taken) == 2)
            supply.came_back(0)
            rows = [ray.get(supply.feed.get.remote(number)) for number in (0, 1)]
            source.back = {0, 1}
        return rows

    assert in_time(consume) == [b"", pickle.dumps([1])]


def test_source_without_anything_to_do_gives_an_empty_stream(pretended):
    def consume() -> list:
        with _Supply.running(Batches(0), ahead=2) as supply:
            return list(frame_groups({}, supply.feed))

    assert in_time(consume) == []


def test_group_that_is_given_again_late_is_supplied(pretended):
    """While nothing is left to take, the source is asked again and again until it is finished."""
    source = Batches(1)

    def consume() -> list[int]:
        with _Supply.running(source, ahead=4) as supply:
            rows = frame_groups({}, supply.feed)
            seen = [row_batch(next(rows))]
            settle()
            source.rewind()  # it is to be done again
            seen.append(row_batch(next(rows)))
            source.come_back(0)
            return [*seen, *map(row_batch, rows)]

    assert in_time(consume) == [0, 0]


@pytest.mark.parametrize("ahead", [2, 100], ids=["it waits for results", "it waits for the source"])
def test_supply_stops_with_the_block(pretended, ahead):
    source = Batches(10)

    def leave() -> _Supply:
        with _Supply.running(source, ahead=ahead) as supply:
            wait_for(lambda: len(source.taken) == min(ahead, 10))
            settle()
        return supply

    supply = in_time(leave)
    assert pretended.killed == [supply.feed]
    assert not any(thread.name == "supply" for thread in threading.enumerate())
    taken = len(source.taken)
    supply.came_back(0)
    settle()
    assert len(source.taken) == taken
    assert ray.get(supply.feed.get.remote(taken)) is None  # nobody waits for more


def test_stopped_supply_takes_nothing_more(pretended):
    """A place that becomes free as the block ends is not used: what was taken would never come back."""
    source = Batches(10)
    supply = _Supply(source, stages._on_this_node(stages.Feed).remote(), threading.Semaphore(5))
    supply.stopped.set()
    in_time(supply.run)
    assert source.taken == []
    assert ray.get(supply.feed.get.remote(0)) is None


def test_block_waits_for_a_supply_that_is_busy(pretended):
    """The source is the driver's again once the block has been left."""
    source = Batches(1, patience=0.2)

    def leave() -> None:
        with _Supply.running(source, ahead=4):
            wait_for(lambda: source.taken == [0] and source.is_in_use)

    in_time(leave)
    assert not source.is_in_use
    assert not any(thread.name == "supply" for thread in threading.enumerate())


@pytest.mark.parametrize("error", [InputError("poses.txt: no pose"), ZeroDivisionError("of all things")])
def test_error_of_the_source_ends_the_stream_and_reaches_the_block(pretended, error):
    source = Batches(3, error=error)

    def consume() -> None:
        with _Supply.running(source, ahead=4) as supply:
            rows.extend(row_batch(row) for row in frame_groups({}, supply.feed))

    rows: list[int] = []
    with pytest.raises(type(error)) as raised:
        in_time(consume)
    assert raised.value is error
    assert rows == [0, 1, 2]  # what it gave before is done
    assert len(pretended.killed) == 1


def test_error_in_the_block_comes_before_that_of_the_source(pretended):
    source = Batches(0, error=InputError("later"))
    source.count = 1
    source.taken = [0]

    def consume() -> None:
        with _Supply.running(source, ahead=4) as supply:
            list(frame_groups({}, supply.feed))
            raise WorkerError("first")

    with pytest.raises(WorkerError, match="first"):
        in_time(consume)


def test_feed_that_is_gone_ends_the_block(pretended, monkeypatch):
    """As when the driver loses the actor: the error of the call is the supply's."""
    source = Batches(3)

    def put(self, row: bytes) -> int:
        raise RayError("the actor died")

    monkeypatch.setattr(stages.Feed, "put", put)

    def consume() -> None:
        with _Supply.running(source, ahead=4) as supply:
            assert list(frame_groups({}, supply.feed)) == []

    with pytest.raises(RayError, match="the actor died"):
        in_time(consume)


def test_interrupt_does_not_wait_for_a_source_that_is_busy(pretended, monkeypatch):
    monkeypatch.setattr(stages, "_HURRY", 0.05)
    busy, go_on = threading.Event(), threading.Event()
    source = Batches(1)

    def plan(seconds: float) -> None:
        busy.set()
        go_on.wait(LONG)

    source.next_batch = plan

    def interrupt() -> None:
        with _Supply.running(source, ahead=4):
            assert busy.wait(LONG)
            raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            in_time(interrupt)
        assert not go_on.is_set()
        assert len(pretended.killed) == 1
    finally:
        go_on.set()
    wait_for(lambda: not any(thread.name == "supply" for thread in threading.enumerate()))


def test_stream_is_cut_where_ray_data_could_not_keep_count(pretended, monkeypatch):
    monkeypatch.setattr(stages, "_BATCHES_A_STREAM", 3)
    source = Batches(5)

    def consume() -> list[int]:
        with _Supply.running(source, ahead=100) as supply:
            return [row_batch(row) for row in frame_groups({}, supply.feed)]

    assert in_time(consume) == [0, 1, 2]
    assert source.taken == [0, 1, 2] and not source.finished
