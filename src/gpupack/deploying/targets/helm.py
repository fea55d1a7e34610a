"""Helm: the manifests of Kubernetes as a chart whose values carry the plan."""

from __future__ import annotations

from importlib.resources import files as resource_files
from typing import TYPE_CHECKING, Any

from gpupack.deploying.plan import MARK
from gpupack.deploying.routing import cluster_weights
from gpupack.deploying.targets.kubernetes import (
    KubernetesTarget,
    cluster_checks,
)
from gpupack.deploying.targets.layout import deployed_servers
from gpupack.deploying.targets.objects import (
    Names,
    config_map,
    deployment,
    gpu_type_notes,
    http_routes,
    model_services,
    repository_notes,
)
from gpupack.deploying.targets.target import TargetFiles
from gpupack.deploying.yaml_text import yaml_documents, yaml_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu
    from gpupack.deploying.targets.objects import Object
    from gpupack.deploying.targets.target import Ability, Expression

CHART = "chart"
OBJECTS = "objects.yaml"
"""What the chart makes with its own values, for ``gpupack status``."""
_TEMPLATES = (
    "config-maps.yaml",
    "deployments.yaml",
    "http-routes.yaml",
    "services.yaml",
)


class HelmTarget:
    """A chart; what it makes is what ``kubernetes`` writes."""

    name = "helm"
    purpose = "a Helm chart whose values carry the plan, for NVIDIA's device plugin"
    is_on_one_host = False

    def expressions(self, options: DeployOptions) -> Mapping[Ability, Expression]:
        """Return what the manifests of Kubernetes can express."""
        return KubernetesTarget().expressions(options)

    def write(self, plan: DeploymentPlan, options: DeployOptions) -> TargetFiles:
        """Return the chart, and the objects that it makes."""
        names = Names(plan, options)
        made = TargetFiles(servers=deployed_servers(plan, on_host=False))
        configs = [config_map(plan, gpus[0], names, options) for gpus in plan.groups]
        deployments = [
            deployment(plan, gpus, names, options, config)
            for gpus, config in zip(plan.groups, configs, strict=True)
        ]
        services = model_services(plan, names)
        routes, notes = http_routes(plan, names, options)
        chart = {
            "apiVersion": "v2",
            "name": options.name,
            "version": "1.0.0",
            "type": "application",
            "description": "Triton servers as gpupack placed their models.",
        }
        made.files.add(f"{CHART}/Chart.yaml", f"{MARK}.\n{yaml_text(chart)}")
        values = _values(plan, configs, deployments, services, options, names)
        values["gateway"] = {
            "enabled": False,
            "name": options.gateway,
            "routes": [
                {"name": one["metadata"]["name"], "rules": one["spec"]["rules"]}
                for one in routes
            ],
        }
        made.files.add(
            f"{CHART}/values.yaml",
            f"{MARK}: the plan. Set gateway.enabled where there is a Gateway.\n"
            + yaml_text(values),
        )
        source = resource_files("gpupack.deploying.targets") / "chart_templates"
        for template in _TEMPLATES:
            text = (source / template).read_text(encoding="utf-8")
            made.files.add(f"{CHART}/templates/{template}", f"{MARK}.\n{text}")
        objects = [
            one for pair in zip(configs, deployments, strict=True) for one in pair
        ]
        made.files.add(OBJECTS, f"{MARK}.\n{yaml_documents([*objects, *services])}")
        made.files.add("router/weights.json", cluster_weights(plan))
        made.manifests = (OBJECTS,)
        made.notes = (
            *gpu_type_notes(plan, names, options),
            *repository_notes(options),
            *notes,
        )
        made.apply = (f"helm upgrade --install {options.name} {CHART}",)
        made.check = cluster_checks(made.manifests)
        return made


def _values(
    plan: DeploymentPlan,
    configs: Sequence[Object],
    deployments: Sequence[Object],
    services: Sequence[Object],
    options: DeployOptions,
    names: Names,
) -> dict[str, Any]:
    container = deployments[0]["spec"]["template"]["spec"]["containers"][0]
    return {
        "image": options.image,
        "labels": names.labels,
        "hasOverlay": not options.in_repository,
        "modelVolume": {
            "persistentVolumeClaim": {
                "claimName": options.model_claim,
                "readOnly": True,
            }
        },
        "volumeMounts": container["volumeMounts"],
        "gpus": [
            _gpu_values(gpus[0], config, one, options)
            for gpus, config, one in zip(plan.groups, configs, deployments, strict=True)
        ],
        "services": [
            {
                "name": one["metadata"]["name"],
                "selector": one["spec"]["selector"],
                "ports": one["spec"]["ports"],
            }
            for one in services
        ],
    }


def _gpu_values(
    gpu: PlannedGpu, config: Object, made: Object, options: DeployOptions
) -> dict[str, Any]:
    template = made["spec"]["template"]
    pod = template["spec"]
    (container,) = pod["containers"]
    values = {
        "name": made["metadata"]["name"],
        "type": gpu.gpu_type.name,
        "models": sorted(gpu.models),
        "replicas": made["spec"]["replicas"],
        "selector": made["spec"]["selector"]["matchLabels"],
        "labels": template["metadata"]["labels"],
        "annotations": template["metadata"]["annotations"],
        "configuration": config["data"],
        "sharedMemory": f"{options.shared_memory_mib * len(gpu.servers)}Mi",
    }
    for name in ("nodeSelector", "tolerations", "affinity"):
        values[name] = pod.get(name)
    for name in (
        "command",
        "ports",
        "resources",
        "startupProbe",
        "readinessProbe",
        "livenessProbe",
    ):
        values[name] = container[name]
    return {name: value for name, value in values.items() if value is not None}
