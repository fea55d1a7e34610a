"""Dynamic resource allocation: a named claim per GPU, which its containers share."""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from gpupack.catalogue import MEMORY_MIB_BY_NAME
from gpupack.deploying.plan import MARK
from gpupack.deploying.routing import cluster_weights
from gpupack.deploying.targets.kubernetes import (
    BASE,
    KUSTOMIZE,
    cluster_checks,
    gateway_lines,
)
from gpupack.deploying.targets.layout import deployed_servers, start_script
from gpupack.deploying.targets.needs import mig_profile
from gpupack.deploying.targets.objects import (
    FOLDER,
    Names,
    configurations,
    container_ports,
    deployment_of,
    digest,
    http_routes,
    layout_of,
    model_services,
    pod_labels,
    pod_ports,
    probes,
    repository_notes,
    volume_mounts,
    volumes,
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
    from collections.abc import Mapping

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu, PlannedServer
    from gpupack.deploying.targets.objects import Object
    from gpupack.deploying.targets.target import Expression

DRIVER = "gpu.nvidia.com"
REQUEST = "gpu"
_MEMORY_TOLERANCE = 0.03
"""Drivers report up to 2 % more or less for one card; other cards differ by more."""
_NOMINAL = re.compile(r"[1-9][0-9]*GB")

_TABLE = MappingProxyType(
    {
        Ability.CHOSEN_GPU: exact("a selector on the device's uuid"),
        Ability.GPU_TYPE: exact("a selector on productName, and memory where needed"),
        Ability.SEVERAL_SERVERS: exact("containers of one pod that name one claim"),
        Ability.MPS: changed(
            "the claim asks NVIDIA's driver for MPS, which must have its feature gate "
            "MPSSupport on"
        ),
        Ability.UNEQUAL_SHARES: changed(
            "a claim has one percentage for all of its users, so each container sets "
            "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE itself"
        ),
        Ability.MEMORY_LIMITS: changed(
            "a claim has one limit for all of its users, so each container sets "
            "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT itself"
        ),
        Ability.MIG_DEVICE: changed(
            "claims ask for the profile; the devices are not made: see that nodes have "
            "them, or that the driver's feature gate DynamicMIG is on"
        ),
        Ability.HOST: refused(
            "claims are for devices, and the placement is on hosts without a GPU; "
            "deploy --to kubernetes"
        ),
        Ability.UNEQUAL_TRAFFIC: exact(
            "weights in gateway/ for the Gateway API; a model's plain Service splits "
            "evenly over its pods"
        ),
        Ability.CONFIGURATIONS: exact("a ConfigMap for each GPU"),
    }
)


class DraTarget:
    """Manifests with a ``ResourceClaim`` per GPU, for NVIDIA's DRA driver."""

    name = "dra"
    purpose = "manifests with a ResourceClaim per GPU, for NVIDIA's DRA driver"
    is_on_one_host = False

    def expressions(self, options: DeployOptions) -> Mapping[Ability, Expression]:
        """Return what claims and NVIDIA's driver can express."""
        return _TABLE

    def write(self, plan: DeploymentPlan, options: DeployOptions) -> TargetFiles:
        """Return a base to apply, and routes to add."""
        # Each GPU has a claim of its own, so that none is folded with others.
        plan = replace(plan, is_folded=False)
        names = Names(plan, options)
        made = TargetFiles(servers=deployed_servers(plan, on_host=False))
        resources = []
        for gpu in plan.gpus:
            file = f"{gpu.name}.yaml"
            resources.append(file)
            made.files.add(
                f"{BASE}/{file}",
                f"{MARK}.\n{yaml_documents(_objects(gpu, names, options))}",
            )
        services = yaml_documents(model_services(plan, names))
        made.files.add(f"{BASE}/services.yaml", f"{MARK}.\n{services}")
        resources.append("services.yaml")
        made.manifests = tuple(f"{BASE}/{file}" for file in resources)
        made.files.add(
            f"{BASE}/kustomization.yaml",
            f"{MARK}.\n{yaml_text({**KUSTOMIZE, 'resources': resources})}",
        )
        routes, notes = http_routes(plan, names, options)
        if routes:
            made.files.add(
                "gateway/http-routes.yaml", f"{MARK}.\n{yaml_documents(routes)}"
            )
            content = {**KUSTOMIZE, "resources": [f"../{BASE}", "http-routes.yaml"]}
            made.files.add(
                "gateway/kustomization.yaml", f"{MARK}.\n{yaml_text(content)}"
            )
        made.files.add("router/weights.json", cluster_weights(plan))
        made.notes = (
            "NVIDIA's DRA driver must manage GPUs (gpuResourcesEnabledOverride=true in "
            "its chart), on nodes without the device plugin",
            *repository_notes(options),
            *notes,
        )
        made.apply = (
            f"kubectl apply --kustomize {BASE}",
            *gateway_lines(has_routes=bool(routes)),
        )
        made.check = cluster_checks(made.manifests, ",resourceclaims")
        return made


def _objects(gpu: PlannedGpu, names: Names, options: DeployOptions) -> list[Object]:
    scripts = {
        f"{server.name}.sh": _script(gpu, server, names, options)
        for server in gpu.servers
    }
    config = configurations(gpu, names, scripts, options)
    pod: Object = {
        "resourceClaims": [{"name": REQUEST, "resourceClaimName": names.gpu(gpu)}],
        "containers": [_container(server, options) for server in gpu.servers],
        "volumes": volumes(gpu, names, options),
        "terminationGracePeriodSeconds": 60,
        "automountServiceAccountToken": False,
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        ],
    }
    return [
        config,
        _claim(gpu, names, options),
        deployment_of(
            gpu,
            names,
            pod,
            labels=pod_labels(gpu, names),
            annotations={"gpupack/configuration": digest(config)},
            replicas=1,
        ),
    ]


def _claim(gpu: PlannedGpu, names: Names, options: DeployOptions) -> Object:
    is_mig = mig_profile(gpu.gpu_type) is not None
    exactly = {
        "deviceClassName": "mig.nvidia.com" if is_mig else DRIVER,
        "allocationMode": "ExactCount",
        "count": 1,
        "selectors": [
            {"cel": {"expression": expression}}
            for expression in selectors(gpu, options)
        ],
    }
    devices: Object = {"requests": [{"name": REQUEST, "exactly": exactly}]}
    if gpu.uses_mps:
        parameters = {
            "apiVersion": "resource.nvidia.com/v1beta1",
            "kind": "MigDeviceConfig" if is_mig else "GpuConfig",
            "sharing": {"strategy": "MPS"},
        }
        devices["config"] = [
            {
                "requests": [REQUEST],
                "opaque": {"driver": DRIVER, "parameters": parameters},
            }
        ]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": names.gpu(gpu), "labels": names.labels},
        "spec": {"devices": devices},
    }


def selectors(gpu: PlannedGpu, options: DeployOptions) -> list[str]:
    """Return the CEL expressions that a device must satisfy, all of them."""
    device = f"device.attributes['{DRIVER}']"
    if gpu.uuid is not None:
        return [f"{device}.uuid == '{gpu.uuid}'"]
    name = gpu.gpu_type.name.partition(" MIG ")[0].strip()
    profile = mig_profile(gpu.gpu_type)
    product = options.gpu_products.get(gpu.gpu_type.name)
    found = []
    if product is not None:
        # The label has dashes where the product's name has blanks, or dashes.
        words = "[ -]".join(re.escape(word) for word in product.split("-"))
        found.append(f"{device}.productName.matches({_cel_text(f'^{words}$')})")
    elif name in MEMORY_MIB_BY_NAME:
        card = name.partition("-")[0]
        pattern = f"(?i)(^|[ -]){re.escape(card)}([ -]|$)"
        found.append(f"{device}.productName.matches({_cel_text(pattern)})")
    elif not _NOMINAL.fullmatch(name):
        found.append(f"{device}.productName == {_cel_text(name)}")
    if profile is not None:
        found.append(f"{device}.profile == {_cel_text(profile)}")
    elif gpu.gpu_type.memory_bytes is not None and product is None:
        found += _memory_selectors(gpu, name)
    return found


def _memory_selectors(gpu: PlannedGpu, name: str) -> list[str]:
    """Return what tells cards of one name apart, which differ in their memory."""
    there = gpu.gpu_type.known_memory_bytes()
    memory = f"device.capacity['{DRIVER}'].memory"
    least = int(there * (1 - _MEMORY_TOLERANCE))
    found = [f"{memory}.compareTo(quantity('{least}')) >= 0"]
    if name in MEMORY_MIB_BY_NAME:
        most = int(there * (1 + _MEMORY_TOLERANCE))
        found.append(f"{memory}.compareTo(quantity('{most}')) <= 0")
    return found


def _cel_text(text: str) -> str:
    r"""Return a text as CEL writes it, every unusual character as ``\u``.

    CEL reads escapes as JSON does, and a few more.
    """
    shown = []
    for char in text:
        if char.isascii() and char.isprintable() and char not in "'\\":
            shown.append(char)
        elif ord(char) <= 0xFFFF:
            shown.append(f"\\u{ord(char):04x}")
        else:
            shown.append(f"\\U{ord(char):08x}")
    return "'" + "".join(shown) + "'"


def _script(
    gpu: PlannedGpu, server: PlannedServer, names: Names, options: DeployOptions
) -> str:
    """Return the program of one container: its server; the driver runs MPS."""
    alone = replace(gpu, servers=(server,), uses_mps=False)
    layout = replace(
        layout_of(alone, names, options), variables=dict(server.environment)
    )
    return start_script(alone, layout, [pod_ports(server.number)])


def _container(server: PlannedServer, options: DeployOptions) -> Object:
    own = {"repository", "shared-memory"}
    resources: Object = {"claims": [{"name": REQUEST, "request": REQUEST}]}
    if server.host_needs.quantities:
        resources["requests"] = server.host_needs.quantities
    return {
        "name": server.name,
        "image": options.image,
        "command": ["bash", f"{FOLDER}/{server.name}.sh"],
        "ports": container_ports(server),
        "resources": resources,
        "volumeMounts": [
            mount | ({"subPath": server.name} if mount["name"] in own else {})
            for mount in volume_mounts(options)
        ],
        **probes([server]),
    }
