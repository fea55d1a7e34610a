"""Kubernetes with NVIDIA's device plugin: a pod per GPU, equal GPUs as replicas."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gpupack.deploying.plan import MARK
from gpupack.deploying.routing import cluster_weights
from gpupack.deploying.targets.layout import deployed_servers
from gpupack.deploying.targets.needs import mig_profile
from gpupack.deploying.targets.objects import (
    Names,
    config_map,
    deployment,
    gpu_type_notes,
    http_routes,
    model_services,
    repository_notes,
)
from gpupack.deploying.targets.target import (
    Ability,
    TargetFiles,
    changed,
    exact,
    refused,
)
from gpupack.deploying.yaml_text import yaml_documents, yaml_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan
    from gpupack.deploying.targets.objects import Object
    from gpupack.deploying.targets.target import Expression

BASE = "base"
GATEWAY = "gateway"
PLUGIN = "device-plugin/config-map.yaml"
PLUGIN_CONFIG = "gpupack"
"""Name of the device plugin's configuration, and value of the nodes' label."""
KUSTOMIZE = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}

TABLE = MappingProxyType(
    {
        Ability.CHOSEN_GPU: refused(
            "the device plugin hands out any GPU of a node. GPUs of one type stand in "
            "for each other, so leave --gpu-uuid out; or deploy --to dra, or give "
            "--hami"
        ),
        Ability.GPU_TYPE: exact("a node selector on nvidia.com/gpu.product"),
        Ability.SEVERAL_SERVERS: changed(
            "the device plugin cannot say which pods share a GPU, so one container "
            "owns it and runs all of its servers"
        ),
        Ability.MPS: changed(
            "the device plugin's MPS is for all GPUs of a node alike, so the container "
            "that owns the GPU runs an MPS daemon of its own beside its servers; check "
            "what that gives with gpupack verify"
        ),
        Ability.UNEQUAL_SHARES: changed(
            "the device plugin gives each of n replicas 100/n percent, so the shares "
            "are set for each server by CUDA_MPS_ACTIVE_THREAD_PERCENTAGE in the "
            "container that owns the GPU"
        ),
        Ability.MEMORY_LIMITS: exact(
            "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT for each server of the container"
        ),
        Ability.MIG_DEVICE: changed(
            "pods ask for the profile by nvidia.com/mig-…, and get any such device; "
            "the devices are not made: see that nodes have them"
        ),
        Ability.HOST: exact("pods without a GPU, on nodes of their own"),
        Ability.UNEQUAL_TRAFFIC: exact(
            "weights in gateway/ for the Gateway API; a model's plain Service splits "
            "evenly over its pods"
        ),
        Ability.CONFIGURATIONS: exact("a ConfigMap for each group of equal GPUs"),
    }
)
_HAMI = MappingProxyType(
    dict(TABLE)
    | {Ability.CHOSEN_GPU: exact("HAMi's annotation nvidia.com/use-gpuuuid")}
)


class KubernetesTarget:
    """Manifests with a kustomization, for any cluster with the device plugin."""

    name = "kubernetes"
    purpose = "manifests with a kustomization, for NVIDIA's device plugin"
    is_on_one_host = False

    def expressions(self, options: DeployOptions) -> Mapping[Ability, Expression]:
        """Return what the device plugin, or HAMi, can express."""
        return _HAMI if options.hami else TABLE

    def write(self, plan: DeploymentPlan, options: DeployOptions) -> TargetFiles:
        """Return a base to apply, routes to add, and the plugin's configuration."""
        names = Names(plan, options)
        made = TargetFiles(servers=deployed_servers(plan, on_host=False))
        resources = []
        for file, objects in _objects(plan, names, options).items():
            resources.append(file)
            _add(made, f"{BASE}/{file}", objects)
        made.manifests = tuple(f"{BASE}/{file}" for file in resources)
        kustomization: dict[str, Any] = {**KUSTOMIZE, "resources": resources}
        made.files.add(f"{BASE}/kustomization.yaml", _marked(yaml_text(kustomization)))
        routes, notes = http_routes(plan, names, options)
        if routes:
            _add(made, f"{GATEWAY}/http-routes.yaml", routes)
            made.files.add(
                f"{GATEWAY}/kustomization.yaml",
                _marked(
                    yaml_text(
                        {**KUSTOMIZE, "resources": [f"../{BASE}", "http-routes.yaml"]}
                    )
                ),
            )
        if not plan.is_host:
            _add(made, PLUGIN, [plugin_config_map(plan, names)])
        made.files.add("router/weights.json", cluster_weights(plan))
        made.notes = (
            *gpu_type_notes(plan, names, options),
            *repository_notes(options),
            *notes,
        )
        made.apply = (
            f"kubectl apply --kustomize {BASE}",
            *gateway_lines(has_routes=bool(routes)),
            *([] if plan.is_host else plugin_lines()),
        )
        made.check = cluster_checks(made.manifests)
        return made


def gateway_lines(*, has_routes: bool) -> tuple[str, ...]:
    """Return how the weights are applied, where there is a Gateway for them."""
    if not has_routes:
        return ()
    return (
        "# instead, where a Gateway shall split traffic as planned:",
        f"# kubectl apply --kustomize {GATEWAY}",
    )


def plugin_lines() -> tuple[str, ...]:
    """Return how nodes take the device plugin's configuration."""
    return (
        "# where the device plugin shares GPUs, nodes of this plan must not:",
        f"# kubectl apply --namespace NVIDIA_NAMESPACE --filename {PLUGIN}",
        f"# kubectl label node NODE nvidia.com/device-plugin.config={PLUGIN_CONFIG}",
    )


def cluster_checks(manifests: Sequence[str], kinds: str = "") -> tuple[str, ...]:
    """Return command lines that compare a cluster with what was written."""
    kinds = f"deployments,services,configmaps,pods{kinds}"
    return (
        f"kubectl get {kinds} --output json > cluster.json",
        "gpupack status . --cluster cluster.json",
    )


def plugin_config_map(plan: DeploymentPlan, names: Names) -> Object:
    """Return a configuration of the device plugin that shares no GPU.

    Nodes choose it by the label ``nvidia.com/device-plugin.config``.
    """
    has_mig = any(mig_profile(gpu.gpu_type) for gpu in plan.gpus)
    content = {
        "version": "v1",
        "flags": {
            "migStrategy": "mixed" if has_mig else "none",
            "failOnInitError": True,
            "plugin": {"deviceIDStrategy": "uuid"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{names.whole}-device-plugin", "labels": names.labels},
        "data": {PLUGIN_CONFIG: yaml_text(content)},
    }


def _objects(
    plan: DeploymentPlan, names: Names, options: DeployOptions
) -> dict[str, list[Object]]:
    """Return the objects of the base by file."""
    found = {}
    for gpus in plan.groups:
        config = config_map(plan, gpus[0], names, options)
        found[f"{gpus[0].name}.yaml"] = [
            config,
            deployment(plan, gpus, names, options, config),
        ]
    found["services.yaml"] = model_services(plan, names)
    return found


def _add(made: TargetFiles, path: str, objects: Sequence[Object]) -> None:
    made.files.add(path, _marked(yaml_documents(objects)))


def _marked(text: str) -> str:
    return f"{MARK}.\n{text}"
