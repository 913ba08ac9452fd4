"""The fields of KubeRay's custom resources, level by level, as far as `jobs/` may use them.

From KubeRay's API reference for v1.5.1, the first release with `authOptions`; later releases of v1 add fields and keep
these. A pod template is Kubernetes' own, and `kubernetes-validate` checks it.
"""

from typing import Any

KUBERAY = "1.5.1"

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
OPEN: Schema = {"type": "object"}
OPEN_LIST: Schema = {"type": "array"}


def closed(*required: str, **fields: Schema) -> Schema:
    """An object with these fields and no others."""
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


AUTH_OPTIONS = closed(mode=one_of("disabled", "token"))

AUTOSCALER_OPTIONS = closed(
    resources=OPEN,
    image=TEXT,
    imagePullPolicy=TEXT,
    securityContext=OPEN,
    idleTimeoutSeconds=COUNT,
    upscalingMode=one_of("Default", "Aggressive", "Conservative"),
    version=one_of("v1", "v2"),
    env=OPEN_LIST,
    envFrom=OPEN_LIST,
    volumeMounts=OPEN_LIST,
)

HEAD_GROUP = closed(
    "template",
    "rayStartParams",
    template=OPEN,
    headService=OPEN,
    enableIngress=FLAG,
    resources=TEXTS,
    labels=TEXTS,
    rayStartParams=TEXTS,
    serviceType=one_of("ClusterIP", "NodePort", "LoadBalancer"),
)

WORKER_GROUP = closed(
    "groupName",
    "minReplicas",
    "maxReplicas",
    "rayStartParams",
    "template",
    suspend=FLAG,
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    idleTimeoutSeconds=COUNT,
    resources=TEXTS,
    labels=TEXTS,
    rayStartParams=TEXTS,
    template=OPEN,
    scaleStrategy=closed(workersToDelete=OPEN_LIST),
    numOfHosts=COUNT,
)

CLUSTER_SPEC = closed(
    "headGroupSpec",
    upgradeStrategy=OPEN,
    authOptions=AUTH_OPTIONS,
    suspend=FLAG,
    managedBy=TEXT,
    autoscalerOptions=AUTOSCALER_OPTIONS,
    headServiceAnnotations=TEXTS,
    enableInTreeAutoscaling=FLAG,
    gcsFaultToleranceOptions=OPEN,
    headGroupSpec=HEAD_GROUP,
    rayVersion=TEXT,
    workerGroupSpecs={"type": "array", "items": WORKER_GROUP},
)

JOB_SPEC = closed(
    activeDeadlineSeconds=COUNT,
    backoffLimit=COUNT,
    rayClusterSpec=CLUSTER_SPEC,
    submitterPodTemplate=OPEN,
    metadata=TEXTS,
    clusterSelector=TEXTS,
    submitterConfig=closed(backoffLimit=COUNT),
    managedBy=TEXT,
    deletionStrategy=OPEN,
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    jobId=TEXT,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    entrypointResources=TEXT,
    entrypointNumCpus=NUMBER,
    entrypointNumGpus=NUMBER,
    ttlSecondsAfterFinished=COUNT,
    shutdownAfterJobFinishes=FLAG,
    suspend=FLAG,
)


def resource(kind: str, spec: Schema) -> Schema:
    return closed(
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        apiVersion=one_of("ray.io/v1"),
        kind=one_of(kind),
        metadata=closed("name", name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS),
        spec=spec,
    )


RESOURCES = {"RayCluster": resource("RayCluster", CLUSTER_SPEC), "RayJob": resource("RayJob", JOB_SPEC)}
