"""The KubeRay manifests hold fields that KubeRay and Kubernetes know, and what a labelling cluster needs."""

import copy
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from command_lines import parse_vsrd_ray
from kuberay_schema import RESOURCES
from ray_head import JOBS

KUBERNETES = "1.31.0"
MANIFESTS = ("kuberay-cluster.yaml", "kuberay-job.yaml")
GPU = "nvidia.com/gpu"


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((JOBS / name).read_text())


def cluster_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["spec"] if manifest["kind"] == "RayCluster" else manifest["spec"]["rayClusterSpec"]


def groups(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    spec = cluster_spec(manifest)
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def pod_specs(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (group["template"]["spec"] for group in groups(manifest))


def validate(manifest: dict[str, Any]) -> None:
    """Raises an error of jsonschema or kubernetes-validate for what is unknown, missing or of a wrong type."""
    jsonschema.validate(manifest, RESOURCES[manifest["kind"]])
    for group in groups(manifest):
        pod = {"apiVersion": "v1", "kind": "Pod", **group["template"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_is_valid(name: str):
    validate(load(name))


SPOIL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "unknown field of the resource": lambda spec: spec.update(autoscaling=True),
    "unknown field of a group": lambda spec: spec["workerGroupSpecs"][0].update(spot=True),
    "group without its name": lambda spec: spec["workerGroupSpecs"][0].pop("groupName"),
    "number in place of text": lambda spec: spec["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
    "unknown kind of authentication": lambda spec: spec["authOptions"].update(mode="password"),
    "unknown field of a pod": lambda spec: spec["headGroupSpec"]["template"]["spec"].update(nodeSelectors={}),
    "unknown field of a container": lambda spec: spec["workerGroupSpecs"][1]["template"]["spec"]["containers"][
        0
    ].update(gpus=1),
    "toleration of a wrong type": lambda spec: spec["workerGroupSpecs"][0]["template"]["spec"].update(
        tolerations={"key": "x"}
    ),
}


@pytest.mark.parametrize("what", SPOIL)
@pytest.mark.parametrize("name", MANIFESTS)
def test_spoilt_manifest_is_refused(name: str, what: str):
    manifest = copy.deepcopy(load(name))
    SPOIL[what](cluster_spec(manifest))
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        validate(manifest)


@pytest.mark.parametrize("name", MANIFESTS)
def test_cluster_is_closed_and_scales_from_nothing(name: str):
    spec = cluster_spec(load(name))
    assert spec["authOptions"] == {"mode": "token"} and spec["rayVersion"] == "2.60.0"
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["enableInTreeAutoscaling"]
    assert all(group["minReplicas"] == 0 < group["maxReplicas"] for group in spec["workerGroupSpecs"])


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_are_unprivileged_and_their_gpus_are_limits(name: str):
    manifest = load(name)
    for pod in pod_specs(manifest):
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            resources = container["resources"]
            assert resources["limits"] == resources["requests"]
    with_gpu = {
        group["groupName"]
        for group in cluster_spec(manifest)["workerGroupSpecs"]
        if GPU in group["template"]["spec"]["containers"][0]["resources"]["limits"]
    }
    assert with_gpu == {"gpu-spot", "gpu-on-demand"}


@pytest.mark.parametrize("name", MANIFESTS)
def test_spot_nodes_are_chosen_and_tolerated_in_the_spot_pools_alone(name: str):
    for group in cluster_spec(load(name))["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        spot = group["groupName"] != "gpu-on-demand"
        assert any("spot" in key for key in pod["nodeSelector"]) == spot
        assert any("spot" in toleration["key"] for toleration in pod["tolerations"]) == spot


def test_cluster_of_the_job_is_that_of_the_cluster_manifest():
    assert cluster_spec(load("kuberay-job.yaml")) == cluster_spec(load("kuberay-cluster.yaml"))


def test_job_runs_the_command_and_takes_its_cluster_away():
    spec = load("kuberay-job.yaml")["spec"]
    assert spec["shutdownAfterJobFinishes"]
    program, *arguments = shlex.split(spec["entrypoint"])
    assert program == "vsrd-ray"
    context = parse_vsrd_ray(arguments)
    assert (context.info_name, context.params["sequences"]) == ("label", ("all",))
