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
from gpupack.profiling.load import LoadProcess, driven_model
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
    assert " requests a second that are due" in found.verdict.why
    assert found.throughput_infer_per_sec is not None
    assert found.throughput_infer_per_sec < 200


@pytest.mark.parametrize(("service_s", "rate"), [(0.0, 1e-9), (5.0, 4.0)])
def test_a_measurement_in_which_no_request_ended_has_not_settled(
    service_s: float, rate: float
) -> None:
    # None was due, or few were and none was answered.
    with serving(service_s, num_places=0) as url:
        found = measured(url, rate)
    assert found.throughput_infer_per_sec is None
    assert not found.verdict.is_stable
    assert "no request ended" in found.verdict.why


def test_what_waits_for_the_server_is_not_the_clients_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Of 400 a second 50 are answered; sixteen more than that can be under way.
    monkeypatch.setattr(driven_model, "RATE_IN_FLIGHT", 16)
    with serving(0.02) as url:
        found = measured(url, 400.0)
    told = found.open_loop
    assert told is not None
    assert told.sent_requests_per_sec < 200
    assert told.held_back_requests_per_sec == pytest.approx(
        told.offered_requests_per_sec - told.sent_requests_per_sec, rel=0.05
    )
    assert told.is_sent
    assert not told.is_kept_up
    assert not found.is_client_limited
    assert "the server answers" in found.verdict.why


def overloaded(url: str, *, num_requests: int, timeout_s: float) -> LoadProcess:
    """Return a client that has sent so many, and goes on."""
    process = LoadProcess(ServerUrl.parse(url))
    schedule = Schedule("constant", 1000.0)
    process.start([REQUEST] * num_requests, timeout_s=timeout_s, schedule=schedule)
    while len(process.trace.sendings()[1]) < num_requests:
        time.sleep(0.02)
        process.collect()
    return process


def test_a_loop_ends_when_the_server_has_answered_all_it_was_sent() -> None:
    # Nearly three seconds of work: in a next measurement it would be in the way.
    with (
        running(0.05) as server,
        overloaded(
            f"http://127.0.0.1:{server.port}", num_requests=60, timeout_s=30
        ) as process,
    ):
        assert process.stop() == 0
        assert server.num_waiting == 0


def test_a_loop_tells_how_many_requests_a_server_never_answered() -> None:
    with (
        running(0.2) as server,
        overloaded(
            f"http://127.0.0.1:{server.port}", num_requests=40, timeout_s=1
        ) as process,
    ):
        num_left = process.stop()
        assert 0 < num_left <= 40
        assert server.num_waiting > 0


def test_a_client_that_is_hopelessly_behind_still_hears_that_it_is_to_stop() -> None:
    with (
        serving(0.0, num_places=0) as url,
        LoadProcess(ServerUrl.parse(url)) as process,
    ):
        # A thousand times what takes no time at all but to draw the gaps.
        schedule = Schedule("poisson", 1e9, seed="1")
        process.start([REQUEST] * 4, timeout_s=30, schedule=schedule)
        while len(process.trace.completions()[0]) < 100:
            time.sleep(0.02)
            process.collect()
        assert process.stop() == 0


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
