"""The routers beside servers whose ports one host has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.deploying.routing import (
    envoy_configuration,
    host_weights,
    nginx_configuration,
)

if TYPE_CHECKING:
    from gpupack.deploying.plan import DeploymentPlan

_HOST = "127.0.0.1"


def router_files(plan: DeploymentPlan, *, port: int) -> dict[str, str]:
    """Return the plan's shares as JSON, for NGINX and for Envoy, by path.

    Args:
        plan: What runs.
        port: Where the router listens.
    """
    return {
        "router/weights.json": host_weights(plan),
        "router/nginx.conf": nginx_configuration(plan, host=_HOST, port=port),
        "router/envoy.yaml": envoy_configuration(plan, host=_HOST, port=port),
    }
