from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from gpupack.errors import DeviceError, UnknownNameError
from gpupack.profiling.devices.discovery import open_device
from gpupack.profiling.devices.host import HostDevice
from gpupack.profiling.devices.nvml import NvmlDevice, open_gpu
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.gpu import DeviceKind
from tests.profiling.nvml_standin import (
    MIB,
    SYSTEM,
    Standin,
    compile_standin,
    loaded_standin,
)

GPU_UTILIZATIONS = ("gpu_utilization_percent", "gpu_utilization_mean_percent")
MEMORY_UTILIZATIONS = ("memory_utilization_percent", "memory_utilization_mean_percent")
GPM = (
    "sm_utilization_percent",
    "sm_occupancy_percent",
    "dram_bandwidth_percent",
    "tensor_activity_percent",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_standin(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def nvml(library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with loaded_standin(library) as standin:
        yield standin


def split_into_migs(nvml: Standin, num_migs: int) -> None:
    nvml.add_gpu(0, mig=1, num_migs=num_migs)
    for index in range(num_migs):
        nvml.set(10 + index, memory_total=10_000 * MIB, memory_used=(20 + index) * MIB)


def test_a_gpu_is_described_as_the_driver_describes_it(nvml: Standin) -> None:
    nvml.add_gpu(0)

    device = open_device(0)

    assert device.gpu_type.name == "NVIDIA Stand-in 80GB"
    assert device.gpu_type.memory_bytes == 81920 * MIB
    assert device.gpu_type.kind is DeviceKind.GPU
    assert device.memory_used_bytes() == 500 * MIB
    environment = Environment(source="test", **device.environment_fields())
    assert environment.driver_version == "580.159.04"
    assert environment.cuda_driver_version == "13.0"
    assert environment.gpu_uuid == "GPU-00000000-aaaa"
    assert environment.gpu_index == 0
    assert environment.mig_mode == "disabled"
    assert environment.sharing_mode is SharingMode.TIME_SLICING
    assert (environment.sm_clock_mhz, environment.memory_clock_mhz) == (1980, 2619)


def test_readings_hold_the_highest_and_the_mean_since_the_reset(nvml: Standin) -> None:
    nvml.add_gpu(0, gpu_utilization=99, memory_used=9000 * MIB)
    with open_device(0).sampler(interval_s=60) as sampler:
        sampler.readings()
        nvml.set(0, gpu_utilization=40, memory_utilization=7, memory_used=600 * MIB)
        nvml.set(0, power_mw=250_000, energy_mj=1000)
        sampler.reset()
        nvml.set(0, energy_mj=3500)

        readings = sampler.readings()

    # With a poll a minute, what is read after the reset is the one poll of readings().
    assert readings.gpu_utilization_percent == 40
    assert readings.gpu_utilization_mean_percent == 40
    assert readings.memory_utilization_percent == 7
    assert readings.memory_used_bytes == 600 * MIB
    assert readings.power_mean_watts == 250
    assert readings.energy_joules == (3500 - 1000) / 1000


def test_gpm_gives_means_between_the_two_ends_of_a_measurement(nvml: Standin) -> None:
    nvml.add_gpu(0)
    before = {2: 100, 3: 100, 10: 100, 5: 100}
    nvml.advance_gpm(0, before)
    with open_device(0).sampler(interval_s=60) as sampler:
        nvml.advance_gpm(0, before)
        sampler.reset()
        nvml.advance_gpm(0, {2: 30, 3: 10, 10: 4, 5: 2})
        nvml.advance_gpm(0, {2: 50, 3: 20, 10: 8, 5: 0})

        readings = sampler.readings()

    assert readings.sm_utilization_percent == (30 + 50) / 2
    assert readings.sm_occupancy_percent == (10 + 20) / 2
    assert readings.dram_bandwidth_percent == (4 + 8) / 2
    assert readings.tensor_activity_percent == (2 + 0) / 2
    assert not readings.missing


def test_gpm_samples_are_freed(nvml: Standin) -> None:
    nvml.add_gpu(0)
    with open_device(0).sampler(interval_s=60) as sampler:
        for _ in range(5):
            sampler.reset()
            nvml.advance_gpm(0, {2: 1})
            sampler.readings()
    del sampler

    assert nvml.get(SYSTEM, "samples") == 0


def test_a_gpm_measurement_of_no_length_is_missing_not_nan(nvml: Standin) -> None:
    nvml.add_gpu(0)
    with open_device(0).sampler(interval_s=60) as sampler:
        readings = sampler.readings()

    assert readings.sm_utilization_percent is None
    assert "so short a measurement" in readings.missing["sm_utilization_percent"]


def test_a_gpu_before_hopper_has_no_gpm_and_says_so(nvml: Standin) -> None:
    nvml.add_gpu(0, gpm=0)
    with open_device(0).sampler(interval_s=60) as sampler:
        readings = sampler.readings()

    assert set(readings.missing) == set(GPM)
    assert all("Hopper" in readings.missing[name] for name in GPM)
    assert readings.gpu_utilization_percent == 0


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("gpu_utilization", GPU_UTILIZATIONS + MEMORY_UTILIZATIONS),
        ("memory_used", ("memory_used_bytes",)),
        ("power_mw", ("power_mean_watts",)),
        ("energy_mj", ("energy_joules",)),
    ],
)
def test_a_reading_that_is_not_supported_is_none_with_the_reason(
    nvml: Standin, key: str, fields: tuple[str, ...]
) -> None:
    nvml.add_gpu(0)
    device = open_device(0)
    nvml.fail(0, key, pynvml.NVML_ERROR_NOT_SUPPORTED)

    with device.sampler(interval_s=60) as sampler:
        nvml.advance_gpm(0, {})
        readings = sampler.readings()

    assert set(readings.missing) == set(fields)
    for name in fields:
        assert getattr(readings, name) is None
        assert readings.missing[name] == (
            "NVML does not support this on NVIDIA Stand-in 80GB"
        )


def test_a_reading_without_permission_names_the_way_out(nvml: Standin) -> None:
    nvml.add_gpu(0)
    device = open_device(0)
    nvml.fail(0, "power_mw", pynvml.NVML_ERROR_NO_PERMISSION)

    with device.sampler(interval_s=60) as sampler:
        reason = sampler.readings().missing["power_mean_watts"]

    assert "Insufficient Permissions" in reason
    assert "run as a user who may read this GPU" in reason


def test_a_gpu_lost_in_the_middle_leaves_no_reading_and_raises_nothing(
    nvml: Standin,
) -> None:
    nvml.add_gpu(0, gpu_utilization=50)
    device = open_device(0)
    with device.sampler(interval_s=0.001) as sampler:
        sampler.readings()
        nvml.fail(0, "lost", pynvml.NVML_ERROR_GPU_IS_LOST)

        readings = sampler.readings()

    assert readings.gpu_utilization_percent is None
    assert readings.memory_used_bytes is None
    assert len(readings.missing) == 11
    assert all("GPU is lost" in reason for reason in readings.missing.values())
    assert all("reboot" in reason for reason in readings.missing.values())
    assert device.memory_used_bytes() is None
    assert device.foreign_processes(()) == ()


def test_the_second_gpu_is_measured_apart_from_the_first(nvml: Standin) -> None:
    nvml.add_gpu(0, gpu_utilization=90, memory_used=9000 * MIB)
    nvml.add_gpu(1, gpu_utilization=10, memory_used=100 * MIB)

    device = open_device("1")
    with device.sampler(interval_s=60) as sampler:
        readings = sampler.readings()

    assert device.environment_fields()["gpu_index"] == 1
    assert readings.gpu_utilization_percent == 10
    assert readings.memory_used_bytes == 100 * MIB


def test_no_gpu_named_takes_the_first_that_cuda_may_see(
    nvml: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml.add_gpu(0)
    nvml.add_gpu(1)

    assert open_device().environment_fields()["gpu_index"] == 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert open_device().environment_fields()["gpu_index"] == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-00000000-aaaa")
    assert open_device().environment_fields()["gpu_index"] == 0


@pytest.mark.parametrize("hidden", ["", "-1", "-1,0"])
def test_the_host_is_the_device_where_every_gpu_is_hidden_from_cuda(
    nvml: Standin, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    nvml.add_gpu(0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)

    assert isinstance(open_device(), HostDevice)


@pytest.mark.parametrize("selector", [2, -1, "GPU-9", "first", "0:0", "GPU-"])
def test_a_gpu_that_does_not_exist_is_refused_with_those_that_do(
    nvml: Standin, selector: int | str
) -> None:
    nvml.add_gpu(0)
    nvml.add_gpu(1)

    with pytest.raises(UnknownNameError, match="GPU-10000000-aaaa") as caught:
        open_device(selector)

    assert repr(str(selector)) in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_lost_gpu_does_not_keep_its_neighbour_from_being_measured(
    nvml: Standin,
) -> None:
    nvml.add_gpu(0)
    nvml.add_gpu(1)
    nvml.fail(0, "lost_at_open", pynvml.NVML_ERROR_GPU_IS_LOST)

    assert open_device(1).environment_fields()["gpu_index"] == 1
    with pytest.raises(DeviceError, match=r"GPU 0 cannot be read: .*GPU is lost"):
        open_device(0)


def test_a_mig_device_has_memory_and_gpm_of_its_own_but_no_utilization(
    nvml: Standin,
) -> None:
    split_into_migs(nvml, 2)

    device = open_device("0:1")
    with device.sampler(interval_s=60) as sampler:
        nvml.advance_gpm(11, {2: 64, 3: 32, 10: 16, 5: 8})
        readings = sampler.readings()

    assert device.gpu_type.name == "NVIDIA Stand-in 80GB MIG 1g.10gb"
    assert device.gpu_type.memory_bytes == 10_000 * MIB
    assert device.environment_fields()["mig_mode"] == "enabled"
    assert readings.memory_used_bytes == 21 * MIB
    assert readings.sm_utilization_percent == 64
    assert readings.gpu_utilization_percent is None
    assert "not for a MIG device" in readings.missing["gpu_utilization_percent"]
    assert "not for a MIG device" in readings.missing["energy_joules"]


def test_a_gpu_with_one_mig_device_stands_for_it(nvml: Standin) -> None:
    split_into_migs(nvml, 1)

    assert open_device(0).environment_fields()["gpu_uuid"] == "MIG-10000000-bbbb"


@pytest.mark.parametrize("num_migs", [0, 2])
def test_a_split_gpu_is_refused_unless_the_part_is_clear(
    nvml: Standin, num_migs: int
) -> None:
    split_into_migs(nvml, num_migs)

    with pytest.raises(UnknownNameError, match=f"split into {num_migs} MIG devices"):
        open_device(0)


def test_a_mig_device_is_found_by_its_uuid(nvml: Standin) -> None:
    split_into_migs(nvml, 2)

    assert open_gpu("MIG-11").selector == "0:1"


def test_processes_that_are_not_ours_are_named(nvml: Standin) -> None:
    nvml.add_gpu(0, num_processes=3, pid0=os.getpid(), pid1=999_999_901)
    nvml.set(0, pid1_used=2048 * MIB, pid2=999_999_902)
    nvml.set(stranger_pid=999_999_901, mps_pid=999_999_902)
    device = open_device(0)

    assert device.foreign_processes({os.getpid()}) == (
        "pid 999999901, /usr/bin/train, 2048 MiB",
    )
    assert device.environment_fields()["sharing_mode"] is SharingMode.MPS


def test_descendants_of_our_server_are_no_strangers(nvml: Standin) -> None:
    nvml.add_gpu(0, num_processes=1, pid0=os.getpid())

    assert open_device(0).foreign_processes({os.getppid()}) == ()


@pytest.mark.parametrize("reason", ["no driver", "no gpu"])
def test_the_host_is_the_device_where_there_is_no_gpu(
    nvml: Standin, reason: str
) -> None:
    if reason == "no driver":
        nvml.fail(SYSTEM, "init", pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    assert isinstance(open_device(), HostDevice)
    with pytest.raises(DeviceError, match=r"GPU '0' was asked for, but .* no NVIDIA"):
        open_device(0)


def test_the_host_can_be_asked_for_although_there_is_a_gpu(nvml: Standin) -> None:
    nvml.add_gpu(0)

    assert isinstance(open_device(), NvmlDevice)
    assert isinstance(open_device("host"), HostDevice)


def test_a_broken_driver_is_an_error_and_not_a_host(nvml: Standin) -> None:
    nvml.add_gpu(0)
    nvml.fail(SYSTEM, "init", pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)

    with pytest.raises(DeviceError, match=r"version mismatch.*reboot"):
        open_device()


def test_memory_that_answers_with_an_unknown_error_is_missing_with_that_reason(
    nvml: Standin,
) -> None:
    nvml.add_gpu(0, gpu_utilization=37)
    nvml.fail(0, "memory_total", pynvml.NVML_ERROR_UNKNOWN)

    device = open_device(0)
    with device.sampler() as sampler:
        readings = sampler.readings()

    assert device.gpu_type.memory_bytes is None
    assert device.memory_used_bytes() is None
    assert readings.memory_used_bytes is None
    assert "NVML: " in readings.missing["memory_used_bytes"]
    assert readings.gpu_utilization_percent == 37


def test_clocks_that_are_held_back_are_told_with_figures(nvml: Standin) -> None:
    nvml.add_gpu(0, sm_clock=1200, sm_clock_most=1980, slowdowns=0x1)  # idle
    device = open_gpu("0")
    with device.sampler(interval_s=60.0) as sampler:
        sampler.reset()
        assert sampler.readings().clocks.in_words() is None
        nvml.set(0, slowdowns=0x24)  # power limit, driver's thermal
        told = sampler.readings().clocks.in_words()
    assert told is not None
    for part in ("by its power limit", "by its temperature", "1,200 of at most 1,980"):
        assert part in told
    assert "% of the measurement" in told


def test_a_driver_that_says_nothing_of_clocks_leaves_nothing_to_tell(
    nvml: Standin,
) -> None:
    nvml.add_gpu(0)  # no reasons, no highest clock
    with open_gpu("0").sampler(interval_s=60.0) as sampler:
        sampler.reset()
        found = sampler.readings()
    assert found.clocks.in_words() is None
    assert found.clocks.highest_mhz == 1980
    assert not {"slowdowns", "sm_clock_mhz"} & set(found.missing)
