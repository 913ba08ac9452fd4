"""The driver's side of the stream without a Ray: how batches are supplied, and what is done with what comes back."""

import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import ray
from builders import make_drive, make_result
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError, RayTaskError

from vsrd_ray.engines.ray_data import stages
from vsrd_ray.engines.ray_data.attempts import read_attempts
from vsrd_ray.engines.ray_data.feed import drawn
from vsrd_ray.engines.ray_data.stages import RayEngine, _data_settings, _index_of, _strategy, _Supply
from vsrd_ray.errors import InputError, WorkerError
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


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_POLL", 0.01)


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


# ---- the supply ----


@pytest.mark.parametrize("ahead", [1, 3])
def test_supply_is_so_many_batches_ahead_of_the_results_and_no_more(pretended, ahead):
    source = Batches(12)

    def consume() -> None:
        with _Supply.running(source, ahead=ahead) as supply:
            for back, row in enumerate(drawn({}, supply.feed)):
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
            for row in drawn({}, supply.feed):
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
            return list(drawn({}, supply.feed))

    assert in_time(consume) == []


def test_group_that_is_given_again_late_is_supplied(pretended):
    """While nothing is left to take, the source is asked again and again until it is finished."""
    source = Batches(1)

    def consume() -> list[int]:
        with _Supply.running(source, ahead=4) as supply:
            rows = drawn({}, supply.feed)
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
            rows.extend(row_batch(row) for row in drawn({}, supply.feed))

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
            list(drawn({}, supply.feed))
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
            assert list(drawn({}, supply.feed)) == []

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
            return [row_batch(row) for row in drawn({}, supply.feed)]

    assert in_time(consume) == [0, 1, 2]
    assert source.taken == [0, 1, 2] and not source.finished


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
        for row in drawn({}, feed):
            number = row_batch(row)
            self.rows[-1].append(number)
            outcome = None if self.do is None else self.do(number, stream)
            if isinstance(outcome, str):
                yield {"number": row["number"], "results": b"", "defect": outcome}
            results = [make_result(f"g{number}")] if outcome is None else outcome
            yield {"number": row["number"], "results": pickle.dumps(results), "defect": ""}
            self.source.come_back(number)


@pytest.fixture
def engine(pretended, tmp_path) -> RayEngine:
    return RayEngine(
        work=None,  # pyright: ignore[reportArgumentType] - the stream is pretended
        pool=POOL,
        max_attempts=3,
        seconds=0.0,
        attempts_file=tmp_path / "attempts.json",
        payload_bytes=1,
        metrics=SimpleNamespace(),  # pyright: ignore[reportArgumentType]
    )


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


# ---- indexes ----


def test_frames_are_indexed_in_chunks_and_put_together_in_their_order(engine, pretended, monkeypatch):
    asked = []

    def index_chunk(part: Any, layers: tuple[str, ...]) -> pa.Table:
        frames = part.layers[layers[0]]["image_00"]
        asked.append(frames)
        return pa.table({"frame": list(frames)})

    def remote(**options: Any) -> Callable[[Any], Any]:
        def task(function: Any) -> Any:
            made = pretended.actor(SimpleNamespace(run=function)).run
            return SimpleNamespace(options=lambda **more: made)

        return task

    monkeypatch.setattr(stages, "index_chunk", index_chunk)
    monkeypatch.setattr(ray, "remote", remote)
    index = engine.index(make_drive("s", mask_frames=range(70)), ("masks",))
    assert list(map(len, asked)) == [32, 32, 6]
    assert index()["frame"].to_pylist() == list(range(70))


def answers(pretended: Any, *values: Any) -> list[Any]:
    def answer(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    actor = pretended.actor(SimpleNamespace(answer=answer))
    return [actor.answer.remote(value) for value in values]


def test_earliest_mask_that_cannot_be_used_is_named(pretended):
    table = pa.table({"frame": [0]})
    with pytest.raises(InputError, match=r"^a\.png: bad$"):
        _index_of(answers(pretended, table, "a.png: bad", table, "b.png: bad"), "s")


def test_workers_that_cannot_index_are_told_of(pretended):
    with pytest.raises(WorkerError, match=r"^s cannot be indexed: RayError: gone$"):
        _index_of(answers(pretended, pa.table({"frame": [0]}), RayError("gone")), "s")


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (PermissionError(13, "Permission denied", "a.png"), r"a\.png cannot be used \(Permission denied\): allow .*"),
        (ZeroDivisionError("of all things"), "ZeroDivisionError: of all things"),
    ],
)
def test_what_a_task_meets_in_the_files_is_of_its_sequence_alone(pretended, cause, said):
    error = RayTaskError("index_chunk", "Traceback …", cause, "", 1, "127.0.0.1").as_instanceof_cause()
    with pytest.raises(InputError, match=f"^s cannot be indexed: {said}$"):
        _index_of(answers(pretended, error), "s")
