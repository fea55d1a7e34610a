"""A server on another host, which is a network namespace here."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

import gpupack
from gpupack.errors import InvalidInputError
from gpupack.profiling.measuring.measure_options import MeasureOptions
from tests.profiling.other_host import NoOtherHostError, OtherHost, other_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.triton

QUICK = MeasureOptions(
    min_duration_s=0.1, max_duration_s=0.3, warm_up_s=0.01, percentile=50
)


@pytest.fixture(scope="module")
def host(installed: None, repository: Path) -> Iterator[OtherHost]:
    try:
        with other_host(repository) as host:
            yield host
    except NoOtherHostError as err:
        pytest.skip(f"no network namespace can be made here: {err}")


def test_another_hosts_server_is_measured_but_not_its_device(
    host: OtherHost,
) -> None:
    # Somebody else has the very same port on this host.
    with socket.create_server(("127.0.0.1", host.grpc_port)):
        profiles = gpupack.profile(
            ["large"],  # 196,608 bytes: through shared memory, if it were on this host
            server=f"grpc://{host.address}:{host.grpc_port}",
            gpus="A100-80GB",
            batch_sizes=[1],
            concurrency=[2],
            options=QUICK,
        )

    (record,) = profiles.records
    assert record.throughput_infer_per_sec is not None
    assert record.environment.protocol == "grpc"
    assert "A100" in record.gpu_type.name
    for name in ("gpu_utilization_percent", "gpu_memory_used_bytes"):
        assert getattr(record, name) is None
        assert "on another host" in record.missing[name]
    assert record.server_cpu_percent is None


def test_the_gpu_of_another_host_must_be_named(host: OtherHost) -> None:
    url = f"http://{host.address}:{host.http_port}"

    with pytest.raises(InvalidInputError, match="name its type, such as --gpu"):
        gpupack.profile(["large"], server=url, options=QUICK)
