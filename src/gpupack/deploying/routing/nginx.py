"""NGINX as the router: an upstream per model, its servers weighted by the plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpupack.deploying.plan import MARK, dns_names
from gpupack.deploying.routing.weights import shares_of
from gpupack.quoting import printable

if TYPE_CHECKING:
    from gpupack.deploying.plan import DeploymentPlan

_LONGEST_LOCATION = 255
"""NGINX keeps the length of a location that is no regular expression in one byte."""
_SERVERS = "gpupack"
"""The upstream of all servers; those of models have a label behind it."""
_ESCAPED = {'"': '\\"', "\\": "\\\\"}


def nginx_configuration(plan: DeploymentPlan, *, host: str, port: int) -> str:
    """Return a file for NGINX's ``http`` block: each model's requests by weight.

    That is ``/v2/models/M`` and all below it. What is asked of no model, the servers'
    health and metadata, goes to any server.

    Args:
        plan: What runs.
        host: Where the servers' ports are.
        port: Where it listens.
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
        "# any server, for what is asked of no model",
        f"upstream {_SERVERS} {{",
        *(f"    server {host}:{server.ports[0]};" for server in plan.servers),
        "    keepalive 64;",
        "}",
        "",
        "server {",
        f"    listen {port};",
        "    client_max_body_size 0;",
        "    proxy_http_version 1.1;",
        '    proxy_set_header Connection "";',
    ]
    lines += ["", "    location / {", "        return 404;", "    }"]
    for location in ("= /v2", *_locations("/v2/health")):
        lines += _location(location, _SERVERS)
    for name in plan.model_names:
        for location in _locations(f"/v2/models/{name}"):
            lines += _location(location, f"{_SERVERS}-{labels[name]}")
    return "\n".join([*lines, "}", ""])


def _locations(path: str) -> tuple[str, ...]:
    """Return what matches a path and all below it, and nothing else."""
    if len(f"{path}/".encode()) <= _LONGEST_LOCATION:
        # Without the first, NGINX answers the path itself with a redirect.
        return f"= {_quoted(path)}", f"^~ {_quoted(f'{path}/')}"
    pattern = "^" + re.escape(path) + r"(?:/|\z)"
    return (f"~ {_quoted(pattern)}",)


def _location(location: str, upstream: str) -> list[str]:
    return [
        "",
        f"    location {location} {{",
        f"        proxy_pass http://{upstream};",
        "    }",
    ]


def _quoted(path: str) -> str:
    """Return a path as NGINX reads it between quotes; it compares decoded paths."""
    escaped = "".join(_ESCAPED.get(char, char) for char in path)
    return f'"{escaped}"'
