"""A real autoscaler over Ray's fake node provider: nodes come with demand and go when the run has ended.

Each fake node is a raylet of its own on this machine, with two logical CPUs. The head has none, as in the cluster
files. The job comes without a working directory: nodes unpack it when they start, and these share one session folder,
where each would take it away from the workers of the others.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from ray_head import JOBS, LOOPBACK, NUM_GROUPS, free_ports, label_command, running_head, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

MAX_WORKERS = 2
IDLE_MINUTES = 0.1


def autoscaling_config(gcs_port: int) -> dict[str, Any]:
    """A head without CPUs, and up to two workers of two CPUs each."""
    from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FAKE_HEAD_NODE_TYPE

    return {
        "cluster_name": "fake",
        "max_workers": MAX_WORKERS,
        "idle_timeout_minutes": IDLE_MINUTES,
        "upscaling_speed": 10.0,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "use_internal_ips": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": f"{LOOPBACK}:{gcs_port}",
        },
        "head_node_type": FAKE_HEAD_NODE_TYPE,
        "available_node_types": {
            FAKE_HEAD_NODE_TYPE: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {"resources": {"CPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": MAX_WORKERS},
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }


def test_nodes_come_with_demand_and_go_when_the_run_has_ended(street: Path, tmp_path: Path):
    [gcs_port] = free_ports(1)
    config = autoscaling_config(gcs_port)
    (tmp_path / "autoscaling.json").write_text(json.dumps(config))
    head_id = config["provider"]["head_node_id"]
    variables = {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": head_id,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": head_id,
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    }
    options = ("--num-cpus=0", f"--autoscaling-config={tmp_path / 'autoscaling.json'}")
    output = tmp_path / "output"
    with running_head(*options, gcs_port=gcs_port, **variables) as head:
        python, _, *options_of_run = label_command(street, output, "--num-actors", "1:2", "--initial-actors", "2")
        command = [python, str(JOBS / "label.py"), *options_of_run]
        head.job("submit", "--no-wait", "--submission-id", "run", "--", *command)
        wait_until(lambda: len(head.node_states()) > 1 or head.has_ended("run"), seconds=900, what="a node for the run")
        wait_until(lambda: head.has_ended("run"), seconds=900, what="the end of the run")
        assert f"Groups    {NUM_GROUPS} of {NUM_GROUPS} labelled, 0 failed" in head.job("logs", "run")
        wait_until(lambda: head.node_states().count("ALIVE") == 1, seconds=600, what="no node but the head")
        assert 1 <= head.node_states().count("DEAD") <= MAX_WORKERS
    assert list(output.glob("labels/sequence=*/*.parquet"))
