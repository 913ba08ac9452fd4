import subprocess
import sys

import pytest
import yaml

from vsrd_ray.engines.ray_data import startable
from vsrd_ray.engines.ray_data.startable import NodeType, node_types

CONFIG = {
    "max_workers": 20,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "gpu": {"resources": {"CPU": 8, "GPU": 1}, "labels": {"ray.io/accelerator-type": "L4"}, "max_workers": 5},
        "cpu": {"resources": {"CPU": 4}},
    },
}


@pytest.fixture
def monitor(tmp_path):
    """Starts what looks like Ray's monitor, with a file of some content."""
    script = tmp_path / "monitor.py"
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    started = []

    def start(content: str) -> None:
        (tmp_path / "config.yaml").write_text(content)
        options = ["--gcs-address=10.0.0.1:6379", f"--autoscaling-config={tmp_path / 'config.yaml'}"]
        started.append(subprocess.Popen([sys.executable, script, *options], stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "up\n"

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_worker_types_stand_in_the_file_of_the_clusters_monitor(monitor):
    monitor(yaml.safe_dump(CONFIG, sort_keys=False))
    assert node_types("10.0.0.1:6379") == (
        NodeType({"CPU": 8.0, "GPU": 1.0}, "L4", 5),
        NodeType({"CPU": 4.0}, None, 20),
    )
    assert node_types("10.0.0.1:6380") == ()  # another cluster's


@pytest.mark.parametrize("content", ["", "{", "available_node_types: 3", "a: b"])
def test_file_that_tells_nothing_is_told_of(monitor, caplog, content):
    monitor(content)
    assert node_types("10.0.0.1:6379") == ()
    assert "does not tell what the cluster may start" in caplog.text


def test_kuberay_tells_that_there_is_an_autoscaler(monkeypatch):
    monkeypatch.delenv("KUBERAY_GEN_RAY_START_CMD", raising=False)
    assert not startable.is_unknown()
    monkeypatch.setenv("KUBERAY_GEN_RAY_START_CMD", "ray start --head --num-cpus=0 --no-monitor")
    assert startable.is_unknown()
