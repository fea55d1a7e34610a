"""The kernel probe: its real process and calls, on a stand-in for the CUDA driver."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gpupack
from gpupack.errors import DeviceError, InvalidInputError
from gpupack.profiling.devices.host import HostDevice
from gpupack.profiling.load.driven_model import ModelLoad
from gpupack.profiling.load.tensors import make_inputs
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.measuring.measurement import measure
from gpupack.profiling.measuring.probing.kernel_probe import KernelProbe
from gpupack.profiling.server.triton import TritonServer
from gpupack.profiling.session.server_session import ServerSession
from gpupack.records.profile import KernelTimes, LoadPoint
from tests.profiling.served_models import SLEEP_S

if TYPE_CHECKING:
    from gpupack.profiling.embedded.embedded_server import EmbeddedServer


@pytest.mark.parametrize("kind", ["full", "spread", "single"])
def test_kernels_are_timed_for_as_long_as_was_asked(
    driver: dict[str, str], kind: str
) -> None:
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    with KernelProbe(driver | {"CUDA_STANDIN_KERNEL_US": "500"}) as probe:
        begin = time.monotonic()
        kernel_us = probe.run(kind, 0.3, meanwhile=count)
        taken_s = time.monotonic() - begin

    assert taken_s >= 0.3
    # A sleep is never shorter than asked for; events have the kernel's very time.
    assert kernel_us >= 499.9
    assert calls > 0


def test_the_probe_has_no_process_outside_its_context(driver: dict[str, str]) -> None:
    probe = KernelProbe(driver)
    for _ in range(2):
        with probe:
            assert probe._process is not None
            pid = probe._process.pid
            assert probe.run("full", 0) > 0
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    "function", ["cuInit", "cuModuleLoadData", "cuLaunchKernel", "cuEventCreate"]
)
def test_a_refusal_names_the_function_and_the_reason(
    driver: dict[str, str], function: str
) -> None:
    probe = KernelProbe(driver | {"CUDA_STANDIN_FAIL": function})
    with pytest.raises(DeviceError, match=rf"{function}: no CUDA-capable device"):
        probe.check()


def test_a_probe_that_died_is_told_from_one_that_answers(
    driver: dict[str, str],
) -> None:
    with KernelProbe(driver) as probe:
        assert probe._process is not None
        probe._process.kill()
        probe._process.wait()
        with pytest.raises(DeviceError, match="its process ended"):
            probe.run("full", 0)


def test_a_missing_driver_is_named() -> None:
    if any(shutil.which(name) for name in ("nvidia-smi",)):
        pytest.skip("this machine has the driver")
    with pytest.raises(DeviceError, match=r"libcuda\.so\.1.*driver's packages"):
        KernelProbe().check()


@pytest.mark.triton
def test_model_and_probe_are_read_beside_each_other(
    driver: dict[str, str], triton: EmbeddedServer
) -> None:
    with TritonServer(triton.url) as server:
        server.load("sleeper")
        signature = server.signature("sleeper")
        point = LoadPoint.parse("2x1")
        load = ModelLoad(signature, point, make_inputs(signature, point.batch_size))
        options = MeasureOptions(
            min_duration_s=0.2, max_duration_s=0.5, warm_up_s=0.02, request_timeout_s=5
        )
        found = measure(
            server,
            load,
            device=HostDevice(),
            options=options,
            probe=KernelProbe(driver),
        )
        failing = measure(
            server,
            load,
            device=HostDevice(),
            options=options,
            probe=KernelProbe(driver | {"CUDA_STANDIN_FAIL": "cuInit"}),
        )

    assert found.probe is not None
    for kernel in (found.probe.full_kernel, found.probe.spread_kernel):
        assert kernel.alone_us >= 20
    assert found.probe.single_kernel.alone_us == pytest.approx(20)
    assert 0 < found.probe.throughput_infer_per_sec <= 2 / SLEEP_S
    assert found.notes == ()
    # The measurement is worth having without the probe.
    assert failing.probe is None
    assert failing.loads[0].throughput_infer_per_sec is not None
    assert "cuInit" in failing.notes[0]


def test_a_kernel_that_is_quicker_beside_the_model_did_not_wait() -> None:
    assert KernelTimes(alone_us=22.0, beside_us=21.5).wait_us == 0
    assert KernelTimes(alone_us=22.0, beside_us=30.0).wait_us == 8


@pytest.mark.triton
def test_a_probe_on_the_host_is_refused_before_anything_starts(
    installed: None, repository: Path, triton: EmbeddedServer
) -> None:
    with pytest.raises(InvalidInputError, match="runs on an NVIDIA GPU"):
        gpupack.profile("sleeper", model_repository=repository, gpus="host", probe=True)
    session = ServerSession(triton, gpu="host")
    assert session.kernel_probe() is None
    assert session.kernel_probe(False) is None
