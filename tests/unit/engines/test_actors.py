"""The workers' side of the stream without a Ray: what becomes of batches, and of those over which workers die.

A worker that dies leaves an attempt that has attempt and not ended: that is all that the next one can know of it.
"""

import pickle
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from builders import make_group_frames, make_label, make_labels, make_loaded, make_plan, make_prepared, make_result

from vsrd_ray.engines.ray_data import actors
from vsrd_ray.engines.ray_data.actors import FIT, LOAD, SETUP, LabelGroups, RetryPolicy, load_groups
from vsrd_ray.engines.ray_data.attempts import Attempt, AttemptLedger
from vsrd_ray.pipeline.work import Loaded
from vsrd_ray.runs.results import GroupResult

MAX_ATTEMPTS = 3


class Exited(BaseException):
    """The process would have ended here."""


@dataclass
class Labelling:
    """In place of `Work`: notes what it is asked for, and fails where it is told to."""

    device: str = "cpu"
    failing: set[str] = field(default_factory=set)  # groups with an error of their own
    broken: str | None = None  # an error of whatever is done
    no_labeler: str | None = None
    loads: list[str] = field(default_factory=list)
    fits: list[list[str]] = field(default_factory=list)
    setups: int = 0

    def preparer(self) -> Any:
        if self.broken:
            raise ValueError(self.broken)
        return "preparer"

    def load(self, labeler: Any, task: Any) -> Loaded:
        group_id = task.plan.group_id
        assert labeler == "preparer"
        self.loads.append(group_id)
        return failed(group_id) if group_id in self.failing else ready(group_id)

    def labeler(self) -> Any:
        if self.no_labeler:
            raise ValueError(self.no_labeler)
        return SimpleNamespace(setup=self._set_up)

    def _set_up(self) -> None:
        self.setups += 1

    def label_together(self, labeler: Any, batch: list[Loaded]) -> list[GroupResult]:
        assert self.setups
        names = [one.group_id for one in batch]
        self.fits.append(names)
        if self.broken:
            raise ValueError(self.broken)
        return [fitted(name, error="it is bad" if name in self.failing else None) for name in names]


def fitted(group_id: str, *, error: str | None = None, attempts: int = 1) -> GroupResult:
    labels = None if error else make_labels(make_label(group_id=group_id))
    return make_result(group_id, labels=labels, error=error, fit=2.0, attempts=attempts)


def ready(group_id: str, *, attempts: int = 1) -> Loaded:
    group = make_group_frames(make_plan(group_id))
    return make_loaded(group_id, prepared=make_prepared(group), seconds=1.0, attempts=attempts)


def failed(group_id: str, *, attempts: int = 1) -> Loaded:
    return make_loaded(group_id, error="no mask", seconds=1.0, attempts=attempts)


class Worker:
    """A worker's process, and the attempts that outlive it."""

    def __init__(self, pretended: Any, folder: Any) -> None:
        self._pretended, self._file = pretended, folder / "attempts.json"
        self.attempts = AttemptLedger(self._file, max_attempts=MAX_ATTEMPTS)
        self.policy = RetryPolicy(pretended.actor(self.attempts), MAX_ATTEMPTS, 0.0)
        self.work = Labelling()
        self.slept: list[float] = []
        self.titles: list[str] = []
        self.parting: list[tuple] = []  # what ends the process a little later

    def dies(self, stage: str, *names: str, times: int = 1) -> None:
        """Workers die over a batch."""
        for _ in range(times):
            self.policy.begin(stage, names)

    def begins(self, stage: str, *names: str) -> int:
        """What the next attempt at a batch counts as."""
        return self.policy.begin(stage, names).count

    def load(self, *names: str, number: int = 7) -> list[Loaded]:
        tasks = [SimpleNamespace(plan=make_plan(name)) for name in names]
        row = {"number": number, "tasks": pickle.dumps(tasks) if names else b""}
        row = load_groups(row, self.work, self.policy)  # pyright: ignore[reportArgumentType]
        assert row["number"] == number
        return pickle.loads(row["loaded"])

    def labeler(self) -> LabelGroups:
        return LabelGroups(work=self.work, policy=self.policy)  # pyright: ignore[reportArgumentType]

    def label(self, labeler: LabelGroups, *loaded: Loaded, number: int = 7) -> list[GroupResult]:
        row = labeler({"number": number, "loaded": pickle.dumps(list(loaded))})
        assert (row["number"], row["defect"]) == (number, "")
        return pickle.loads(row["results"])

    def has_another(self, name: str = "another") -> None:
        """Another worker has its labeler set up."""
        self.attempts.set_up(name, "node")


@pytest.fixture
def worker(pretended, tmp_path, monkeypatch) -> Worker:
    worker = Worker(pretended, tmp_path)

    def leave(code: int) -> None:
        raise Exited(code)

    class Timer:
        def __init__(self, seconds: float, do: Any, arguments: list) -> None:
            self.parting = (seconds, do, arguments)

        def start(self) -> None:
            worker.parting.append(self.parting)

    monkeypatch.setattr(actors, "time", SimpleNamespace(sleep=worker.slept.append))
    monkeypatch.setattr(actors, "os", SimpleNamespace(_exit=leave))
    monkeypatch.setattr(actors, "threading", SimpleNamespace(Timer=Timer))
    monkeypatch.setattr(actors, "setproctitle", worker.titles.append)
    monkeypatch.setattr(actors, "Gauge", lambda *_: SimpleNamespace())  # nothing is told of a GPU that is not used
    return worker


def told(ones: list[Any]) -> list[tuple]:
    """What there is to say of what came: group, error, attempts, and whether anything came of it."""
    return [
        (one.group_id, one.error, one.attempts, (one.prepared if isinstance(one, Loaded) else one.tables) is not None)
        for one in ones
    ]


# ---- loading ----


def test_batch_is_loaded_in_its_order_at_the_first_attempt(worker):
    assert told(worker.load("c", "a", "b")) == [(name, None, 1, True) for name in ("c", "a", "b")]
    assert worker.work.loads == ["c", "a", "b"]
    assert worker.titles == ["ray::load c and 2 more"]


def test_row_that_is_done_with_is_passed_on_without_anything_in_it(worker):
    worker.work.broken = "nothing is to be done"
    assert worker.load() == []
    assert worker.titles == []


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_batch_that_was_loaded_may_be_loaded_again(worker, names):
    """As when the node is lost that has it: that is no failure, however often it happens."""
    for _ in range(MAX_ATTEMPTS + 2):
        assert told(worker.load(*names)) == [(name, None, 1, True) for name in names]


def test_batch_over_which_a_worker_died_is_given_back_group_by_group(worker):
    worker.dies(LOAD, "a", "b")
    assert told(worker.load("a", "b")) == [("a", None, 0, False), ("b", None, 0, False)]
    assert worker.work.loads == []
    assert told(worker.load("a")) == [("a", None, 1, True)]
    assert told(worker.load("b")) == [("b", None, 1, True)]


@pytest.mark.parametrize("deaths", range(5))
def test_group_that_kills_its_worker_again_and_again_is_given_up(worker, deaths):
    worker.dies(LOAD, "a", times=deaths)
    (loaded,) = worker.load("a")
    if deaths < MAX_ATTEMPTS:
        assert told([loaded]) == [("a", None, deaths + 1, True)]
        assert worker.work.loads == ["a"]
    else:
        error = f"{deaths} attempts to load this group ended with their worker"
        assert told([loaded]) == [("a", error, deaths, False)]
        assert worker.work.loads == []


def test_group_that_is_given_up_since_it_took_too_long_says_so(worker):
    worker.policy = RetryPolicy(worker.policy.attempts, MAX_ATTEMPTS, 5.0)
    worker.dies(LOAD, "a", times=3)
    worker.attempts.overdue("load a")
    (loaded,) = worker.load("a")
    assert loaded.error == "3 attempts to load this group ended with their worker; the last one took longer than 5 s"


def test_attempts_at_a_group_that_cannot_be_loaded_are_counted(worker):
    worker.work.failing = {"b"}
    assert told(worker.load("a", "b")) == [("a", None, 1, True), ("b", "no mask", 1, False)]
    assert [worker.begins(LOAD, *names) for names in (("a",), ("b",), ("a", "b"))] == [1, 1, 2]
    assert told(worker.load("b")) == [("b", "no mask", 2, False)]


def test_worker_that_cannot_load_at_all_fails_a_single_group_and_gives_a_batch_back(worker):
    worker.work.broken = "no\n  memory"
    assert told(worker.load("a", "b")) == [("a", None, 0, False), ("b", None, 0, False)]
    assert told(worker.load("a")) == [("a", "ValueError: no memory", 1, False)]
    assert told(worker.load("a")) == [("a", "ValueError: no memory", 2, False)]


# ---- setting a labeler up ----


def test_labeler_is_set_up_once_and_the_others_learn_of_it(worker):
    labeler = worker.labeler()
    worker.label(labeler, ready("a"))
    worker.label(labeler, ready("b"))
    assert worker.work.setups == 1
    assert worker.attempts.is_set_up_elsewhere("another")
    assert worker.begins(SETUP, "worker") == 1  # it came off, and so is forgotten
    assert worker.slept == [0.0]


def test_worker_rests_before_it_begins_anew(worker):
    for _ in range(3):
        worker.attempts.outcome("worker", is_good=False)
    worker.labeler()
    assert worker.slept == [2.0]


def test_labeler_that_cannot_be_set_up_anywhere_is_a_defect(worker):
    worker.work.no_labeler = "no\n  weights"
    labeler = worker.labeler()
    for number in (3, 4):
        row = labeler({"number": number, "loaded": pickle.dumps([ready("a")])})
        assert row == {"number": number, "results": b"", "defect": "ValueError: no weights"}


def test_worker_whose_machine_is_to_blame_begins_anew(worker):
    worker.has_another()
    worker.work.no_labeler = "no device"
    with pytest.raises(Exited) as exited:
        worker.labeler()
    assert exited.value.args == (1,)


@pytest.mark.parametrize(("deaths", "defect"), [(2, ""), (3, "3 workers ended while they set it up")])
def test_setup_that_kills_its_workers_is_a_defect(worker, deaths, defect):
    worker.dies(SETUP, "worker", times=deaths)
    row = worker.labeler()({"number": 1, "loaded": pickle.dumps([ready("a")])})
    assert row["defect"] == defect
    assert worker.work.setups == (0 if defect else 1)


@pytest.mark.parametrize(("deaths", "rest"), [(2, None), (3, 2.0), (4, 4.0), (7, 32.0), (8, 60.0), (50, 60.0)])
def test_setup_that_kills_its_workers_on_this_machine_alone_is_tried_on(worker, deaths, rest):
    worker.has_another()
    worker.dies(SETUP, "worker", times=deaths)
    assert told(worker.label(worker.labeler(), ready("a"))) == [("a", None, 1, True)]
    assert worker.slept == [0.0, *([] if rest is None else [rest])]


# ---- labelling ----


def test_batch_is_labelled_together_at_the_first_attempt(worker):
    results = worker.label(worker.labeler(), ready("b"), ready("a"))
    assert results == [fitted("b"), fitted("a")]
    assert worker.work.fits == [["b", "a"]]
    assert worker.titles == ["ray::fit b and 1 more"]


def test_attempts_at_loading_and_at_labelling_add_up(worker):
    worker.dies(FIT, "a")
    (result,) = worker.label(worker.labeler(), ready("a", attempts=2))
    assert result == fitted("a", attempts=3)  # one died at loading and one at labelling, and the third came off


def test_what_could_not_be_loaded_is_among_the_results(worker):
    results = worker.label(worker.labeler(), failed("a", attempts=2), ready("b"))
    assert results == [make_result("a", error="no mask", load=1.0, attempts=2), fitted("b")]
    assert worker.work.fits == [["b"]]


def test_row_of_which_nothing_was_loaded_asks_for_no_label(worker):
    assert told(worker.label(worker.labeler(), failed("a"))) == [("a", "no mask", 1, False)]
    assert worker.label(worker.labeler()) == []
    assert worker.work.fits == [] and worker.titles == []


def test_batch_over_which_a_worker_died_is_lost_to_single_groups(worker):
    worker.dies(FIT, "a", "b")
    labeler = worker.labeler()
    results = worker.label(labeler, ready("a", attempts=2), failed("c"), ready("b"))
    assert told(results) == [("c", "no mask", 1, False), ("a", None, 0, False), ("b", None, 0, False)]
    assert worker.work.fits == [] and worker.parting == []
    assert told(worker.label(labeler, ready("a"))) == [("a", None, 1, True)]


@pytest.mark.parametrize("deaths", range(5))
def test_group_that_kills_its_labeler_again_and_again_is_given_up(worker, deaths):
    worker.dies(FIT, "a", times=deaths)
    (result,) = worker.label(worker.labeler(), ready("a"))
    if deaths < MAX_ATTEMPTS:
        assert result == fitted("a", attempts=deaths + 1)
    else:
        error = f"{deaths} attempts to fit this group ended with their worker"
        assert told([result]) == [("a", error, deaths, False)]
        assert worker.work.fits == []


def test_batch_that_was_labelled_may_be_labelled_again(worker):
    for _ in range(MAX_ATTEMPTS + 2):
        assert told(worker.label(worker.labeler(), ready("a"), ready("b"))) == [
            ("a", None, 1, True),
            ("b", None, 1, True),
        ]


def test_attempts_at_a_single_group_are_forgotten_by_the_driver_alone(worker):
    """Its result may still be lost with this worker."""
    worker.label(worker.labeler(), ready("a"))
    assert worker.begins(FIT, "a") == 2


def test_batch_that_fails_as_a_whole_is_lost_to_single_groups(worker):
    worker.work.broken = "out of\n  memory"
    labeler = worker.labeler()
    assert told(worker.label(labeler, ready("a"), ready("b"))) == [("a", None, 0, False), ("b", None, 0, False)]
    assert told(worker.label(labeler, ready("a"))) == [("a", "ValueError: out of memory", 1, False)]
    assert worker.begins(FIT, "a", "b") == 2  # it stays a batch that failed


def test_group_that_failed_is_for_another_worker(worker):
    """This one would have it again, and so begins anew; until it does, it passes on whatever comes."""
    worker.has_another()
    worker.work.failing = {"a"}
    labeler = worker.labeler()
    assert told(worker.label(labeler, ready("a"), ready("b"))) == [("a", "it is bad", 1, False), ("b", None, 1, True)]
    assert worker.parting == []
    assert told(worker.label(labeler, failed("c"), ready("a"))) == [("c", "no mask", 1, False), ("a", None, 0, False)]
    ((seconds, do, arguments),) = worker.parting
    assert 0 < seconds <= 1
    with pytest.raises(Exited, match="1"):
        do(*arguments)
    assert told(worker.label(labeler, ready("d"), ready("e"))) == [("d", None, 0, False), ("e", None, 0, False)]
    assert told(worker.label(labeler, failed("c"), ready("d"))) == [("c", "no mask", 1, False), ("d", None, 0, False)]
    assert worker.work.fits == [["a", "b"]]
    assert worker.begins(FIT, "d") == 1  # it was not begun


def test_group_that_failed_is_tried_here_again_where_there_is_no_other_worker(worker):
    worker.work.failing = {"a"}
    attempts = [worker.label(worker.labeler(), ready("a"))[0].attempts for _ in range(3)]
    assert attempts == [1, 2, 3]


def test_worker_that_only_fails_begins_anew(worker):
    worker.work.failing = {"a", "b", "c", "d"}
    labeler = worker.labeler()
    worker.label(labeler, ready("a"))
    assert worker.parting == []
    worker.label(labeler, ready("b"), ready("c"))
    assert len(worker.parting) == 1
    assert told(worker.label(labeler, ready("d"))) == [("d", None, 0, False)]


def test_worker_that_labels_anything_goes_on(worker):
    worker.work.failing = {"a", "b"}
    labeler = worker.labeler()
    for _ in range(3):
        worker.label(labeler, ready("a"))
        worker.label(labeler, ready("b"), ready("c"))
    assert worker.parting == []
    assert len(worker.work.fits) == 6


# ---- limits ----


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_each_stage_has_its_limit_and_tells_what_is_overdue(worker, monkeypatch, seconds):
    limits = []

    @contextmanager
    def limited(seconds: float, *, tell: Any) -> Any:
        limits.append((seconds, tell))
        yield

    monkeypatch.setattr(actors, "deadline", limited)
    worker.policy = RetryPolicy(worker.policy.attempts, MAX_ATTEMPTS, seconds)
    worker.load("a", "b")
    worker.label(worker.labeler(), ready("a"))
    assert [limit for limit, _ in limits] == [seconds] * 3
    names = [(LOAD, ["a", "b"]), (SETUP, ["worker"]), (FIT, ["a"])]
    for (_, tell), (stage, group_ids) in zip(limits, names, strict=True):
        tell()
        assert worker.policy.begin(stage, group_ids).was_overdue


def test_attempt_is_begun_for_its_worker_and_its_node(worker, pretended, monkeypatch):
    asked = []
    monkeypatch.setattr(AttemptLedger, "begin", lambda self, *names: asked.append(names) or Attempt(1, False))
    pretended.worker, pretended.node = "w", "n"
    worker.load("a", "b")
    pretended.worker = None  # a task is no actor
    worker.load("c")
    assert asked == [("load a b", "n", "w"), ("load c", "n", "")]
