import os
from contextlib import contextmanager

import pytest

from vsrd_ray.engines.ray_data import session
from vsrd_ray.errors import InputError, WorkerError
from vsrd_ray.pipeline.pool import Node


@pytest.fixture
def told(monkeypatch):
    """Begins and ends of sessions, in place of Ray."""
    events = []

    @contextmanager
    def pretended(**options):
        events.append(("begin", options))
        yield
        events.append("end")

    monkeypatch.setattr(session, "ray_session", pretended)
    return events


def test_ray_starts_once_when_it_is_asked_for(told):
    with session.RayOnDemand(address=None, dashboard=True, verbose=False) as on_demand:
        assert told == []
        on_demand.start()
        on_demand.start()
        assert told == [
            ("begin", {"address": None, "dashboard": True, "verbose": False, "store_bytes": session._STORE_BYTES})
        ]
    assert told[1:] == ["end"]


@pytest.mark.parametrize(("verbose", "heard"), [(False, "before after"), (True, "before during after")])
def test_what_ray_prints_is_kept_back_unless_verbose(told, capsys, verbose, heard):
    print("before")
    with session.RayOnDemand(address=None, dashboard=False, verbose=verbose) as on_demand:
        on_demand.start()
        print("during")
    print("after")
    assert capsys.readouterr().out.split() == heard.split()


def test_ray_that_nobody_asked_for_is_not_started(told):
    with session.RayOnDemand(address=None, dashboard=False, verbose=False):
        pass
    assert told == []


def test_native_messages_are_kept_from_the_terminal_while_ray_starts(capfd, monkeypatch):
    monkeypatch.delenv("RAY_BACKEND_LOG_LEVEL", raising=False)
    with session._without_native_messages():
        assert os.environ["RAY_BACKEND_LOG_LEVEL"] == "fatal"
        os.write(2, b"announced\n")
    os.write(2, b"heard\n")
    assert "RAY_BACKEND_LOG_LEVEL" not in os.environ
    assert capfd.readouterr().err == "heard\n"


def test_level_that_the_user_chose_stays(capfd, monkeypatch):
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "debug")
    with session._without_native_messages():
        assert os.environ["RAY_BACKEND_LOG_LEVEL"] == "debug"
        os.write(2, b"heard\n")
    assert os.environ["RAY_BACKEND_LOG_LEVEL"] == "debug"
    assert capfd.readouterr().err == "heard\n"


def test_nodes_are_what_ray_says_of_them():
    resources = {"CPU": 8.0, "GPU": 2.0, "accelerator_type:A100": 1.0, "memory": 1e9}
    assert session._node(resources) == Node(cpus=8, gpus=2, accelerator="A100")
    assert session._node({"CPU": 4}, accelerator="L4", count=3) == Node(cpus=4, gpus=0, accelerator="L4", count=3)


def test_driver_elsewhere_is_refused():
    with pytest.raises(InputError, match=r"--address ray://head:10001: expected HOST:PORT or auto; .*ray job submit"):
        session._connect(None, "ray://head:10001")


@pytest.mark.parametrize("failures", [0, 2, 3])
def test_local_ray_that_does_not_come_up_is_started_again(monkeypatch, caplog, failures):
    ray = pytest.importorskip("ray")
    starts = []

    def init(**options):
        starts.append(options)
        if len(starts) <= failures:
            raise Exception("The current node timed out during startup.")
        return "context"

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    if failures < 3:
        assert session.start_local(num_cpus=1) == "context"
    else:
        with pytest.raises(WorkerError, match=r"Ray does not start on this machine \(Exception: The current node"):
            session.start_local(num_cpus=1)
    assert starts == [{"address": "local", "num_cpus": 1}] * min(failures + 1, 3)
    assert len(caplog.messages) == min(failures, 2)
