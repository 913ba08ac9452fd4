import json
from pathlib import Path
from uuid import uuid4

import pytest
from upath import UPath

from vsrd_ray.pipeline.attempts import Attempts, Begun, read_attempts


@pytest.fixture(params=["local", "memory"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path | UPath:
    return tmp_path / ".attempts.json" if request.param == "local" else UPath(f"memory://{uuid4().hex}/.attempts.json")


def test_what_begins_is_counted_and_failures_alone_are_kept(file):
    attempts = Attempts(file, {})
    assert [attempts.begin("fit a"), attempts.begin("fit b")] == [Begun(1, was_overdue=False)] * 2
    assert not file.exists()
    assert attempts.begin("fit a") == Begun(2, was_overdue=False)
    assert read_attempts(file) == {"fit a": 1}
    assert attempts.begin("fit a").count == 3
    assert read_attempts(file) == {"fit a": 2}


def test_what_ends_is_forgotten(file):
    attempts = Attempts(file, {})
    for what in ("fit a", "fit a", "fit b", "fit b", "load a"):
        attempts.begin(what)
    attempts.end(["load a", "fit a", "fit c"])
    assert read_attempts(file) == {"fit b": 1}
    assert attempts.begin("fit a") == Begun(1, was_overdue=False)
    attempts.end(["fit b"])
    assert read_attempts(file) == {}


def test_end_of_what_never_failed_writes_nothing(file):
    attempts = Attempts(file, {})
    attempts.begin("fit a")
    attempts.end(["fit a"])
    assert not file.exists()


def test_counts_of_a_killed_run_go_on(file):
    Attempts(file, {}).begin("load a")
    first = Attempts(file, {})
    first.begin("fit a")
    first.begin("fit a")
    second = Attempts(file, read_attempts(file))
    assert second.begin("fit a").count == 2
    assert second.begin("load a").count == 1


def test_only_the_next_attempt_learns_that_one_was_overdue(file):
    attempts = Attempts(file, {})
    attempts.begin("fit a")
    attempts.overdue("fit a")
    assert attempts.begin("fit b") == Begun(1, was_overdue=False)
    assert attempts.begin("fit a") == Begun(2, was_overdue=True)
    assert attempts.begin("fit a") == Begun(3, was_overdue=False)


@pytest.mark.parametrize("text", ["", "{half", "[]", "3", "null", '{"fit a": "often"}', '{"fit a": null}', '{"a": {}}'])
def test_file_that_no_run_has_written_counts_nothing(tmp_path, text):
    (tmp_path / "file").write_text(text)
    assert read_attempts(tmp_path / "file") == {}


def test_kept_attempts_are_plain_json(tmp_path):
    attempts = Attempts(tmp_path / "file", {"fit a": 2})
    attempts.begin("fit a")
    assert json.loads((tmp_path / "file").read_text()) == {"fit a": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_attempt_that_ended_with_its_node_is_none(tmp_path):
    alive = {"a", "b"}
    attempts = Attempts(tmp_path / "attempts.json", {}, lives=alive.__contains__)
    assert attempts.begin("fit g", "a").count == 1
    alive.remove("a")
    assert attempts.begin("fit g", "b").count == 1
    assert not (tmp_path / "attempts.json").exists()
    assert attempts.begin("fit g", "b").count == 2  # its worker died, and the node lives


def test_a_labeler_that_was_ever_set_up_is_remembered(tmp_path):
    attempts = Attempts(tmp_path / "attempts.json", {})
    assert not attempts.is_set_up()
    attempts.set_up()
    assert attempts.is_set_up()
