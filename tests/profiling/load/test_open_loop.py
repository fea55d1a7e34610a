"""The open loop against a server of known service time."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.open_loop import simulate_ms
from benchmarks.simulated_server import SimulatedServer
from gpupack.profiling import (
    HostDevice,
    MeasuredLoad,
    MeasureOptions,
    ModelLoad,
    TritonServer,
    measure,
)
from gpupack.profiling.load import LoadProcess
from gpupack.profiling.load.schedule import Schedule
from gpupack.profiling.load.tensors import make_inputs
from gpupack.profiling.server import ServerUrl
from gpupack.records.profile import LoadPoint

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = b"POST /v2/models/simulated/infer HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def serving(service_s: float, *, num_places: int = 1) -> Iterator[str]:
    with running(service_s, num_places=num_places) as server:
        yield f"http://127.0.0.1:{server.port}"


@contextmanager
def running(service_s: float, *, num_places: int = 1) -> Iterator[SimulatedServer]:
    server = SimulatedServer(service_s, num_places=num_places)
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(stop,))
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join()


def drive(
    url: str, schedule: Schedule, *, num_connections: int, num_requests: int
) -> LoadProcess:
    with LoadProcess(ServerUrl.parse(url)) as process:
        process.start([REQUEST] * num_connections, timeout_s=30, schedule=schedule)
        while len(process.trace.completions()[0]) < num_requests:
            time.sleep(0.02)
            process.collect()
        process.stop()
    return process


@pytest.mark.parametrize("num_connections", [1, 16])
def test_latency_counts_from_when_a_request_was_due(num_connections: int) -> None:
    with serving(0.01) as url:
        process = drive(
            url,
            Schedule("poisson", 80.0, seed="1"),
            num_connections=num_connections,
            num_requests=60,
        )
    due, sent, _ = process.trace.sendings()
    latencies_ms = process.trace.completions()[1] / 1e6
    # First come, first served: the server is known, so is the least each one takes,
    # also where a request waited in the client for its one connection.
    true_ms = simulate_ms(due / 1e9, 10.0, 1)[: len(latencies_ms)]
    assert (latencies_ms >= true_ms - 0.01).all()
    assert true_ms.max() > 20  # there was a queue
    assert (sent >= due[: len(sent)]).all()


def test_connections_are_open_before_the_requests_that_need_them_are_due() -> None:
    # A fifth of a second each: 100 a second take 20 connections at once, on average.
    with running(0.2, num_places=0) as server:
        url = ServerUrl.parse(f"http://127.0.0.1:{server.port}")
        with LoadProcess(url) as process:
            process.once(REQUEST, timeout_s=30)
            schedule = Schedule("constant", 100.0)
            process.start([REQUEST] * 100, timeout_s=30, schedule=schedule)
            while not len(process.trace.sendings()[1]):
                time.sleep(0.005)
                process.collect()
            num_open = server.num_connections
            process.stop()
    # 20, half as many more, and a few: twenty would do, and one a request would not.
    assert num_open >= 20 + 10


def measured(url: str, rate: float, *, max_duration_s: float = 0.6) -> MeasuredLoad:
    with TritonServer(url) as server:
        signature = server.signature("simulated")
        load = ModelLoad(
            signature,
            LoadPoint(batch_size=1, requests_per_sec=rate),
            make_inputs(signature, 1),
        )
        (found,) = measure(
            server,
            load,
            device=HostDevice(),
            options=MeasureOptions(
                max_duration_s=max_duration_s, percentile=50, min_duration_s=0.5
            ),
        ).loads
    return found


def test_what_is_served_is_the_rate_asked_for_not_what_chance_made_of_it() -> None:
    with serving(0.002, num_places=0) as url:
        found = measured(url, 60.0)
    assert found.open_loop is not None
    assert found.open_loop.is_sent
    assert found.open_loop.is_kept_up
    assert found.throughput_infer_per_sec == 60.0
    assert found.verdict.is_stable
    assert found.open_loop.offered_requests_per_sec != 60.0


def test_a_server_that_falls_behind_is_told_with_figures() -> None:
    with serving(0.02) as url:  # at most 50 a second
        found = measured(url, 400.0)
    assert found.open_loop is not None
    assert not found.open_loop.is_kept_up
    assert not found.verdict.is_stable
    assert "the server answers fewer than" in found.verdict.why
    assert found.throughput_infer_per_sec is not None
    assert found.throughput_infer_per_sec < 200


def test_a_rate_that_the_client_cannot_offer_is_told_with_figures() -> None:
    with serving(0.0, num_places=0) as url:
        found = measured(url, 500_000.0)
    assert found.open_loop is not None
    assert not found.open_loop.is_sent
    assert found.is_client_limited
    assert "requests a second that were due: lower the rate" in found.verdict.why


def test_gaps_between_sendings_are_those_asked_for_on_average() -> None:
    with serving(0.0, num_places=0) as url:
        process = drive(
            url,
            Schedule("constant", 1000.0),
            num_connections=64,
            num_requests=400,
        )
    due, sent, late = process.trace.sendings()
    assert np.diff(due) == pytest.approx(1e6, abs=1)
    assert len(sent) == len(late)
    assert len(due) - len(sent) <= 64
