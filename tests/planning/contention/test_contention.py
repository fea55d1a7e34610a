"""From solo profiles to retention."""

import pytest

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.planning.contention.delays import (
    ProbedShape,
    SharingShape,
)
from gpupack.planning.contention.prediction import (
    SHARING_SHAPES,
    customer_class,
    predict_retentions,
)
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.gpu import GpuType
from gpupack.records.profile import (
    KernelTimes,
    LoadPoint,
    ProbeReadings,
    ProfileRecord,
)

GPU = GpuType(name="NVIDIA H200", memory_bytes=143771 * 1024**2)


def make_record(name: str = "model", **values: object) -> ProfileRecord:
    defaults: dict[str, object] = {
        "load_point": LoadPoint(batch_size=1, concurrency=1),
        "gpu_type": GPU,
        "throughput_infer_per_sec": 100.0,
        "gpu_utilization_mean_percent": 40.0,
    }
    return ProfileRecord.with_reason(
        "not read in this test",
        model_name=name,
        environment=Environment(source="test"),
        **(defaults | values),
    )


def test_a_record_says_per_request_what_the_probe_read() -> None:
    shape = SharingShape(probed=ProbedShape())
    record = make_record(
        load_point=LoadPoint(batch_size=4, concurrency=1),
        probe=ProbeReadings(
            throughput_infer_per_sec=50.0,
            full_kernel=KernelTimes(alone_us=22, beside_us=40),
            spread_kernel=KernelTimes(alone_us=22, beside_us=26),
            single_kernel=KernelTimes(alone_us=8, beside_us=28),
        ),
    )
    found = customer_class(record, 1.0, shape).probe
    assert found is not None
    # 80 ms per request beside the probe, 40 ms without; the GPU is busy 40 % of it.
    assert found.request_delay_s == pytest.approx(0.040)
    assert found.spread_wait_s == pytest.approx(4e-6 / 0.4)
    assert found.single_wait_s == pytest.approx(20e-6 / 0.4)


def test_under_mps_models_that_the_probe_tells_apart_are_predicted_apart() -> None:
    mps = {"contention_factor": 1.15, "shape": SHARING_SHAPES[SharingMode.MPS]}

    def probed(name: str, *, reached: float, spread_us: float) -> ProfileRecord:
        return make_record(
            name,
            sm_utilization_percent=25.0,
            probe=ProbeReadings(
                throughput_infer_per_sec=reached,
                full_kernel=KernelTimes(alone_us=22, beside_us=40),
                spread_kernel=KernelTimes(alone_us=22, beside_us=22 + spread_us),
                single_kernel=KernelTimes(alone_us=8, beside_us=28),
            ),
        )

    other = probed("other", reached=70, spread_us=4)
    patient, hasty = (probed("it", reached=one, spread_us=4) for one in (50, 90))
    quiet, loud = (probed("it", reached=70, spread_us=one) for one in (1, 20))
    kept = [predict_retentions([one, other], **mps)[0] for one in (patient, hasty)]
    assert kept[0] < kept[1]
    kept = [predict_retentions([other, one], **mps)[0] for one in (quiet, loud)]
    assert kept[0] > kept[1]


def test_under_mps_a_neighbor_with_few_busy_sms_disturbs_less() -> None:
    mps = {"contention_factor": 1.0, "shape": SHARING_SHAPES[SharingMode.MPS]}
    # 40 % of the time busy: with 10 % of all SMs over all time, a quarter while busy.
    small, large = (
        make_record(sm_utilization_percent=percent, dram_bandwidth_percent=4.0)
        for percent in (10.0, 36.0)
    )
    beside_small = predict_retentions([large, small], **mps)
    beside_large = predict_retentions([large, large], **mps)
    assert beside_small[0] > beside_large[0]
    # Without GPM readings they are somewhere in between.
    unknown = predict_retentions([large, make_record()], **mps)
    assert beside_large[0] < unknown[0] < beside_small[0]


def test_retention_of_records_is_one_alone_and_less_together() -> None:
    first, second = make_record("first"), make_record("second")
    assert predict_retentions([first], contention_factor=1) == (1.0,)
    # Both busy 40 % of the time: R = D (1 + 0.4), cycle 1 → 1 + 0.4 · 0.4.
    assert predict_retentions([first, second], contention_factor=1) == pytest.approx(
        (1 / 1.16, 1 / 1.16)
    )


def test_a_model_with_two_instances_has_two_customers() -> None:
    lone = make_record(load_point=LoadPoint(batch_size=1, concurrency=4))
    two = make_record(
        load_point=LoadPoint(batch_size=1, concurrency=4), num_model_instances=2
    )
    one_neighbor = predict_retentions([make_record(), lone], contention_factor=1)
    two_neighbors = predict_retentions([make_record(), two], contention_factor=1)
    # The same GPU time in two smaller shares queues less often behind one.
    assert one_neighbor[1] != pytest.approx(two_neighbors[1])


def test_the_highest_utilization_stands_in_for_a_missing_mean() -> None:
    with_mean = make_record()
    with_highest = make_record(
        gpu_utilization_mean_percent=None, gpu_utilization_percent=40.0
    )
    assert predict_retentions(
        [with_mean, with_mean], contention_factor=1
    ) == predict_retentions([with_highest, with_highest], contention_factor=1)


def test_beside_a_probed_neighbor_less_of_its_traffic_disturbs_less() -> None:
    # What the probe read holds per request, however many of them there are.
    def probed(name: str) -> ProfileRecord:
        return make_record(
            name,
            probe=ProbeReadings(
                throughput_infer_per_sec=60.0,
                full_kernel=KernelTimes(alone_us=20.0, beside_us=25.0),
                spread_kernel=KernelTimes(alone_us=20.0, beside_us=60.0),
                single_kernel=KernelTimes(alone_us=20.0, beside_us=22.0),
            ),
        )

    def kept(load: float) -> float:
        return predict_retentions(
            [probed("patient"), probed("neighbor")],
            contention_factor=1.15,
            shape=SHARING_SHAPES[SharingMode.MPS],
            loads=[1.0, load],
        )[0]

    shares = [kept(load) for load in (0.0, 0.1, 0.3, 0.6, 0.9, 0.999, 1.0)]

    assert shares[0] == pytest.approx(1.0)
    assert shares == sorted(shares, reverse=True)
    assert shares[-2] == pytest.approx(shares[-1], abs=0.001)
    # The patient waits W · Q, with Q = 0.4 · load requests of the neighbor at the GPU:
    # k = 1 / (1 + W · Q · X alone), so that 1 / k − 1 is in proportion to the load.
    assert 1 / shares[1] - 1 == pytest.approx(0.1 * (1 / shares[-1] - 1))


def test_what_is_kept_is_a_share_of_the_traffic() -> None:
    records = [make_record("busy"), make_record("calm")]

    def kept(*loads: float) -> tuple[float, ...]:
        return predict_retentions(records, contention_factor=1.0, loads=loads)

    # Each 4 ms at the GPU, 6 ms elsewhere. Of 100/s the neighbor asked for 50/s has
    # 4 / 20 of a request at the GPU: 1 / (10 + 4 · 0.2) ms = 92.6/s.
    assert kept(1.0, 0.5)[0] == pytest.approx(0.926, abs=0.001)
    assert kept(1.0, 0.5)[1] == 1.0  # beside the busy one it could reach 86/s
    assert kept(1.0, 0.0) == (pytest.approx(1.0), 1.0)
    assert kept(0.95, 1.0)[0] == pytest.approx(kept(1.0, 1.0)[0] / 0.95)


def test_a_missing_reading_is_named_with_the_way_to_get_it() -> None:
    record = make_record("bert", gpu_utilization_mean_percent=None)
    with pytest.raises(MissingReadingError, match=r"bert.*gpu_utilization.*profile"):
        predict_retentions([record, make_record()], contention_factor=1)


def test_profiles_of_two_gpu_types_do_not_share_a_gpu() -> None:
    other = make_record(gpu_type=GpuType(name="NVIDIA L4", memory_bytes=2**34))
    with pytest.raises(InvalidInputError, match="NVIDIA L4"):
        predict_retentions([make_record(), other], contention_factor=1)
