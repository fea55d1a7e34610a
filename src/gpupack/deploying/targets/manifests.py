"""Kubernetes objects of a plan: a pod that holds one GPU and all servers on it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from gpupack.deploying.plan import dns_names, short_hash
from gpupack.deploying.routing import shares_of
from gpupack.deploying.status import PART_OF
from gpupack.deploying.targets.compose import MODELS, REPOSITORY
from gpupack.deploying.targets.needs import mig_profile
from gpupack.deploying.targets.start_script import Layout, start_script
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu, PlannedServer
    from gpupack.records.gpu import GpuType

Object: TypeAlias = "dict[str, Any]"

SCRIPT = "start.sh"
FOLDER = "/gpupack"
"""Where a pod sees its script and its models' configurations."""
MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
PRODUCT = "nvidia.com/gpu.product"
OWN_TYPE = "gpupack/gpu-type"
"""Of nodes, where the driver's name of a GPU type is not known: the user sets it."""
FIRST_PORTS = (8000, 8001, 8002)
MOST_BACKENDS = 16
"""Of a rule of an HTTPRoute, by its schema."""
_DRIVER_NAME = re.compile(r"(NVIDIA|Tesla|Quadro|GRID) [A-Za-z0-9 _.-]{1,50}")


class Names:
    """What a plan's objects are called, and the labels that find them.

    Args:
        plan: Whose objects.
        options: With the name that all begin with.
    """

    def __init__(self, plan: DeploymentPlan, options: DeployOptions) -> None:
        self.whole = options.name
        models = {name for gpu in plan.gpus for name in gpu.models}
        self._models = dns_names(models)
        self._types = dns_names({gpu.gpu_type.name for gpu in plan.gpus})

    def gpu(self, gpu: PlannedGpu) -> str:
        """Return the name of a GPU's pods and configurations."""
        return f"{self.whole}-{gpu.name}"

    def model(self, model_name: str) -> str:
        """Return the name of a model's Service."""
        return f"{self.whole}-{self._models[model_name]}"

    def model_on(self, model_name: str, gpu: PlannedGpu) -> str:
        """Return the name of a Service of one model on GPUs like this one."""
        return f"{self.model(model_name)}-{gpu.name}"

    def configuration(self, model_name: str) -> str:
        """Return the key of a model's configuration in a ConfigMap."""
        return f"{self._models[model_name]}.pbtxt"

    def model_label(self, model_name: str) -> str:
        """Return the label of pods that hold a model."""
        return f"gpupack/model.{self._models[model_name]}"

    def gpu_type(self, gpu_type: GpuType) -> str:
        """Return the label's value for nodes with a GPU type."""
        return self._types[gpu_type.name]

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every object."""
        return {MANAGED_BY: "gpupack", PART_OF: self.whole}


def pod_ports(number: int) -> tuple[int, int, int]:
    """Return the ports of a pod's server of that number."""
    http, grpc, metrics = (port + 3 * number for port in FIRST_PORTS)
    return http, grpc, metrics


def port_name(kind: str, server: PlannedServer) -> str:
    """Return a port's name, the same in every pod for a model's server.

    A model that has servers to itself has a name of its own, by which its Service finds
    the port whatever its number.
    """
    if server.apart_model is None:
        return kind
    return f"{kind[0]}-{short_hash(server.apart_model)}"


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
    """Return the ConfigMap with these scripts."""
    data = dict(scripts)
    if not options.in_repository:
        data |= {names.configuration(one.name): one.text for one in gpu.models.values()}
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


def selector(gpu: PlannedGpu, names: Names) -> dict[str, str]:
    """Return the labels of the pods of GPUs like this one, and of no others."""
    return {PART_OF: names.whole, INSTANCE: names.gpu(gpu)}


def pod_labels(gpu: PlannedGpu, names: Names) -> dict[str, str]:
    """Return the labels of a GPU's pods: whose, and which models they hold."""
    held = {
        names.model_label(one.name): "true"
        for one in gpu.models.values()
        if not one.is_helper
    }
    return names.labels | selector(gpu, names) | held


def container_ports(server: PlannedServer) -> list[Object]:
    """Return the ports of a server, by the names that Services know."""
    return [
        {"name": port_name(kind, server), "containerPort": port}
        for kind, port in zip(
            ("http", "grpc", "metrics"), pod_ports(server.number), strict=True
        )
    ]


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


def node_selector(
    gpu_type: GpuType, names: Names, options: DeployOptions
) -> dict[str, str]:
    """Return the labels of nodes that have a GPU type."""
    product = product_of(gpu_type, options)
    if product is not None:
        return {PRODUCT: product}
    return {OWN_TYPE: names.gpu_type(gpu_type)}


def product_of(gpu_type: GpuType, options: DeployOptions) -> str | None:
    """Return how nodes are labelled for a GPU type, None where that is not known.

    The label is the driver's name with dashes; the catalogue's names are others.
    """
    if gpu_type.name in options.gpu_products:
        return options.gpu_products[gpu_type.name]
    whole = gpu_type.name.partition(" MIG ")[0].strip()
    return whole.replace(" ", "-") if _DRIVER_NAME.fullmatch(whole) else None


def gpu_type_notes(
    plan: DeploymentPlan, names: Names, options: DeployOptions
) -> tuple[str, ...]:
    """Say which nodes the user must label, since no label of theirs is known."""
    if plan.is_host:
        return ()
    types = {gpu.gpu_type.name: gpu.gpu_type for gpu in plan.gpus}
    return tuple(
        f"what nodes with a {name} are labelled is not known, so pods wait for nodes "
        f"with {OWN_TYPE}={names.gpu_type(one)}: kubectl label node NODE "
        f"{OWN_TYPE}={names.gpu_type(one)}; or give --gpu-product {name}=LABEL, as "
        f"kubectl get nodes -L {PRODUCT} prints it"
        for name, one in sorted(types.items())
        if product_of(one, options) is None
    )


def model_services(plan: DeploymentPlan, names: Names) -> list[Object]:
    """Return a Service per model, and one per group of GPUs where there are several."""
    services = []
    for model_name in plan.model_names:
        groups = groups_of(plan, model_name)
        own = groups[0][0].server_of(model_name)
        label = {PART_OF: names.whole, names.model_label(model_name): "true"}
        services.append(_service(names.model(model_name), label, own, names))
        if len(groups) > 1:
            services += [
                _service(
                    names.model_on(model_name, gpus[0]),
                    selector(gpus[0], names),
                    own,
                    names,
                )
                for gpus in groups
            ]
    return services


def groups_of(plan: DeploymentPlan, model_name: str) -> list[tuple[PlannedGpu, ...]]:
    """Return the groups of equal GPUs that clients find a model on."""
    return [
        gpus
        for gpus in plan.groups
        if model_name in gpus[0].models and not gpus[0].models[model_name].is_helper
    ]


def http_routes(
    plan: DeploymentPlan, names: Names, options: DeployOptions
) -> tuple[list[Object], tuple[str, ...]]:
    """Return a route per model with the plan's weights, and what has none, in words."""
    routes, notes = [], []
    shares = shares_of(plan)
    for model_name in plan.model_names:
        groups = groups_of(plan, model_name)
        if len(groups) > MOST_BACKENDS:
            notes.append(
                f"{model_name} has {len(groups)} different shares of its traffic, and "
                f"a route of the Gateway API takes {MOST_BACKENDS}: it has no route; "
                "router/weights.json has its weights"
            )
            continue
        weights = {share.gpu.name: share.weight for share in shares[model_name]}
        backends = [
            {
                "name": (
                    names.model_on(model_name, gpus[0])
                    if len(groups) > 1
                    else names.model(model_name)
                ),
                "port": FIRST_PORTS[0],
                "weight": sum(weights[gpu.name] for gpu in gpus),
            }
            for gpus in groups
        ]
        path = f"/v2/models/{quote(model_name, safe='')}"
        match = {"path": {"type": "PathPrefix", "value": path}}
        routes.append(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": names.model(model_name), "labels": names.labels},
                "spec": {
                    "parentRefs": [{"name": options.gateway}],
                    "rules": [{"matches": [match], "backendRefs": backends}],
                },
            }
        )
    return routes, tuple(notes)


def digest(config: Object) -> str:
    """Return what changes when a pod must be made anew for its configuration."""
    text = repr(sorted(config["data"].items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _service(
    name: str, labels: dict[str, str], server: PlannedServer, names: Names
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": names.labels},
        "spec": {
            "selector": labels,
            "ports": [
                {"name": kind, "port": port, "targetPort": port_name(kind, server)}
                for kind, port in zip(
                    ("http", "grpc", "metrics"), FIRST_PORTS, strict=True
                )
            ],
        },
    }


def _resources(plan: DeploymentPlan, gpu: PlannedGpu, options: DeployOptions) -> Object:
    mib = -int(-mib_from_bytes(gpu.memory_bytes) // 1)
    if plan.is_host:
        return {"requests": {"memory": f"{mib}Mi"}}
    profile = mig_profile(gpu.gpu_type)
    if profile is not None:
        return {"limits": {f"nvidia.com/mig-{profile}": "1"}}
    limits = {"nvidia.com/gpu": "1"}
    if options.hami:
        # The pod has the whole GPU's time, and no more memory than was planned.
        limits |= {"nvidia.com/gpumem": str(mib), "nvidia.com/gpucores": "100"}
    return {"limits": limits}


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
