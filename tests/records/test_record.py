"""Records made after a template are those that validation makes."""

import pickle

import pytest
from pydantic import ValidationError

from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType
from gpupack.records.profile import LoadPoint, ProfileRecord
from gpupack.records.record import RecordTemplate

POINT = LoadPoint(batch_size=2, concurrency=4)
READINGS = ("throughput_infer_per_sec", "gpu_memory_used_bytes")


def make(**values: object) -> ProfileRecord:
    given: dict[str, object] = {
        "model_name": "m",
        "load_point": POINT,
        "gpu_type": GpuType(name="T4", memory_bytes=2**34),
        "environment": Environment(source="test"),
        "throughput_infer_per_sec": 10.0,
        "gpu_memory_used_bytes": 1000,
    }
    return ProfileRecord.with_reason("not read", **given | values)


def template() -> RecordTemplate[ProfileRecord]:
    return RecordTemplate(make(), ("model_name", "load_point", *READINGS))


def test_a_record_after_a_template_is_the_one_that_validation_makes() -> None:
    point = LoadPoint(batch_size=1, requests_per_sec=2.5)
    made = template().record(
        model_name="other",
        load_point=point,
        throughput_infer_per_sec=3,  # a whole number becomes a float, as elsewhere
        gpu_memory_used_bytes=7,
    )
    validated = make(
        model_name="other",
        load_point=point,
        throughput_infer_per_sec=3,
        gpu_memory_used_bytes=7,
    )

    assert made == validated
    assert hash(made) == hash(validated)
    assert made.model_dump_json() == validated.model_dump_json()
    assert made.model_fields_set == validated.model_fields_set
    assert type(made.throughput_infer_per_sec) is float
    assert pickle.loads(pickle.dumps(made)) == made
    changed = made.model_copy(update={"model_name": "third"})
    assert (made.model_name, changed.model_name) == ("other", "third")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("throughput_infer_per_sec", 0.0),
        ("throughput_infer_per_sec", float("inf")),
        ("throughput_infer_per_sec", float("nan")),
        ("gpu_memory_used_bytes", -1),
        ("gpu_memory_used_bytes", 2**63),
        ("gpu_memory_used_bytes", 1.5),
        ("model_name", ""),
        ("load_point", "1x1"),
        ("throughput_infer_per_sec", None),
    ],
)
def test_what_a_field_may_not_be_is_refused_by_its_name(
    field: str, value: object
) -> None:
    values: dict[str, object] = {
        "model_name": "m",
        "load_point": POINT,
        "throughput_infer_per_sec": 10.0,
        "gpu_memory_used_bytes": 1000,
    }
    with pytest.raises(ValidationError, match=field):
        template().record(**values | {field: value})
