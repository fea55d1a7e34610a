"""Envoy as the router: a cluster per server, a weighted route per model."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from gpupack.deploying.plan import MARK
from gpupack.deploying.routing.weights import shares_of
from gpupack.deploying.yaml_text import yaml_text

_SERVERS = "servers"
"""The cluster of all servers; a server's own is named as it, and begins with gpu-."""

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpupack.deploying.plan import DeploymentPlan

_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network."
    "http_connection_manager.v3.HttpConnectionManager"
)


def envoy_configuration(plan: DeploymentPlan, *, host: str, port: int) -> str:
    """Return a static Envoy v3 bootstrap: each model's requests by weight.

    That is ``/v2/models/M`` and all below it. What is asked of no model, the servers'
    health and metadata, goes to any server.

    Args:
        plan: What runs.
        host: Where the servers' ports are.
        port: Where it listens.
    """
    routes: list[dict[str, object]] = [
        {
            "match": {"path_separated_prefix": f"/v2/models/{quote(name, safe='')}"},
            "route": {
                "weighted_clusters": {
                    "clusters": [
                        {"name": share.server.name, "weight": share.weight}
                        for share in shares
                    ]
                },
                "timeout": "0s",
            },
        }
        for name, shares in shares_of(plan).items()
    ]
    routes += [
        {"match": match, "route": {"cluster": _SERVERS}}
        for match in (
            {"path": "/v2"},
            {"path_separated_prefix": "/v2/health"},
        )
    ]
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "gpupack",
        "route_config": {
            "name": "models",
            "virtual_hosts": [{"name": "models", "domains": ["*"], "routes": routes}],
        },
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}
        ],
    }
    listener = {
        "name": "models",
        **_address("0.0.0.0", port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    clusters = [
        _cluster(server.name, host, [server.ports[0]]) for server in plan.servers
    ]
    clusters.append(
        _cluster(_SERVERS, host, [server.ports[0] for server in plan.servers])
    )
    content = {"static_resources": {"listeners": [listener], "clusters": clusters}}
    return f"{MARK}: an Envoy that splits traffic as planned.\n" + yaml_text(content)


def _cluster(name: str, host: str, ports: Iterable[int]) -> dict[str, object]:
    endpoints = [{"endpoint": _address(host, port)} for port in ports]
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": endpoints}],
        },
    }


def _address(host: str, port: int) -> dict[str, object]:
    """Return Envoy's form of an address."""
    return {"address": {"socket_address": {"address": host, "port_value": port}}}
