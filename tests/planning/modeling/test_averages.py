"""Average utilization stands in for the highest where traffic must be served."""

import pytest

import gpupack
from gpupack.errors import MissingReadingError
from gpupack.profile_set import ProfileSet
from gpupack.records.profile import ProfileRecord, ServerBaseline
from tests.factories import make_baseline, make_record


def averages_only(**values: object) -> ProfileRecord:
    record = make_record(**values)
    return ProfileRecord.with_reason(
        "the source gives averages",
        **record.model_dump(
            exclude={
                "missing",
                "gpu_utilization_percent",
                "memory_utilization_percent",
                "gpu_utilization_mean_percent",
            }
        )
        | {"gpu_utilization_mean_percent": 60.0},
    )


def profiles_of(*records: ProfileRecord) -> ProfileSet:
    baseline: ServerBaseline = make_baseline()
    return ProfileSet(records=records, baselines=(baseline,))


def test_averages_of_traffic_add_up_on_a_gpu() -> None:
    record = averages_only(model_name="a", throughput_infer_per_sec=100.0)
    profiles = profiles_of(record)

    # 60 % busy at 100/s, a GPU serves 166/s: 330/s take two.
    placement = gpupack.place(profiles, demand={"a": 330})

    assert placement.num_gpus == 2
    assert any("average counts" in text for text in placement.warnings)
    explained = gpupack.explain(placement, profiles)
    assert explained is not None


def test_the_promise_of_no_loss_is_not_made_of_averages() -> None:
    record = averages_only(model_name="a", throughput_infer_per_sec=100.0)

    with pytest.raises(MissingReadingError, match="gpu_utilization_percent"):
        gpupack.place(profiles_of(record), "max_throughput")
