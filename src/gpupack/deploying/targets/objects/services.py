"""Where clients find a model: Services, and routes with the plan's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from gpupack.deploying.routing import group_shares_of
from gpupack.deploying.status import PART_OF
from gpupack.deploying.targets.objects.object_names import (
    FIRST_PORTS,
    port_name,
    selector,
)

if TYPE_CHECKING:
    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu, PlannedServer
    from gpupack.deploying.targets.objects.object_names import Names, Object

MOST_BACKENDS = 16
"""Of a rule of an HTTPRoute, by its schema."""


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
    """Return a route per model with the plan's weights, and what has none, in words.

    One more sends what is asked of no model, the servers' health and metadata, to any.
    """
    routes, notes = [], []
    shares = group_shares_of(plan)
    for model_name in plan.model_names:
        groups = groups_of(plan, model_name)
        if len(groups) > MOST_BACKENDS:
            notes.append(
                f"{model_name} has {len(groups)} different shares of its traffic, and "
                f"a route of the Gateway API takes {MOST_BACKENDS}: it has no route; "
                "router/weights.json has its weights"
            )
            continue
        weights = {share.gpus[0].name: share.weight for share in shares[model_name]}
        backends = [
            {
                "name": (
                    names.model_on(model_name, gpus[0])
                    if len(groups) > 1
                    else names.model(model_name)
                ),
                "port": FIRST_PORTS[0],
                "weight": weights[gpus[0].name],
            }
            for gpus in groups
        ]
        path = f"/v2/models/{quote(model_name, safe='')}"
        match = {"path": {"type": "PathPrefix", "value": path}}
        routes.append(
            _route(names.model(model_name), [match], backends, names, options)
        )
    if routes:
        of_servers = [
            {"path": {"type": "Exact", "value": "/v2"}},
            {"path": {"type": "PathPrefix", "value": "/v2/health"}},
        ]
        any_server = [
            {"name": names.model(model_name), "port": FIRST_PORTS[0], "weight": 1}
            for model_name in plan.model_names[:MOST_BACKENDS]
        ]
        routes.append(_route(names.all_servers, of_servers, any_server, names, options))
    return routes, tuple(notes)


def _route(
    name: str,
    matches: list[Object],
    backends: list[Object],
    names: Names,
    options: DeployOptions,
) -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "labels": names.labels},
        "spec": {
            "parentRefs": [{"name": options.gateway}],
            "rules": [{"matches": matches, "backendRefs": backends}],
        },
    }


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
