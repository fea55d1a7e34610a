"""Where a deployed server is asked."""

from __future__ import annotations

import pytest

from gpupack.records.running.deployment import DeployedModel, DeployedServer


def server(*names: str, port: int | None = 8000) -> DeployedServer:
    models = tuple(DeployedModel(name=name, configuration="") for name in names)
    return DeployedServer(name="gpu-0", gpu_index=0, http_port=port, models=models)


def test_names_that_a_url_can_hold_are_asked_for_over_http() -> None:
    assert server("bert", "A_b.c-d~1").url("node") == "http://node:8000"


@pytest.mark.parametrize("name", ["a b", "größe", "a%41", "{{x}}"])
def test_other_names_are_asked_for_over_grpc(name: str) -> None:
    assert server("bert", name).url("node") == "grpc://node:8001"


def test_without_a_port_there_is_no_address() -> None:
    assert server("bert", port=None).url("node") is None
