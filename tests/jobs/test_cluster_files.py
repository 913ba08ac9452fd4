"""The cluster launcher's files, through Ray's own preparation and validation, and what a labelling cluster needs."""

import copy
import re
import shlex
from typing import Any

import jsonschema
import pytest
import yaml
from command_lines import parse_ray
from ray_head import JOBS

CLOUDS = ("aws", "gcp")
NAMES = (*CLOUDS, "onprem")


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((JOBS / f"{name}.yaml").read_text())


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """What `ray up` makes of the file before it turns to the provider, validated."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(copy.deepcopy(config))
    validate_config(config)
    return config


@pytest.mark.parametrize("name", NAMES)
def test_ray_takes_the_file(name: str):
    config = prepared(load(name))
    assert config["cluster_name"] == "vsrd-ray"
    assert 0 < config["idle_timeout_minutes"] <= 10


@pytest.mark.parametrize("name", NAMES)
def test_ray_refuses_unknown_fields(name: str):
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout_seconds"):
        prepared(load(name) | {"idle_timeout_seconds": 300})


@pytest.mark.parametrize("name", CLOUDS)
def test_ray_refuses_unknown_fields_of_a_node_type(name: str):
    config = load(name)
    config["available_node_types"]["gpu_spot"]["spot"] = True
    with pytest.raises(jsonschema.ValidationError, match="spot"):
        prepared(config)


@pytest.mark.parametrize("name", CLOUDS)
def test_head_is_for_the_driver_alone_and_workers_come_with_demand(name: str):
    config = prepared(load(name))
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0, "GPU": 0}
    workers = {kind: spec for kind, spec in types.items() if kind != config["head_node_type"]}
    assert {kind for kind, spec in workers.items() if spec["resources"].get("GPU")} == {"gpu_spot", "gpu_on_demand"}
    assert workers["cpu_spot"]["resources"] == {"CPU": 8}
    assert all(spec["min_workers"] == 0 < spec["max_workers"] for spec in workers.values())
    assert max(spec["max_workers"] for spec in workers.values()) <= config["max_workers"]


@pytest.mark.parametrize("name", CLOUDS)
def test_spot_nodes_are_asked_for_first(name: str):
    types = load(name)["available_node_types"]
    spot, on_demand = types["gpu_spot"], types["gpu_on_demand"]
    assert spot["priority"] > on_demand["priority"]
    assert spot["resources"] == on_demand["resources"]
    assert is_spot(spot["node_config"]) and is_spot(types["cpu_spot"]["node_config"])
    assert not is_spot(on_demand["node_config"]) and not is_spot(types["head"]["node_config"])


def is_spot(node: dict[str, Any]) -> bool:
    """Whether a node is one of AWS's or GCP's spot machines."""
    market = node.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
    return market or node.get("scheduling", {}).get("provisioningModel") == "SPOT"


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_ask_for_the_token_which_is_sent_over_ssh(name: str):
    config = prepared(load(name))
    commands = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in config[key]
        if "ray start" in command
    ]
    assert len(commands) == 2
    everywhere = " ".join(config["docker"].get("run_options", []))
    assert all("RAY_AUTH_MODE=token" in f"{everywhere} {command}" for command in commands)
    [(remote, local)] = config["file_mounts"].items()
    assert local == "~/.ray/auth_token" and remote.endswith("/.ray/auth_token")


@pytest.mark.parametrize("name", NAMES)
def test_dashboard_listens_on_the_loopback_alone(name: str):
    text = (JOBS / f"{name}.yaml").read_text()
    assert re.findall(r"--dashboard-host=(\S+)", text) == ["127.0.0.1"]


@pytest.mark.parametrize("name", NAMES)
def test_start_commands_are_rays(name: str):
    config = prepared(load(name))
    for command in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        words = shlex.split(command.split(";")[-1])
        assert words[0].rsplit("/")[-1] == "ray"
        assert parse_ray(words[1:]).info_name in ("start", "stop")


@pytest.mark.parametrize("path", sorted(path.name for path in JOBS.iterdir() if path.is_file()))
def test_no_secrets_lie_in_the_files(path: str):
    text = (JOBS / path).read_text()
    assert not re.search(r"AKIA[0-9A-Z]{16}|-----BEGIN|aws_secret|\"private_key\"|password\s*[:=]", text)
    tokens = re.findall(r"RAY_AUTH_TOKEN=(\S+)", text)
    assert all(token.startswith("$") for token in tokens)
