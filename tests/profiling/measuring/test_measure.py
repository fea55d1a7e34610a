"""One load point, and several at once, against a real Triton."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gpupack.errors import LoadPointError, ServerError, UnknownNameError
from gpupack.profiling.devices.host import HostDevice
from gpupack.profiling.load.driven_model import ModelLoad
from gpupack.profiling.load.tensors import make_inputs
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.measuring.measurement import measure, measure_together
from gpupack.profiling.server.triton import TritonServer
from gpupack.records.profile import LoadPoint
from tests.profiling.served_models import SLEEP_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpupack.profiling.embedded.embedded_server import EmbeddedServer

pytestmark = pytest.mark.triton

QUICK = MeasureOptions(
    min_duration_s=0.2, max_duration_s=0.6, warm_up_s=0.02, request_timeout_s=5
)


@pytest.fixture(params=["http", "grpc"])
def server(
    triton: EmbeddedServer, request: pytest.FixtureRequest
) -> Iterator[TritonServer]:
    url = triton.url if request.param == "http" else triton.grpc_url
    with TritonServer(url) as server:
        yield server


def load_of(
    server: TritonServer,
    name: str,
    point: str = "1x1",
    shapes: dict[str, list[int]] | None = None,
) -> ModelLoad:
    server.load(name)
    signature = server.signature(name)
    load_point = LoadPoint.parse(point)
    inputs = make_inputs(signature, load_point.batch_size, shapes=shapes)
    return ModelLoad(signature, load_point, inputs)


def test_the_client_and_the_server_count_the_same_requests(
    triton: EmbeddedServer, server: TritonServer
) -> None:
    load = load_of(server, "sleeper", "2x3")

    result = measure(
        server,
        load,
        device=HostDevice(triton.pid),
        options=QUICK,
        server_pid=triton.pid,
    )

    measured = result.loads[0]
    assert measured.throughput_infer_per_sec is not None
    # One instance that sleeps for each request: it cannot be faster than that.
    assert measured.throughput_infer_per_sec <= 2 / SLEEP_S
    # The server counts over a slightly longer time than the window.
    counted = sum(window.num_requests for window in measured.windows)
    assert counted <= measured.statistics.num_requests
    assert len(measured.latencies_us) == counted
    assert measured.latencies_us.min() >= SLEEP_S * 1e6
    assert measured.protocol == server.url.scheme
    assert result.server_cpu_percent is not None


def test_strings_travel_and_come_back(
    triton: EmbeddedServer, server: TritonServer
) -> None:
    load = load_of(server, "strings", "2x2")

    result = measure(server, load, device=HostDevice(triton.pid), options=QUICK)

    assert result.loads[0].throughput_infer_per_sec is not None


def test_large_tensors_go_through_shared_memory(
    triton: EmbeddedServer, server: TritonServer
) -> None:
    load = load_of(server, "large", "2x2")

    result = measure(server, load, device=HostDevice(triton.pid), options=QUICK)

    assert result.loads[0].protocol == f"{server.url.scheme}+shm"
    assert result.loads[0].notes == ()


def test_two_models_are_measured_over_one_window(
    triton: EmbeddedServer, server: TritonServer
) -> None:
    loads = [load_of(server, "sleeper", "1x2"), load_of(server, "second", "1x1")]

    result = measure_together(
        server, loads, device=HostDevice(triton.pid), options=QUICK
    )

    names = [measured.load.signature.name for measured in result.loads]
    assert names == ["sleeper", "second"]
    for measured in result.loads:
        assert measured.throughput_infer_per_sec is not None
        assert sum(w.duration_s for w in measured.windows) <= result.duration_s


def test_a_paced_model_is_sent_what_was_asked_for(
    triton: EmbeddedServer, server: TritonServer
) -> None:
    # It could answer 2 / SLEEP_S = 667 infer/sec.
    load = replace(load_of(server, "sleeper", "2x2"), offered_infer_per_sec=100.0)

    result = measure(server, load, device=HostDevice(triton.pid), options=QUICK)

    reached = result.loads[0].throughput_infer_per_sec
    assert reached is not None
    assert 80 <= reached <= 110


def test_more_instances_last_until_the_model_is_unloaded(server: TritonServer) -> None:
    server.load("second")
    server.multiply_instances("second", 2)
    assert server.signature("second").num_model_instances == 2
    server.unload("second")
    server.load("second")
    assert server.signature("second").num_model_instances == 1


def test_perf_analyzers_rule_can_be_asked_for(
    triton: EmbeddedServer, server: TritonServer
) -> None:
    options = MeasureOptions(
        stopping_rule="three_windows", window_requests=20, warm_up_s=0.02
    )

    result = measure(
        server,
        load_of(server, "sleeper"),
        device=HostDevice(triton.pid),
        options=options,
    )

    verdict = result.loads[0].verdict
    counted = sum(window.num_requests for window in result.loads[0].windows)
    assert verdict.is_done
    assert counted >= 60  # three windows of 20


def test_a_response_of_another_shape_is_an_error(
    triton: EmbeddedServer, server: TritonServer
) -> None:
    with pytest.raises(LoadPointError, match=r"\[3, 5\].* declares .*\[1, 16\]"):
        measure(
            server,
            load_of(server, "liar"),
            device=HostDevice(triton.pid),
            options=QUICK,
        )


def test_a_refused_request_ends_the_load_point_with_the_servers_words(
    triton: EmbeddedServer, server: TritonServer
) -> None:
    with pytest.raises(LoadPointError, match="ValueError: tired"):
        measure(
            server,
            load_of(server, "tired"),
            device=HostDevice(triton.pid),
            options=QUICK,
        )


def test_a_request_that_takes_too_long_says_how_long_it_was_given(
    triton: EmbeddedServer, server: TritonServer
) -> None:
    with pytest.raises(LoadPointError, match=r"no response within 0\.2 s"):
        measure(
            server,
            load_of(server, "laggard"),
            device=HostDevice(triton.pid),
            options=replace(QUICK, request_timeout_s=0.2),
        )


def test_a_model_that_fails_to_load_says_why(server: TritonServer) -> None:
    with pytest.raises(ServerError, match="no weights here"):
        server.load("refuser")


def test_a_model_nobody_has_is_named_beside_those_there_are(
    server: TritonServer,
) -> None:
    with pytest.raises(UnknownNameError, match="no model 'nothing'; it has .*sleeper"):
        server.load("nothing")


def test_a_url_nobody_answers_is_a_clear_error(triton: EmbeddedServer) -> None:
    for url in ("http://127.0.0.1:9", "grpc://127.0.0.1:9"):
        with (
            TritonServer(url) as server,
            pytest.raises(ServerError, match="is the server running there"),
        ):
            server.check_ready()


def test_tls_on_a_plain_port_is_a_clear_error(triton: EmbeddedServer) -> None:
    url = triton.url.replace("http://", "https://")
    with TritonServer(url) as server, pytest.raises(ServerError, match="did not"):
        server.check_ready()
