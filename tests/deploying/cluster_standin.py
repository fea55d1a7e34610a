"""A cluster that is none: nodes with labels and counts, and who would run where.

The scheduler knows labels, taints and counts, and nothing of models; which of a node's
GPUs a pod gets is decided by chance, as NVIDIA's device plugin may. Claims are
allocated by their CEL selectors from the devices that nodes publish.
"""

from __future__ import annotations

import itertools
import random
import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import celpy
from celpy import celtypes

Object = dict[str, Any]
DRIVER = "gpu.nvidia.com"


@dataclass
class Gpu:
    """One card of a node."""

    uuid: str
    product: str
    memory_bytes: int
    models: Counter[str] = field(default_factory=Counter)
    """What was loaded onto it, with the instances of each."""
    is_taken: bool = False


@dataclass
class Node:
    """A node, with the labels that feature discovery gives it."""

    name: str
    gpus: list[Gpu]
    labels: dict[str, str] = field(default_factory=dict)
    pods: list[Object] = field(default_factory=list)


def nodes_for(
    products: dict[str, int], *, memory_bytes: int, per_node: int = 2
) -> list[Node]:
    """Nodes with exactly so many GPUs of each product, and one node without any."""
    nodes = [Node("cpu-only", [])]
    for product, number in products.items():
        for first in range(0, number, per_node):
            gpus = [
                Gpu(f"GPU-{product}-{index}".replace(" ", "-"), product, memory_bytes)
                for index in range(first, min(number, first + per_node))
            ]
            labels = {"nvidia.com/gpu.product": product.replace(" ", "-")}
            nodes.append(Node(f"{product}-{first}".replace(" ", "-"), gpus, labels))
    return nodes


class UnschedulableError(AssertionError):
    """A pod that finds no place."""


def run(objects: list[Object], nodes: list[Node], *, seed: int = 0) -> None:
    """Schedule every Deployment's pods, and load what their programs load.

    Raises:
        UnschedulableError: If one finds no place.
    """
    rng = random.Random(seed)
    by_key = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    claims = {
        name: allocate(one, nodes)
        for (kind, name), one in sorted(by_key.items())
        if kind == "ResourceClaim"
    }
    pods = [
        (one["metadata"]["name"], one["spec"]["template"])
        for one in objects
        if one["kind"] == "Deployment"
        for _ in range(one["spec"]["replicas"])
    ]
    rng.shuffle(pods)
    for name, template in pods:
        spec = template["spec"]
        config = by_key["ConfigMap", _config_name(spec)]["data"]
        if "resourceClaims" in spec:
            (claim,) = spec["resourceClaims"]
            node, gpu = claims[claim["resourceClaimName"]]
        else:
            node = _node_for(name, template, nodes)
            (container,) = spec["containers"]
            limits = container["resources"].get("limits", {})
            free = [one for one in node.gpus if not one.is_taken]
            gpu = rng.choice(free) if "nvidia.com/gpu" in limits else Gpu("", "", 0)
            if gpu.uuid:
                gpu.is_taken = True
            else:
                node.gpus.append(gpu)
        node.pods.append(template)
        for container in spec["containers"]:
            script = config[container["command"][1].rpartition("/")[2]]
            gpu.models.update(loaded(script, config))


def loaded(script: str, config: dict[str, str]) -> Counter[str]:
    """The models that a program loads, with the instances that its files give each."""
    words = shlex.split(script, comments=True)
    sources = {
        words[index + 1]: words[index + 2].rpartition("/")[2]
        for index, word in enumerate(words)
        if word == "lay_out" and words[index + 1] != "("
    }
    found: Counter[str] = Counter()
    for before, word in itertools.pairwise(words):
        if word.startswith("--load-model=") and before != "lay_out":
            model = word.removeprefix("--load-model=")
            groups = re.findall(r"instance_group \{[^}]*\}", config[sources[model]])
            found[model] = sum(
                int(count[1]) if (count := re.search(r"count: (\d+)", group)) else 1
                for group in groups
            )
    return found


def allocate(claim: Object, nodes: list[Node]) -> tuple[Node, Gpu]:
    """Give a claim the first free device that its selectors take."""
    (request,) = claim["spec"]["devices"]["requests"]
    exactly = request["exactly"]
    assert exactly["deviceClassName"] == DRIVER
    expressions = [one["cel"]["expression"] for one in exactly["selectors"]]
    for node in nodes:
        for gpu in node.gpus:
            if not gpu.is_taken and all(selects(one, gpu) for one in expressions):
                gpu.is_taken = True
                return node, gpu
    raise UnschedulableError(
        f"claim {claim['metadata']['name']}: no device for {expressions}"
    )


def selects(expression: str, gpu: Gpu) -> bool:
    """Whether a CEL expression takes a device as NVIDIA's driver publishes it."""
    device = {
        "attributes": {
            DRIVER: {"productName": gpu.product, "uuid": gpu.uuid, "type": "gpu"}
        },
        "capacity": {DRIVER: {"memory": gpu.memory_bytes}},
    }
    environment = celpy.Environment()
    program = environment.program(
        environment.compile(expression),
        functions={"quantity": _quantity, "compareTo": _compare},
    )
    return bool(program.evaluate({"device": celpy.json_to_cel(device)}))


def _quantity(text: celtypes.StringType) -> celtypes.IntType:
    """Kubernetes' own function, of whole numbers."""
    return celtypes.IntType(int(text))


def _compare(one: celtypes.IntType, other: celtypes.IntType) -> celtypes.IntType:
    return celtypes.IntType((one > other) - (one < other))


def _config_name(spec: Object) -> str:
    (name,) = (
        one["configMap"]["name"] for one in spec["volumes"] if "configMap" in one
    )
    return str(name)


def _node_for(name: str, template: Object, nodes: list[Node]) -> Node:
    """The node with most free GPUs that a pod may run on."""
    spec = template["spec"]
    (container,) = spec["containers"]
    wanted = int(container["resources"].get("limits", {}).get("nvidia.com/gpu", 0))
    tolerated = {one["key"] for one in spec.get("tolerations", [])}
    apart = spec.get("affinity", {}).get("podAntiAffinity", {})
    found = []
    for node in nodes:
        free = sum(not one.is_taken for one in node.gpus)
        selector = spec.get("nodeSelector", {})
        labelled = selector.items() <= node.labels.items()
        is_tainted = bool(node.labels) and "nvidia.com/gpu" not in tolerated
        if labelled and free >= wanted and not is_tainted:
            if any(_meets(term, node) for term in apart.get(_REQUIRED, [])):
                continue
            found.append((free, node))
    if not found:
        raise UnschedulableError(f"pod of {name}: no node has {wanted} GPUs left")
    return max(found, key=lambda one: one[0])[1]


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _meets(term: Object, node: Node) -> bool:
    labels = term["labelSelector"]["matchLabels"].items()
    return any(labels <= pod["metadata"]["labels"].items() for pod in node.pods)
