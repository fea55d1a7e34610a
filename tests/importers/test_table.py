"""Plain CSV tables: what is understood, and what is refused by row and column."""

import re
from pathlib import Path

import pytest

import gpupack
from gpupack.errors import ProfileDataError, StoreError
from gpupack.importers.table import parse_table
from tests.factories import MIB

PUBLISHED_TITLES = (
    "Model,Batch,Concurrency,Throughput,Max Memory Utilization (%),"
    "Max GPU Utilization (%),Max GPU Memory (MB)"
)
PUBLISHED = f"""{PUBLISHED_TITLES}
,,,,0,9,309
classification_breast,2,4,1381.6,1,23,1461
"segmentation, liver",2,4,28,53,76,11051
"""
OWN_TITLES = (
    "model_name,batch_size,concurrency,throughput_infer_per_sec,"
    "gpu_utilization_percent,memory_utilization_percent,gpu_memory_used_mib"
)


def test_the_published_columns_are_understood() -> None:
    profiles = parse_table(PUBLISHED, "t.csv")

    (baseline,) = profiles.baselines
    assert baseline.gpu_memory_used_bytes == 309 * MIB
    assert baseline.gpu_utilization_percent == 9
    assert profiles.model_names == ("classification_breast", "segmentation, liver")
    breast = profiles.select("classification_breast").records[0]
    assert str(breast.load_point) == "2x4"
    assert breast.throughput_infer_per_sec == 1381.6
    assert breast.memory_utilization_percent == 1
    assert breast.gpu_utilization_percent == 23
    assert breast.gpu_memory_used_bytes == 1461 * MIB
    assert "latency_p99_ms" in breast.missing["latency_p99_us"]


def test_a_published_table_gives_the_published_placement(tmp_path: Path) -> None:
    medical = gpupack.load_example("medical")
    baseline = medical.baselines[0]
    lines = [
        PUBLISHED_TITLES,
        f",,,,{baseline.memory_utilization_percent},"
        f"{baseline.gpu_utilization_percent},309",
    ]
    for record in medical.records:
        assert record.gpu_memory_used_bytes is not None
        lines.append(
            f"{record.model_name},2,4,{record.throughput_infer_per_sec},"
            f"{record.memory_utilization_percent},{record.gpu_utilization_percent},"
            f"{record.gpu_memory_used_bytes // MIB}"
        )
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")

    profiles = gpupack.read_profiles(path)

    assert gpupack.place(profiles, gpus="16GB").num_gpus == 4
    assert gpupack.place(profiles, "max_throughput", gpus="16GB").num_gpus == 6


def test_own_columns_latencies_and_gpu_are_understood() -> None:
    text = f"{OWN_TITLES},latency_p99_ms,gpu\nresnet,1,2,10.5,30,20,2000,7.5,T4\n"

    (record,) = parse_table(text, "t.csv").records

    assert record.gpu_type.name == "T4"
    assert record.latency_p99_us == 7500
    assert record.gpu_memory_used_bytes == 2000 * MIB


def test_an_empty_cell_is_a_missing_reading_and_not_zero() -> None:
    (record,) = parse_table(f"{OWN_TITLES}\nresnet,1,1,5,,3,10\n", "t.csv").records

    assert record.gpu_utilization_percent is None
    assert record.missing["gpu_utilization_percent"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("m,1,1,nan,1,1,1", r"row 2: throughput_infer_per_sec is nan"),
        ("m,1,1,inf,1,1,1", r"row 2: throughput_infer_per_sec is inf"),
        ("m,1,1,-5,1,1,1", r"row 2: throughput_infer_per_sec is -5"),
        ("m,1,1,fast,1,1,1", r"row 2: throughput_infer_per_sec is 'fast'"),
        ("m,1,1,5,101,1,1", r"row 2: gpu_utilization_percent is 101"),
        ("m,1,1,5,1,100.5,1", r"row 2: memory_utilization_percent is 100.5"),
        ("m,0,1,5,1,1,1", r"row 2: batch_size is '0'"),
        ("m,1,-1,5,1,1,1", r"row 2: concurrency is '-1'"),
        ("m,two,1,5,1,1,1", r"row 2: batch_size is 'two'"),
        (
            "m,1" + 5000 * "0" + ",1,5,1,1,1",
            r"row 2: batch_size is '10+…0+'; .* digits",
        ),
        ("m,1,1,5,1,1,1e308", r"row 2: gpu_memory_used_mib is 1e308; .* finite"),
        ("m,,1,5,1,1,1", r"row 2: batch_size is ''"),
        ("m,1,1,5,1,1", r"row 2: 6 cells under 7 titles"),
        ("m,1,1,5,1,1,1,9", r"row 2: 8 cells under 7 titles"),
        ("m,1,1,0,1,1,1", r"row 2: throughput_infer_per_sec is 0"),
        ("m,1,1,5,1,1,1\nm,1,1,6,1,1,1", r"'m' has 2 records at load point 1x1"),
        (",,,,1,1,1\n,,,,2,2,2", r"2 server-only baselines"),
        ('"m,1,1,5,1,1,1', r"not a CSV table"),
    ],
)
def test_a_value_that_cannot_be_is_named_by_row_and_column(
    row: str, message: str
) -> None:
    with pytest.raises(ProfileDataError, match=message):
        parse_table(f"{OWN_TITLES}\n{row}\n", "t.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (OWN_TITLES, "no rows"),
        ("model_name,batch_size\nm,1\n", "missing columns concurrency"),
        ("batch_size,concurrency,gpu\n1,1,T4\n", "missing columns model_name"),
        ("model_name\tbatch_size\nm\t1\n", "missing columns concurrency"),
        (f"{OWN_TITLES},gpu,gpu\nm,1,1,1,1,1,1,T4,T4\n", "named twice: gpu"),
        (f"{OWN_TITLES},gpu\nm,1,1,1,1,1,1,Z80\n", "row 2: unknown GPU 'Z80'"),
    ],
)
def test_a_table_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(ProfileDataError, match=message):
        parse_table(text, "t.csv")


def test_the_message_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my table.csv"
    path.write_text("nonsense\n1\n")

    with pytest.raises(ProfileDataError, match=re.escape(str(path))):
        gpupack.read_profiles(path)


def test_records_that_contradict_each_other_are_named_with_their_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "twice.csv"
    path.write_text(f"{OWN_TITLES}\nm,1,1,5,1,1,1\nm,1,1,6,1,1,1\n")

    with pytest.raises(ProfileDataError, match=r"twice\.csv.*'m' has 2 records"):
        gpupack.read_profiles(path)


def test_a_spreadsheets_other_encoding_is_named_with_the_way_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"{OWN_TITLES}\nm,1,1,5,1,1,1\n", encoding="utf-16")

    with pytest.raises(StoreError, match="it is UTF-16.*save it as UTF-8"):
        gpupack.read_profiles(path)


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_first_title(
    tmp_path: Path,
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{OWN_TITLES}\nm,1,1,5,1,1,1\n".encode())

    assert gpupack.read_profiles(path).model_names == ("m",)


def test_a_file_that_is_not_there_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        gpupack.read_profiles(tmp_path / "absent.csv")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_text("")

    with pytest.raises(ProfileDataError, match="empty"):
        gpupack.read_profiles(path)


def test_profiles_of_an_unknown_gpu_survive_a_round_trip(tmp_path: Path) -> None:
    profiles = parse_table(PUBLISHED, "t.csv")
    placement = gpupack.place(profiles, gpus="16GB")

    gpupack.write_profiles(profiles, tmp_path / "profiles.jsonl")
    gpupack.write_placement(placement, tmp_path / "placement.json")

    assert gpupack.read_profiles(tmp_path / "profiles.jsonl") == profiles
    assert gpupack.read_placement(tmp_path / "placement.json") == placement
