"""The program that starts a GPU's servers: one, or several beside an MPS daemon."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from gpupack.deploying.plan import MARK
from gpupack.quoting import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import jinja2

    from gpupack.deploying.plan import PlannedGpu, PlannedServer


@dataclass(frozen=True)
class Layout:
    """Where a GPU's servers find what they serve.

    Attributes:
        repository: The folder that they are given; may name ``$here``, the folder of
            the script itself.
        models: The user's repository, where the script makes an overlay of it.
        configurations: By model, the file with its configuration, likewise.
        variables: For all servers of the GPU.
        ports: Of a server.
    """

    repository: str
    models: str = ""
    configurations: Mapping[str, str] | None = None
    variables: Mapping[str, str] | None = None
    has_devices: bool = False
    """Whether ``variables`` choose among several GPUs, which an MPS daemon recounts."""


def start_script(
    gpu: PlannedGpu,
    layout: Layout,
    ports: Sequence[tuple[int, int, int]],
) -> str:
    """Return a bash program that runs a GPU's servers until one ends."""
    overlay = [
        (shlex.quote(model), shlex.quote(path))
        for model, path in sorted((layout.configurations or {}).items())
    ]
    text = (
        _templates()
        .get_template("start.sh.j2")
        .render(
            mark=MARK,
            about=f"the servers of GPU {gpu.index} of the placement",
            here="$here" in layout.repository,
            repository=_double_quoted(layout.repository),
            overlay=overlay,
            models=shlex.quote(layout.models),
            configuration=gpu.name,
            variables=[
                (name, shlex.quote(value))
                for name, value in sorted((layout.variables or {}).items())
            ],
            mps=gpu.uses_mps,
            mps_devices=layout.has_devices,
            servers=[
                {
                    "comment": _comment(server),
                    "variables": [
                        (name, shlex.quote(value))
                        for name, value in sorted(server.environment.items())
                    ],
                    "arguments": [
                        shlex.quote(argument)
                        for argument in server.arguments(
                            repository="", configuration=gpu.name, ports=of_server
                        )[1:]
                    ],
                }
                for server, of_server in zip(gpu.servers, ports, strict=True)
            ],
        )
    )
    return text.rstrip("\n") + "\n"


def _comment(server: PlannedServer) -> str:
    return f"{server.name}: {listed([model.name for model in server.models])}"


def _double_quoted(path: str) -> str:
    """Return a path for the shell, in which ``$here`` alone is expanded."""
    head, here, tail = path.rpartition("$here")
    return f'"{here}"{shlex.quote(tail)}' if here and not head else shlex.quote(path)


@cache
def _templates() -> jinja2.Environment:
    import jinja2  # only when something is written: `import gpupack` is quick

    return jinja2.Environment(
        loader=jinja2.PackageLoader("gpupack.deploying.targets", "layout"),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
