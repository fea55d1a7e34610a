"""Decoupled and stateful models on the real server."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from gpupack import profile
from gpupack.profiling import EmbeddedServer, InputOptions
from tests.profiling.served_models import (
    BETWEEN_S,
    NUM_RESPONSES,
    SEQUENCE_LENGTH,
)
from tests.profiling.sweep.test_sweep import QUICK, points

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.triton

LONGER = dataclasses.replace(
    QUICK, min_duration_s=0.5, max_duration_s=0.5, request_timeout_s=5.0
)


@pytest.fixture(scope="module")
def triton(installed: None, repository: Path) -> Iterator[EmbeddedServer]:
    """Return a server of this module's own: others leave models loaded."""
    with EmbeddedServer(repository) as server:
        yield server


def test_a_decoupled_model_is_measured_by_completed_requests(
    triton: EmbeddedServer,
) -> None:
    found = profile(
        "decoupled",
        server=triton.grpc_url,
        batch_sizes=[2],
        concurrency=[1, 2],
        options=LONGER,
    )

    assert found.failures == ()
    assert points(found) == ["decoupled 2x1", "decoupled 2x2"]
    for record in found.records:
        assert record.environment.protocol == "grpc"
        stream = record.stream
        assert stream is not None
        assert stream.responses_per_request == NUM_RESPONSES
        assert stream.first_response_mean_us is not None
        assert stream.between_responses_mean_us is not None
        assert record.latency_mean_us is not None
        # One request after the other: each sleeps before each response.
        assert stream.between_responses_mean_us >= BETWEEN_S * 1e6
        assert stream.first_response_mean_us >= BETWEEN_S * 1e6
        assert record.latency_mean_us >= (
            stream.first_response_mean_us
            + (NUM_RESPONSES - 1) * stream.between_responses_mean_us * 0.99
        )
        assert record.requests_per_sec is not None
        assert record.requests_per_sec <= 1 / (NUM_RESPONSES * BETWEEN_S)


def test_streams_of_an_embedded_server_need_no_address(triton: EmbeddedServer) -> None:
    ours = profile(
        "decoupled", server=triton, batch_sizes=[1], concurrency=[1], options=QUICK
    )
    theirs = profile(
        ["decoupled", "sleeper"],
        server=triton.url,
        batch_sizes=[1],
        concurrency=[1],
        options=QUICK,
    )

    assert points(ours) == ["decoupled 1x1"]
    assert points(theirs) == ["sleeper 1x1"]
    (failure,) = theirs.failures
    assert failure.stage == "inputs"
    assert "--url grpc://127.0.0.1:8001" in failure.message


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_stateful_model_is_driven_by_whole_sequences(
    triton: EmbeddedServer, protocol: str
) -> None:
    # The model itself refuses requests of torn sequences, and too many open ones.
    found = profile(
        "stateful",
        server=triton.url if protocol == "http" else triton.grpc_url,
        batch_sizes=[1],
        concurrency=[1, 3],
        inputs=InputOptions(sequence_length=SEQUENCE_LENGTH),
        options=LONGER,
    )

    assert found.failures == ()
    assert points(found) == ["stateful 1x1", "stateful 1x3"]
    for record in found.records:
        assert record.sequence_length == SEQUENCE_LENGTH
        assert record.requests_per_sec is not None
        assert record.requests_per_sec < 500
