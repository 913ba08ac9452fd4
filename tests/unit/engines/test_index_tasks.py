"""Indexing by tasks, without a Ray."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import ray
from builders import make_drive
from ray.exceptions import RayError, RayTaskError

from vsrd_ray.engines.ray_data import stages
from vsrd_ray.engines.ray_data.stages import _index_of
from vsrd_ray.errors import InputError, WorkerError

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
