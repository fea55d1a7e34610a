"""The probe of processes that take turns, on a stand-in for the CUDA driver."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from gpupack.errors import InvalidInputError
from gpupack.profiling.devices.host import HostDevice
from gpupack.profiling.load.driven_model import ModelLoad
from gpupack.profiling.load.tensors import make_inputs
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.measuring.measurement import measure
from gpupack.profiling.measuring.probing.kernel_probe import KernelProbe
from gpupack.profiling.server.triton import TritonServer
from gpupack.records.profile import LoadPoint, TurnReadings
from tests.profiling.served_models import SLEEP_S

if TYPE_CHECKING:
    from gpupack.profiling.embedded.embedded_server import EmbeddedServer


def test_a_busy_process_never_pauses(driver: dict[str, str]) -> None:
    with KernelProbe(driver | {"CUDA_STANDIN_KERNEL_US": "500"}) as probe:
        begin = time.monotonic()
        kernel_us = probe.run("busy", 0.3)
        taken_s = time.monotonic() - begin
    assert taken_s >= 0.3
    # The first kernels are counted once they are done, the last are not: so a kernel
    # may take a little longer, never less.
    assert kernel_us >= 499.9


def test_kernels_now_and_then_are_timed_one_by_one(driver: dict[str, str]) -> None:
    with KernelProbe(driver | {"CUDA_STANDIN_KERNEL_US": "500"}) as probe:
        taken_us = probe.turns(0.3)
    assert min(taken_us) >= 499.9
    # Every 2.5 ms on average, however long they take.
    assert 10 <= len(taken_us) <= 0.3 / 0.00125 + 1


@pytest.mark.triton
def test_a_model_and_a_process_take_turns(
    driver: dict[str, str], triton: EmbeddedServer
) -> None:
    with TritonServer(triton.url) as server:
        server.load("sleeper")
        signature = server.signature("sleeper")
        point = LoadPoint.parse("2x1")
        found = measure(
            server,
            ModelLoad(signature, point, make_inputs(signature, point.batch_size)),
            device=HostDevice(),
            options=MeasureOptions(
                min_duration_s=0.2,
                max_duration_s=0.5,
                warm_up_s=0.02,
                request_timeout_s=5,
            ),
            probe=KernelProbe(driver, in_turns=True),
        )
    turns = found.turns
    assert turns is not None
    assert found.probe is None
    assert found.notes == ()
    assert 20 <= turns.kernel_low_us <= turns.kernel_mean_us
    assert turns.kernel_low_us <= turns.kernel_high_us
    # The model only sleeps: the stand-in takes nothing from it.
    for rate in (turns.throughput_infer_per_sec, turns.throughput_alone_infer_per_sec):
        assert 0 < rate <= 2 / SLEEP_S


def test_readings_hold_positive_numbers() -> None:
    fields = dict.fromkeys(TurnReadings.model_fields, 1.0)
    assert TurnReadings.model_validate(fields).kernel_high_us == 1
    for name in fields:
        with pytest.raises((ValueError, InvalidInputError), match=name):
            TurnReadings.model_validate(fields | {name: 0.0})
