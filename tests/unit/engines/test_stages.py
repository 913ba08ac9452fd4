"""The driver's side of the stream without a Ray: what is done with what comes back, and Ray Data's settings."""

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import ray
from batches import POOL, Batches, in_time, row_batch, settle, wait_for
from builders import make_result
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from vsrd_ray.engines.ray_data import stages
from vsrd_ray.engines.ray_data.attempts import read_attempts
from vsrd_ray.engines.ray_data.feed import frame_groups
from vsrd_ray.engines.ray_data.stages import RayEngine, _data_settings, _strategy
from vsrd_ray.errors import WorkerError
from vsrd_ray.pipeline.pool import Pool

# ---- the engine ----


class Stream:
    """In place of Ray Data: does what `do` says with each row of the feed, and with the number of the stream."""

    def __init__(self, source: Batches, do: Callable[[int, int], Any] | None = None) -> None:
        self.source, self.do = source, do
        self.rows: list[list[int]] = []  # of each stream
        self.num_batches: list[int | None] = []  # that each was told of

    def dataset(self, feed: Any, attempts: Any, *, num_batches: int | None) -> Any:
        self.num_batches.append(num_batches)
        return feed

    def results(self, feed: Any) -> Iterator[dict]:
        stream = len(self.rows)
        self.rows.append([])
        for row in frame_groups({}, feed):
            number = row_batch(row)
            self.rows[-1].append(number)
            outcome = None if self.do is None else self.do(number, stream)
            if isinstance(outcome, str):
                yield {"number": row["number"], "results": b"", "defect": outcome}
            results = [make_result(f"g{number}")] if outcome is None else outcome
            yield {"number": row["number"], "results": pickle.dumps(results), "defect": ""}
            self.source.come_back(number)


@pytest.fixture
def streamed(engine, monkeypatch):
    """Labels what a source gives in a pretended stream: the stream, and the groups that came of it or the error."""

    def label(source: Batches, do: Callable[[int, int], Any] | None = None, **changes: Any) -> tuple[Stream, list]:
        stream = Stream(source, do)
        monkeypatch.setattr(
            RayEngine, "_dataset", lambda self, *arguments, **options: stream.dataset(*arguments, **options)
        )
        monkeypatch.setattr(stages, "_rows", stream.results)
        return stream, in_time(lambda: list(replace(engine, **changes).label(source)))

    return label


def test_engine_gives_the_results_of_all_batches(streamed, pretended):
    source = Batches(50)
    stream, results = streamed(source)
    assert [result.group_id for result in results] == [f"g{n}" for n in range(50)]
    assert stream.rows == [list(range(50))]
    assert len(pretended.killed) == 2  # the feed and the attempts


def test_engine_is_told_of_the_batches_before_any_is_taken(streamed):
    stream, _ = streamed(Batches(5))
    assert stream.num_batches == [5]


@pytest.mark.parametrize(("size", "ahead"), [(1, 20), (5, 36)])
def test_stream_runs_ahead_of_its_results_by_some_batches_for_each_actor(streamed, size, ahead):
    source = Batches(60)

    def do(number: int, stream: int) -> None:
        if not number:
            wait_for(lambda: len(source.taken) == ahead)
            settle()

    streamed(source, do, pool=replace(POOL, min_size=1, initial_size=1, max_size=size))
    assert source.most_ahead in (ahead, ahead + 1)  # a result is counted as it is used, and noted thereafter


@pytest.mark.parametrize(
    ("payload_bytes", "batch_size", "ahead"),
    [
        (0, 1, 24),
        (2**20, 1, 24),
        (2**30, 1, 16),  # GB
        (2**29, 4, 8),
        (2**30, 4, 4),
        (2**40, 4, 4),  # for each actor one that it labels and one that waits, however large they are
    ],
)
def test_fewer_batches_are_under_way_where_groups_are_large(engine, payload_bytes, batch_size, ahead):
    assert stages._BYTES_AHEAD == 16 * 2**30
    pool = replace(POOL, batch_size=batch_size)
    assert replace(engine, payload_bytes=payload_bytes, pool=pool)._ahead == ahead


def test_long_work_is_done_in_several_streams(streamed, monkeypatch):
    monkeypatch.setattr(stages, "_BATCHES_A_STREAM", 2)
    stream, results = streamed(Batches(5))
    assert stream.rows == [[0, 1], [2, 3], [4]]
    assert len(results) == 5


def test_stream_that_breaks_down_is_begun_again_with_what_did_not_come_back(streamed, caplog):
    source = Batches(6)

    def do(number: int, stream: int) -> None:
        if number == 3 and stream == 0:
            raise RayError("a node is gone")

    stream, results = streamed(source, do)
    assert [result.group_id for result in results] == [f"g{n}" for n in range(6)]
    assert source.rewinds == 1
    assert stream.rows[1][0] == 3
    assert "Ray's stream broke down and is begun again: RayError: a node is gone" in caplog.text


@pytest.mark.parametrize(("breakdowns", "goes_on"), [(2, True), (3, False)])
def test_three_streams_without_a_result_are_the_end(streamed, breakdowns, goes_on):
    source = Batches(4)

    def do(number: int, stream: int) -> None:
        if number == 1 and stream <= breakdowns:  # the first stream has a result
            raise RayError("no more")

    if goes_on:
        _, results = streamed(source, do)
        assert len(results) == 4
    else:
        with pytest.raises(WorkerError, match="Ray cannot go on: RayError: no more"):
            streamed(source, do)
    assert source.rewinds == 3  # the last breakdown of four is the end


def test_streams_that_break_down_after_results_are_begun_again_however_many(streamed):
    source = Batches(12)

    def do(number: int, stream: int) -> None:
        if number == stream + 1:
            raise RayError("again")

    _, results = streamed(source, do)
    assert len(results) == 12 and source.rewinds == 11


def test_stream_that_is_stuck_from_its_beginning_is_the_end(streamed, pretended):
    source = Batches(4)

    def do(number: int, stream: int) -> None:
        raise ExecutionTimeoutError("no progress")

    with pytest.raises(WorkerError, match="Ray cannot go on: ExecutionTimeoutError: no progress"):
        streamed(source, do)
    assert source.rewinds == 0
    assert len(pretended.killed) == 2


def test_defect_of_the_labeler_ends_the_run(streamed, pretended):
    with pytest.raises(WorkerError, match="the labeler cannot be set up on cpu: MemoryError: no room"):
        streamed(Batches(4), lambda number, stream: "MemoryError: no room" if number == 1 else None)
    assert len(pretended.killed) == 2


def test_attempts_are_forgotten_once_a_result_is_for_good(streamed, tmp_path):
    """Of a group that is labelled, or given up: not of one that is lost, or that is to be tried again."""
    names = ("load g0", "fit g0", "fit g1", "fit g2", "load g3", "fit g3", "fit other")
    (tmp_path / "attempts.json").write_text(json.dumps(dict.fromkeys(names, 2)))
    outcomes = {
        0: make_result("g0", attempts=2),
        1: make_result("g1", error="why", attempts=2),
        2: make_result("g2", attempts=0),
        3: make_result("g3", error="why", attempts=3),
    }
    _, results = streamed(Batches(4), lambda number, stream: [outcomes[number]])
    assert results == list(outcomes.values())
    assert read_attempts(tmp_path / "attempts.json").keys() == {"fit g1", "fit g2", "fit other"}


# ---- Ray Data's settings ----


def sizes(pool: Pool, num_batches: int | None) -> tuple[int, int, int, int | None]:
    """Least, most and first actors, and batches at each."""
    strategy = _strategy(pool, num_batches)
    first = strategy.initial_size
    return strategy.min_size, strategy.max_size, first, strategy.max_tasks_in_flight_per_actor


FIXED = replace(POOL, min_size=4, initial_size=4, max_size=4)
GROWING = replace(POOL, min_size=2, initial_size=3, max_size=8)


@pytest.mark.parametrize(
    ("num_batches", "expected"),
    [
        (None, (4, 4, 4, 2)),
        (1000, (4, 4, 4, 2)),
        (17, (4, 4, 4, 2)),
        (16, (4, 4, 4, 1)),  # few: none waits behind a busy actor
        (4, (4, 4, 4, 1)),
        (3, (3, 3, 3, 1)),
        (1, (1, 1, 1, 1)),
        (0, (1, 1, 1, 1)),
    ],
)
def test_pool_of_one_size_is_no_larger_than_there_are_batches(num_batches, expected):
    assert sizes(FIXED, num_batches) == expected


@pytest.mark.parametrize(
    ("num_batches", "expected"),
    [
        (None, (2, 8, 3, 2)),
        (1000, (2, 8, 3, 2)),
        (5, (2, 5, 3, 2)),
        (3, (2, 3, 3, 2)),
        (2, (2, 2, 2, 1)),
        (0, (1, 1, 1, 1)),
    ],
)
def test_growing_pool_grows_no_further_than_there_are_batches(num_batches, expected):
    assert sizes(GROWING, num_batches) == expected


def test_first_actors_of_a_growing_pool_are_no_more_than_its_most():
    assert sizes(replace(GROWING, initial_size=8), 5) == (2, 5, 5, 2)


@pytest.mark.parametrize(("seconds", "patience"), [(600.0, 600.0 + 1800.0), (0.0, -1)])
def test_settings_of_ray_data_are_those_of_before_after_the_block(seconds, patience):
    context = ray.data.DataContext.get_current()
    names = ("target_max_block_size", "max_consecutive_actor_init_deaths", "execution_no_progress_timeout_s")

    def settings() -> list:
        return [getattr(context, name) for name in names]

    before = settings()
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(ZeroDivisionError))
        stack.enter_context(_data_settings(seconds))
        assert settings() == [1, 5, patience]
        raise ZeroDivisionError
    assert settings() == before != [1, 5, patience]
