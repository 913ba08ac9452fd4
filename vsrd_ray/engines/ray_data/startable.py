"""What a cluster's autoscaler may start.

Ray 2.60 has a record for it, which no open-source autoscaler fills in. What they go by is a file, named on the command
line of Ray's monitor, which runs on the head as a run's driver does. KubeRay has its autoscaler in another container:
from the head's it can only be told that there is one.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

logger = logging.getLogger(__name__)

_MONITOR = "/monitor.py"
_FILE, _GCS = "--autoscaling-config=", "--gcs-address="
_KUBERAY_COMMAND = "KUBERAY_GEN_RAY_START_CMD"  # what KubeRay starts the head with


@dataclass(frozen=True)
class NodeType:
    """Machines that may be started."""

    resources: dict[str, float]
    accelerator: str | None  # type of their GPUs
    count: int  # at most


def node_types(gcs_address: str) -> tuple[NodeType, ...]:
    """The kinds of workers that the autoscaler of a cluster may start; none where it has none, or it is not known.

    Args:
        gcs_address: the cluster's, "host:port", as its processes on this machine have it.
    """
    file = _autoscaling_file(gcs_address)
    if file is None:
        return ()
    try:
        config = yaml.safe_load(file.read_text())
        kinds = {**config["available_node_types"]}
        kinds.pop(config["head_node_type"], None)
        most = int(config.get("max_workers", 0))
        return tuple(_node_type(kind, most) for kind in kinds.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        logger.warning("%s does not tell what the cluster may start: %s", file, error)
        return ()


def is_unknown() -> bool:
    """Whether machines may come of which nothing is known here."""
    return "--no-monitor" in os.environ.get(_KUBERAY_COMMAND, "")


def _node_type(kind: dict[str, Any], most: int) -> NodeType:
    return NodeType(
        resources={name: float(amount) for name, amount in kind.get("resources", {}).items()},
        accelerator=kind.get("labels", {}).get("ray.io/accelerator-type"),
        count=min(int(kind.get("max_workers", most)), most),
    )


def _autoscaling_file(gcs_address: str) -> Path | None:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(word.endswith(_MONITOR) for word in words[:4]) and _GCS + gcs_address in words:
            files = [word.removeprefix(_FILE) for word in words if word.startswith(_FILE)]
            return Path(files[0]).expanduser() if files else None
    return None
