from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import psutil
import pytest

from gpupack.cpus import count_usable_cpus
from gpupack.profiling.devices.host import HostDevice, ProcessFamily
from gpupack.records.environment import Environment
from gpupack.records.gpu import DeviceKind
from gpupack.units import BYTES_PER_MIB

# A "server" that starts a child, which holds 60 MiB and computes until it is ended.
SERVER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", '''
ballast = bytearray(60 * 1024 * 1024)
print("ready", flush=True)
while True: pass
'''])
child.wait()
time.sleep(60)
"""


@pytest.fixture
def server() -> Iterator[psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVER)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    tree = psutil.Process(process.pid)
    children = tree.children(recursive=True)
    yield tree
    for one in [tree, *children]:
        if one.is_running():
            one.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_the_host_is_a_device_of_its_own_kind() -> None:
    device = HostDevice()

    assert device.gpu_type.kind is DeviceKind.HOST
    assert device.gpu_type.memory_bytes == psutil.virtual_memory().total
    environment = Environment(source="test", **device.environment_fields())
    assert environment.num_cpus == count_usable_cpus()
    assert environment.driver_version is None


def test_memory_and_cpu_of_the_server_count_its_children_in(
    server: psutil.Process,
) -> None:
    device = HostDevice(server.pid)
    with device.sampler(interval_s=0.02) as sampler:
        sampler.reset()
        time.sleep(0.8)
        readings = sampler.readings()

    assert readings.memory_used_bytes is not None
    assert readings.memory_used_bytes > 60 * BYTES_PER_MIB
    assert readings.gpu_utilization_percent is not None
    assert readings.gpu_utilization_mean_percent is not None
    # One busy core is the most that the child can use, whatever else runs here.
    one_core_percent = 100 / count_usable_cpus()
    assert 0 < readings.gpu_utilization_mean_percent <= 1.05 * one_core_percent
    assert 0 < readings.gpu_utilization_percent <= 100


def test_what_only_a_gpu_has_is_missing_with_the_reason(server: psutil.Process) -> None:
    with HostDevice(server.pid).sampler() as sampler:
        time.sleep(0.3)
        readings = sampler.readings()

    assert readings.memory_utilization_percent is None
    assert readings.memory_utilization_mean_percent is None
    assert readings.energy_joules is None
    assert "only a GPU has this" in readings.missing["memory_utilization_percent"]
    assert "gpu_utilization_percent" not in readings.missing
    assert "memory_used_bytes" not in readings.missing


def test_a_server_killed_in_the_middle_leaves_no_reading(
    server: psutil.Process,
) -> None:
    with HostDevice(server.pid).sampler() as sampler:
        server.send_signal(signal.SIGKILL)
        deadline_s = time.monotonic() + 10
        while ProcessFamily(server.pid).is_alive() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        readings = sampler.readings()

    assert readings.gpu_utilization_percent is None
    assert readings.memory_used_bytes is None
    assert "ended during the measurement" in readings.missing["memory_used_bytes"]


def test_a_server_elsewhere_gives_no_host_readings() -> None:
    device = HostDevice(None)
    with device.sampler() as sampler:
        readings = sampler.readings()

    assert device.memory_used_bytes() is None
    assert readings.gpu_utilization_mean_percent is None
    assert "not on this host" in readings.missing["gpu_utilization_percent"]


def test_cpu_time_of_a_child_that_ended_stays_counted(server: psutil.Process) -> None:
    family = ProcessFamily(server.pid)
    (child,) = server.children()
    while family.read().cpu_s < 0.1:
        time.sleep(0.05)
    before = family.read()

    child.kill()
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    after = family.read()

    assert after.cpu_s >= before.cpu_s
    assert after.resident_bytes < before.resident_bytes - 50 * BYTES_PER_MIB


def test_a_process_that_never_was_has_no_memory() -> None:
    assert HostDevice(2**22 + os.getpid()).memory_used_bytes() is None
