"""A model's variants are alternatives: a GPU's server has one of them."""

import pytest

import gpupack
from gpupack.records.profile import LoadPoint, ModelVariant, ProfileRecord
from tests.factories import MIB, make_profiles, make_record


def variant_record(
    name: str, memory_mib: int, throughput: float, percent: float
) -> ProfileRecord:
    return make_record(
        "m",
        load_point=LoadPoint(
            batch_size=1, concurrency=4, variant=ModelVariant(name=name)
        ),
        gpu_memory_used_bytes=memory_mib * MIB,
        throughput_infer_per_sec=throughput,
        gpu_utilization_percent=percent,
    )


def test_two_variants_of_a_model_never_share_a_gpu() -> None:
    # A GPU of 1000 MiB: a large and a small one would fill it and serve 100 + 40;
    # two small ones serve 80, and one large one 100.
    profiles = make_profiles(
        variant_record("large", 600, 100.0, 60.0),
        variant_record("small", 400, 40.0, 40.0),
    )

    placement = gpupack.place(profiles, demand={"m": 140})

    assert placement.num_gpus == 2
    for gpu in placement.gpus:
        assert len({str(one.load_point.variant) for one in gpu.assignments}) == 1


def test_one_variant_may_repeat_on_a_gpu() -> None:
    profiles = make_profiles(
        variant_record("large", 900, 50.0, 60.0),
        variant_record("small", 400, 40.0, 40.0),
    )

    # Two small ones on a GPU serve 80, one large one 50.
    placement = gpupack.place(profiles, demand={"m": 80})

    assert placement.num_gpus == 1
    assert placement.served_infer_per_sec == {"m": pytest.approx(80)}
