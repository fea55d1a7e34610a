from __future__ import annotations

import pytest

import gpupack
from gpupack.records.gpu import DeviceKind, GpuType, find_gpu_type, is_same_card
from gpupack.units import bytes_from_mib


def driver_type(name: str, mib: int, kind: DeviceKind = DeviceKind.GPU) -> GpuType:
    return GpuType(name=name, memory_bytes=bytes_from_mib(mib), kind=kind)


@pytest.mark.parametrize(
    ("catalogue_name", "driver_name", "mib"),
    [
        ("H200", "NVIDIA H200", 143771),
        ("A100-40GB", "NVIDIA A100-SXM4-40GB", 40960),
        ("A100-40GB", "NVIDIA A100-PCIE-40GB", 40960),
        ("H100-80GB", "NVIDIA H100 80GB HBM3", 81559),
        ("T4", "Tesla T4", 15360),
    ],
)
def test_a_driver_s_name_and_the_catalogue_s_mean_the_same_card(
    catalogue_name: str, driver_name: str, mib: int
) -> None:
    known, spoken = find_gpu_type(catalogue_name), driver_type(driver_name, mib)

    assert is_same_card(known, spoken)
    assert is_same_card(spoken, known)


@pytest.mark.parametrize(
    "other",
    [
        driver_type("NVIDIA H200", 143770),
        driver_type("NVIDIA H2000", 143771),
        driver_type("NVIDIA H20", 143771),
        driver_type("host, H200", 143771, DeviceKind.HOST),
    ],
)
def test_another_name_memory_or_kind_is_another_card(other: GpuType) -> None:
    assert not is_same_card(find_gpu_type("H200"), other)


def test_profiles_of_a_card_are_planned_with_under_its_catalogue_name() -> None:
    profiles = gpupack.load_example("h200").select(["segmentation_liver"])

    placement = gpupack.place(profiles, objective="max_throughput", gpus={"H200": 1})

    assert [one.gpu_type.name for one in placement.gpus] == ["H200"]
    assert not any("not on H200" in text for text in placement.warnings)


def test_points_that_never_settled_are_named_once_for_each_model() -> None:
    profiles = gpupack.load_example("h200").select(["classification_vit"])
    unstable = [
        str(one.load_point) for one in profiles.records if one.is_stable is False
    ]
    assert len(unstable) > 1

    placement = gpupack.place(profiles, gpus="H200", allow_unstable=True)

    (warning,) = (text for text in placement.warnings if "never settled" in text)
    assert warning.endswith(", ".join(unstable))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100-80GB"),
    ],
)
def test_a_card_can_be_named_as_its_driver_does(name: str, known: str) -> None:
    assert find_gpu_type(name) == find_gpu_type(known)


@pytest.mark.parametrize(
    "name", ["NVIDIA", "NVIDIA A100", "Tesla", "NVIDIA H200 MIG 1g.18gb"]
)
def test_a_name_that_leaves_the_card_open_is_refused(name: str) -> None:
    with pytest.raises(gpupack.UnknownNameError):
        find_gpu_type(name)
