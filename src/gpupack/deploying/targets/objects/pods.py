"""A pod per GPU: its configurations, and the Deployment of equal GPUs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gpupack.deploying.status import PART_OF
from gpupack.deploying.targets.layout import Layout, start_script
from gpupack.deploying.targets.needs import mig_profile
from gpupack.deploying.targets.objects.nodes import node_selector
from gpupack.deploying.targets.objects.object_names import (
    container_ports,
    pod_ports,
    port_name,
    selector,
)
from gpupack.errors import InvalidInputError
from gpupack.spelling import setting
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu, PlannedServer
    from gpupack.deploying.targets.objects.object_names import Names, Object

_MOST_BYTES = 1024 * 1024 - 16 * 1024
"""A ConfigMap's data; a mebibyte is the whole object's limit."""
SCRIPT = "start.sh"
FOLDER = "/gpupack"
"""Where a pod sees its script and its models' configurations."""
MODELS = "/models"
"""Where it sees the user's repository."""
REPOSITORY = "/repository"
"""Where its script makes an overlay of it."""


def config_map(
    plan: DeploymentPlan,
    gpu: PlannedGpu,
    names: Names,
    options: DeployOptions,
) -> Object:
    """Return a GPU's script and its models' configurations."""
    layout = layout_of(gpu, names, options)
    ports = [pod_ports(server.number) for server in gpu.servers]
    return configurations(
        gpu, names, {SCRIPT: start_script(gpu, layout, ports)}, options
    )


def layout_of(gpu: PlannedGpu, names: Names, options: DeployOptions) -> Layout:
    """Return where a pod's servers find what they serve."""
    if options.in_repository:
        return Layout(repository=MODELS)
    return Layout(
        repository=REPOSITORY,
        models=MODELS,
        configurations={
            name: f"{FOLDER}/{names.configuration(name)}" for name in gpu.models
        },
    )


def configurations(
    gpu: PlannedGpu, names: Names, scripts: dict[str, str], options: DeployOptions
) -> Object:
    """Return the ConfigMap with these scripts.

    Raises:
        InvalidInputError: If it would be larger than the API takes.
    """
    data = dict(scripts)
    if not options.in_repository:
        data |= {names.configuration(one.name): one.text for one in gpu.models.values()}
    size = sum(len(text.encode()) for text in data.values())
    if size > _MOST_BYTES:
        raise InvalidInputError(
            f"the configurations of {gpu.name} hold {size:,} bytes, and a ConfigMap "
            f"takes {_MOST_BYTES:,}: write them into the model repository "
            f"({setting('in_repository', True)})"
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": names.gpu(gpu), "labels": names.labels},
        "data": data,
    }


def deployment(
    plan: DeploymentPlan,
    gpus: Sequence[PlannedGpu],
    names: Names,
    options: DeployOptions,
    config: Object,
) -> Object:
    """Return the Deployment of GPUs that run the same, a pod each."""
    gpu = gpus[0]
    container = {
        "name": "triton",
        "image": options.image,
        "command": ["bash", f"{FOLDER}/{SCRIPT}"],
        "ports": [port for server in gpu.servers for port in container_ports(server)],
        "resources": _resources(plan, gpu, options),
        "volumeMounts": volume_mounts(options),
        **probes(gpu.servers),
    }
    pod: Object = {
        "containers": [container],
        "volumes": volumes(gpu, names, options),
        "terminationGracePeriodSeconds": 60,
        "automountServiceAccountToken": False,
    }
    labels = pod_labels(gpu, names)
    if plan.is_host:
        pod["affinity"] = _apart(names)
        labels["gpupack/host"] = "true"
    else:
        pod["nodeSelector"] = node_selector(gpu.gpu_type, names, options)
        pod["tolerations"] = [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        ]
    annotations = {"gpupack/configuration": digest(config)}
    if options.hami and gpu.uuid is not None:
        annotations["nvidia.com/use-gpuuuid"] = gpu.uuid
    return deployment_of(
        gpu, names, pod, labels=labels, annotations=annotations, replicas=len(gpus)
    )


def deployment_of(
    gpu: PlannedGpu,
    names: Names,
    pod: Object,
    *,
    labels: dict[str, str],
    annotations: dict[str, str],
    replicas: int,
) -> Object:
    """Return a Deployment of pods that hold a GPU each."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": names.gpu(gpu), "labels": names.labels},
        "spec": {
            "replicas": replicas,
            # A rolling update would need a spare GPU.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector(gpu, names)},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": pod,
            },
        },
    }


def pod_labels(gpu: PlannedGpu, names: Names) -> dict[str, str]:
    """Return the labels of a GPU's pods: whose, and which models they hold."""
    held = {
        names.model_label(one.name): "true"
        for one in gpu.models.values()
        if not one.is_helper
    }
    return names.labels | selector(gpu, names) | held


def probes(servers: Sequence[PlannedServer]) -> Object:
    """Return probes that ask every server of a container."""

    def ask(what: str) -> Object:
        if len(servers) == 1:
            port = port_name("http", servers[0])
            return {"httpGet": {"path": f"/v2/health/{what}", "port": port}}
        ports = " ".join(str(pod_ports(server.number)[0]) for server in servers)
        line = (
            f"for port in {ports}; do curl --fail --silent --output /dev/null "
            f"http://127.0.0.1:$port/v2/health/{what} || exit 1; done"
        )
        return {"exec": {"command": ["bash", "-c", line]}}

    return {
        "startupProbe": {**ask("ready"), "periodSeconds": 10, "failureThreshold": 90},
        "readinessProbe": {**ask("ready"), "periodSeconds": 5, "timeoutSeconds": 5},
        "livenessProbe": {
            **ask("live"),
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
    }


def volume_mounts(options: DeployOptions) -> list[Object]:
    """Return where a container sees its script, the models and shared memory."""
    mounts: list[Object] = [
        {"name": "gpupack", "mountPath": FOLDER, "readOnly": True},
        {"name": "models", "mountPath": MODELS, "readOnly": True},
        {"name": "shared-memory", "mountPath": "/dev/shm"},
    ]
    if not options.in_repository:
        mounts.append({"name": "repository", "mountPath": REPOSITORY})
    return mounts


def volumes(gpu: PlannedGpu, names: Names, options: DeployOptions) -> list[Object]:
    """Return the volumes of a GPU's pod."""
    found: list[Object] = [
        {"name": "gpupack", "configMap": {"name": names.gpu(gpu)}},
        {
            "name": "models",
            "persistentVolumeClaim": {
                "claimName": options.model_claim,
                "readOnly": True,
            },
        },
        {
            "name": "shared-memory",
            "emptyDir": {
                "medium": "Memory",
                "sizeLimit": f"{options.shared_memory_mib * len(gpu.servers)}Mi",
            },
        },
    ]
    if not options.in_repository:
        found.append({"name": "repository", "emptyDir": {}})
    return found


def digest(config: Object) -> str:
    """Return what changes when a pod must be made anew for its configuration."""
    text = repr(sorted(config["data"].items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _resources(plan: DeploymentPlan, gpu: PlannedGpu, options: DeployOptions) -> Object:
    mib = -int(-mib_from_bytes(gpu.memory_bytes) // 1)
    requests = gpu.host_needs.quantities
    if plan.is_host:
        # There the models' own memory is the host's.
        return {"requests": requests | {"memory": f"{mib}Mi"}}
    found: Object = {"requests": requests} if requests else {}
    profile = mig_profile(gpu.gpu_type)
    if profile is not None:
        return {"limits": {f"nvidia.com/mig-{profile}": "1"}} | found
    limits = {"nvidia.com/gpu": "1"}
    if options.hami:
        # The pod has the whole GPU's time, and no more memory than was planned.
        limits |= {"nvidia.com/gpumem": str(mib), "nvidia.com/gpucores": "100"}
    return {"limits": limits} | found


def _apart(names: Names) -> Object:
    """Return that pods which stand for a host each are on hosts of their own."""
    labels = {PART_OF: names.whole, "gpupack/host": "true"}
    term = {
        "labelSelector": {"matchLabels": labels},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    }
