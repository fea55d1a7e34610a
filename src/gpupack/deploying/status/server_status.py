"""A server asked what it serves: models missing, extra, or configured wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.deploying.plan import (
    configuration_of_server,
    differences,
    parse_configuration,
)
from gpupack.deploying.status.difference import Difference, DifferenceKind
from gpupack.errors import ServerError
from gpupack.profiling import TritonServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpupack.profiling import TlsOptions
    from gpupack.records.running.deployment import DeployedModel, DeployedServer


def server_differences(
    planned: DeployedServer, url: str, *, tls: TlsOptions | None = None
) -> list[Difference]:
    """Return how a server differs from what was planned for it.

    Raises:
        InvalidInputError: If the URL or the TLS files cannot be used.
    """
    found: list[Difference] = []
    with TritonServer(url, tls=tls) as server:
        try:
            there = {one.name: one for one in server.repository()}
        except ServerError as err:
            return [Difference(DifferenceKind.UNREACHABLE, planned.name, "", str(err))]
        wanted = {one.name: one for one in planned.models}
        for name, model in sorted(wanted.items()):
            state = there.get(name)
            if state is None or not (state.state or state.reason):
                detail = f"{planned.name} at {url} has not loaded it"
                found.append(_difference(DifferenceKind.MISSING, planned, name, detail))
            elif not state.is_ready:
                detail = f"it is {state.state}" + (
                    f": {state.reason}" if state.reason else ""
                )
                found.append(
                    _difference(DifferenceKind.NOT_RUNNING, planned, name, detail)
                )
            else:
                found += _model_differences(server, planned, model)
        extra = sorted(
            name for name, one in there.items() if one.is_ready and name not in wanted
        )
        found += [
            _difference(
                DifferenceKind.EXTRA, planned, name, "it is loaded, and was not planned"
            )
            for name in extra
        ]
    return found


def _model_differences(
    server: TritonServer, planned: DeployedServer, model: DeployedModel
) -> Iterator[Difference]:
    wanted = parse_configuration(model.configuration, f"the plan of {model.name}")
    try:
        served = configuration_of_server(server.configuration(model.name))
    except ServerError as err:
        yield _difference(DifferenceKind.NOT_RUNNING, planned, model.name, str(err))
        return
    for detail in differences(wanted, served):
        yield _difference(DifferenceKind.WRONG, planned, model.name, detail)


def _difference(
    kind: DifferenceKind, planned: DeployedServer, model: str, detail: str
) -> Difference:
    return Difference(kind, planned.name, model, detail)
