import json
from pathlib import Path
from uuid import uuid4

import pytest
from upath import UPath

from vsrd_ray.engines.ray_data.attempts import Attempt, AttemptLedger, read_attempts


@pytest.fixture(params=["local", "memory"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path | UPath:
    return tmp_path / ".attempts.json" if request.param == "local" else UPath(f"memory://{uuid4().hex}/.attempts.json")


def test_what_begins_is_counted_and_failures_alone_are_kept(file):
    attempts = AttemptLedger(file, max_attempts=3)
    assert [attempts.begin("fit a"), attempts.begin("fit b")] == [Attempt(1, was_overdue=False)] * 2
    assert not file.exists()
    assert attempts.begin("fit a") == Attempt(2, was_overdue=False)
    assert read_attempts(file) == {"fit a": 1}
    assert attempts.begin("fit a").count == 3
    assert read_attempts(file) == {"fit a": 2}


def test_what_ends_is_forgotten(file):
    attempts = AttemptLedger(file, max_attempts=3)
    for what in ("fit a", "fit a", "fit b", "fit b", "load a"):
        attempts.begin(what)
    attempts.end(["load a", "fit a", "fit c"])
    assert read_attempts(file) == {"fit b": 1}
    assert attempts.begin("fit a") == Attempt(1, was_overdue=False)
    attempts.end(["fit b"])
    assert read_attempts(file) == {}


def test_end_of_what_never_failed_writes_nothing(file):
    attempts = AttemptLedger(file, max_attempts=3)
    attempts.begin("fit a")
    attempts.end(["fit a"])
    assert not file.exists()


def test_counts_of_a_killed_run_go_on(file):
    AttemptLedger(file, max_attempts=3).begin("load a")
    first = AttemptLedger(file, max_attempts=3)
    first.begin("fit a")
    first.begin("fit a")
    second = AttemptLedger(file, max_attempts=3)
    assert second.begin("fit a").count == 2
    assert second.begin("load a").count == 1


def test_of_a_killed_runs_attempts_one_is_left(file):
    file.write_text(json.dumps({"fit a": 9}))
    assert AttemptLedger(file, max_attempts=3).begin("fit a").count == 3


def test_what_a_killed_run_has_left_stays_as_it_is_while_others_fail(file):
    file.write_text(json.dumps({"fit a": 2}))
    attempts = AttemptLedger(file, max_attempts=9)
    for _ in range(3):
        attempts.begin("fit b")
    assert read_attempts(file) == {"fit a": 2, "fit b": 2}


def test_only_the_next_attempt_learns_that_one_was_overdue(file):
    attempts = AttemptLedger(file, max_attempts=3)
    attempts.begin("fit a")
    attempts.overdue("fit a")
    assert attempts.begin("fit b") == Attempt(1, was_overdue=False)
    assert attempts.begin("fit a") == Attempt(2, was_overdue=True)
    assert attempts.begin("fit a") == Attempt(3, was_overdue=False)


@pytest.mark.parametrize("text", ["", "{half", "[]", "3", "null", '{"fit a": "often"}', '{"fit a": null}', '{"a": {}}'])
def test_file_that_no_run_has_written_counts_nothing(tmp_path, text):
    (tmp_path / "file").write_text(text)
    assert read_attempts(tmp_path / "file") == {}


def test_kept_attempts_are_plain_json(tmp_path):
    attempts = AttemptLedger(tmp_path / "file", max_attempts=3)
    for _ in range(3):
        attempts.begin("fit a")
    assert json.loads((tmp_path / "file").read_text()) == {"fit a": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_attempt_that_ended_with_its_node_is_none(tmp_path):
    alive = {"a", "b"}
    attempts = AttemptLedger(tmp_path / "attempts.json", max_attempts=3, lives=alive.__contains__)
    assert attempts.begin("fit g", "a").count == 1
    alive.remove("a")
    assert attempts.begin("fit g", "b").count == 1
    assert not (tmp_path / "attempts.json").exists()
    assert attempts.begin("fit g", "b").count == 2  # its worker died, and the node lives


def test_labelers_that_are_set_up_elsewhere_are_known(tmp_path):
    attempts = AttemptLedger(tmp_path / "attempts.json", max_attempts=3, lives=lambda node: node != "gone")
    assert not attempts.is_set_up_elsewhere("a")
    attempts.set_up("a", "here")
    assert attempts.is_set_up_elsewhere("b")
    assert not attempts.is_set_up_elsewhere("a")
    assert not attempts.is_set_up_elsewhere("b")  # a has just said that it begins anew
    attempts.set_up("a", "gone")
    assert not attempts.is_set_up_elsewhere("b")


def test_what_is_lost_with_node_after_node_is_to_blame(tmp_path):
    attempts = AttemptLedger(tmp_path / "attempts.json", max_attempts=3, lives=lambda node: False)
    assert [attempts.begin("fit g", f"node {n}").count for n in range(8)] == [1, 1, 1, 1, 1, 2, 3, 4]
    attempts.end(["fit g"])
    assert [attempts.begin("fit g", f"node {n}").count for n in range(3)] == [1, 1, 1]


def test_a_worker_that_fails_again_and_again_rests_the_longer_the_better_others_do(tmp_path):
    attempts = AttemptLedger(tmp_path / "attempts.json", max_attempts=3)

    def rest_after_failure(worker: str) -> float:
        is_to_back_off = attempts.outcome(worker, is_good=False)
        rest = attempts.back_off(worker)
        assert is_to_back_off == (rest > 0)
        assert attempts.back_off(worker) == 0
        return rest

    assert not attempts.outcome("b", is_good=True)
    assert [rest_after_failure("a") for _ in range(5)] == [0, 1, 2, 2, 2]  # b was good before it
    assert not attempts.outcome("b", is_good=True)
    assert [rest_after_failure("a") for _ in range(8)] == [16, 32, 64, 128, 256, 512, 600, 600]
    assert rest_after_failure("b") == 0
    assert not attempts.outcome("a", is_good=True)
    assert rest_after_failure("a") == 0


def test_what_failed_with_a_worker_is_for_another_while_there_is_any(tmp_path):
    attempts = AttemptLedger(tmp_path / "attempts.json", max_attempts=3)
    attempts.set_up("a", "here")
    assert attempts.begin("fit g", "here", "a") == Attempt(1, was_overdue=False)
    attempts.outcome("a", is_good=False, failed=["fit g"])
    assert attempts.begin("fit g", "here", "a") == Attempt(2, was_overdue=False)  # there is no other
    attempts.outcome("a", is_good=False, failed=["fit g"])
    attempts.set_up("b", "here")
    assert [attempts.begin("fit g", "here", "a") for _ in range(5)] == [Attempt(2, False, is_for_others=True)] * 5
    assert attempts.begin("fit h", "here", "a") == Attempt(1, was_overdue=False)
    assert attempts.begin("fit g", "here", "b") == Attempt(3, was_overdue=False)
    attempts.outcome("b", is_good=False, failed=["fit g"])
    assert attempts.begin("fit g", "here", "a") == Attempt(4, was_overdue=False)
    attempts.outcome("a", is_good=False, failed=["fit g"])
    # none of the others comes by
    assert [attempts.begin("fit g", "here", "a").is_for_others for _ in range(6)] == [True] * 5 + [False]
