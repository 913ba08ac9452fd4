"""Actors in this process, so that the engine's parts can be tested without a Ray."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from batches import POOL

from vsrd_ray.engines.ray_data import stages
from vsrd_ray.engines.ray_data.stages import RayEngine


class PretendedActor:
    """Makes calls at once, one at a time; those that wait for each other, on an event loop, as Ray does."""

    def __init__(self, instance: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._instance, self._loop, self._lock = instance, loop, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments, **options: self._call(name, arguments, options))

    def _call(self, name: str, arguments: tuple, options: dict) -> Future:
        answer = Future()
        try:
            with self._lock:
                value = getattr(self._instance, name)(*arguments, **options)
        except Exception as error:
            answer.set_exception(error)
            return answer
        if asyncio.iscoroutine(value):
            return asyncio.run_coroutine_threadsafe(value, self._loop)
        answer.set_result(value)
        return answer


class PretendedRay:
    """What the engine asks Ray for; the worker that it runs in can be changed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.worker, self.node = "worker", "node"
        self.killed: list[Any] = []

    def actor(self, instance: Any) -> Any:
        return PretendedActor(instance, self._loop)

    def on_this_node(self, kind: Callable[..., Any], **_: Any) -> Any:
        return SimpleNamespace(remote=lambda *arguments, **options: self.actor(kind(*arguments, **options)))

    def get(self, answers: Any) -> Any:
        return [one.result() for one in answers] if isinstance(answers, list) else answers.result()

    def context(self) -> Any:
        return SimpleNamespace(get_actor_id=lambda: self.worker, get_node_id=lambda: self.node)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedRay]:
    """In place of Ray."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    pretended = PretendedRay(loop)
    monkeypatch.setattr(ray, "get", pretended.get)
    monkeypatch.setattr(ray, "kill", pretended.killed.append)
    monkeypatch.setattr(ray, "get_runtime_context", pretended.context)
    monkeypatch.setattr(stages, "_on_this_node", pretended.on_this_node)
    yield pretended
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_POLL", 0.01)


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
