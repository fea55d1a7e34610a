"""NGINX as the router: an upstream per model, its servers weighted by the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.deploying.plan import MARK, dns_names
from gpupack.deploying.routing.weights import shares_of
from gpupack.quoting import printable

if TYPE_CHECKING:
    from gpupack.deploying.plan import DeploymentPlan

_ESCAPED = {'"': '\\"', "\\": "\\\\"}


def nginx_configuration(plan: DeploymentPlan, *, host: str) -> str:
    """Return a file for NGINX's ``http`` block: ``/v2/models/M/…`` by weight.

    Args:
        plan: What runs.
        host: Where the servers' ports are.
    """
    labels = dns_names(plan.model_names)
    lines = [
        f"{MARK}: include this in NGINX's http block.",
        "# Each model's requests go to the GPUs that hold it, in the plan's shares.",
    ]
    for name, shares in shares_of(plan).items():
        lines += [
            "",
            f"# {printable(name)}",
            f"upstream gpupack-{labels[name]} {{",
            *(
                f"    server {host}:{share.server.ports[0]} weight={share.weight};"
                for share in shares
                if share.weight
            ),
            "    keepalive 64;",
            "}",
        ]
    lines += [
        "",
        "server {",
        "    listen 8080;",
        "    client_max_body_size 0;",
        "    proxy_http_version 1.1;",
        '    proxy_set_header Connection "";',
    ]
    for name in plan.model_names:
        lines += [
            "",
            f"    location ^~ {_quoted(f'/v2/models/{name}/')} {{",
            f"        proxy_pass http://gpupack-{labels[name]};",
            "    }",
        ]
    return "\n".join([*lines, "}", ""])


def _quoted(path: str) -> str:
    """Return a path as NGINX reads it between quotes; it compares decoded paths."""
    escaped = "".join(_ESCAPED.get(char, char) for char in path)
    return f'"{escaped}"'
