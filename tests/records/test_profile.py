import pytest
from pydantic import ValidationError

from gpupack.errors import InvalidInputError
from gpupack.records.profile import (
    LoadPoint,
    ProfileRecord,
    RecordOrigin,
    ServerBaseline,
)
from tests.factories import ENVIRONMENT, GPU, make_record


def test_a_load_point_reads_what_it_writes() -> None:
    point = LoadPoint(batch_size=2, concurrency=4)

    assert str(point) == "2x4"
    assert LoadPoint.parse("2x4") == point
    assert LoadPoint.parse(" 2X4 ") == point


@pytest.mark.parametrize(
    ("rate", "text"),
    [(16.0, "16"), (0.5, "0.5"), (0.00001, "0.00001"), (1e9, "1000000000")],
)
def test_a_rate_is_written_out_so_that_it_can_be_read(rate: float, text: str) -> None:
    point = LoadPoint(batch_size=2, requests_per_sec=rate)

    assert str(point) == f"2@{text}/s"
    assert LoadPoint.parse(str(point)) == point


@pytest.mark.parametrize(
    "text", ["", "2", "x", "2x", "x4", "0x1", "-1x1", "2x4x8", "axb"]
)
def test_a_load_point_that_is_not_two_positive_numbers_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="BATCHxCONCURRENCY"):
        LoadPoint.parse(text)


def test_a_record_of_before_estimates_is_measured() -> None:
    line = make_record().model_dump(mode="json", exclude={"origin"})

    assert ProfileRecord.model_validate(line).origin is RecordOrigin.MEASURED


def test_a_reading_without_value_needs_a_reason() -> None:
    with pytest.raises(ValidationError, match="gpu_memory_used_bytes"):
        ServerBaseline(
            gpu_type=GPU,
            environment=ENVIRONMENT,
            gpu_utilization_percent=0,
            memory_utilization_percent=0,
        )


def test_a_reason_for_a_reading_that_has_a_value_is_refused() -> None:
    with pytest.raises(ValidationError, match="have a value"):
        make_record(missing={"gpu_utilization_percent": "forgotten"})


def test_a_reason_for_a_field_that_is_no_reading_is_refused() -> None:
    with pytest.raises(ValidationError, match="no readings"):
        make_record(missing={"model_name": "forgotten"})


def test_a_specific_reason_takes_precedence_over_the_general_one() -> None:
    record = make_record(missing={"latency_p99_us": "too few requests"})

    assert record.missing["latency_p99_us"] == "too few requests"
    assert record.missing["latency_p50_us"] == "not measured in this test"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 100.1])
def test_impossible_percentages_are_refused(value: float) -> None:
    with pytest.raises(ValidationError):
        make_record(gpu_utilization_percent=value)


def test_a_throughput_of_zero_is_no_measurement() -> None:
    with pytest.raises(ValidationError):
        make_record(throughput_infer_per_sec=0)


def test_requests_per_second_are_throughput_over_batch_size() -> None:
    record = make_record(
        load_point=LoadPoint(batch_size=4, concurrency=1), throughput_infer_per_sec=100
    )

    assert record.requests_per_sec == 25


def test_records_are_frozen_and_closed() -> None:
    record = make_record()

    with pytest.raises(ValidationError, match="frozen"):
        record.model_name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        ProfileRecord.model_validate(record.model_dump() | {"speed": 1})


@pytest.mark.parametrize("field", ["batch_size", "concurrency"])
def test_a_load_point_of_a_billion_at_once_is_taken_for_an_error(field: str) -> None:
    most = {"batch_size": 1, "concurrency": 1} | {field: 999_999_999}

    assert LoadPoint.parse(str(LoadPoint(**most))) == LoadPoint(**most)
    for beyond in (10**9, 10**30):
        with pytest.raises(ValidationError, match="less than or equal to 999999999"):
            LoadPoint(**most | {field: beyond})
