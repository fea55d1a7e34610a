from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gpupack.errors import StoreError
from gpupack.examples import load_example
from gpupack.importers.reader import read_profiles
from gpupack.profile_set import ProfileSet
from gpupack.profiling.devices.host import HostDevice
from gpupack.profiling.sweep.exports import (
    GPU_FILE,
    INFERENCE_FILE,
    PROFILE_FILE,
    SERVER_FILE,
    write_article_tables,
)
from gpupack.records.gpu import DeviceKind
from gpupack.records.profile import GpuReadings
from tests.factories import make_record

ARTICLE_TITLES = [
    *("Model", "Batch", "Concurrency", "Throughput"),
    *("Max Memory Utilization (%)", "Max GPU Utilization (%)", "Max GPU Memory (MB)"),
]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def readings_of(one: GpuReadings) -> tuple[object, ...]:
    return (
        one.gpu_type,
        one.gpu_utilization_percent,
        one.memory_utilization_percent,
        one.gpu_memory_used_bytes,
    )


def test_the_tables_have_the_article_s_titles_and_numbers(tmp_path: Path) -> None:
    write_article_tables(load_example("medical"), tmp_path)

    (server,) = read_rows(tmp_path / SERVER_FILE)
    rows = read_rows(tmp_path / INFERENCE_FILE)
    assert list(server)[:7] == ARTICLE_TITLES
    assert list(rows[0])[:7] == ARTICLE_TITLES
    assert [server[title] for title in ARTICLE_TITLES] == [
        *("", "", "", ""),
        *("0.0", "9.0", "309"),
    ]
    (liver,) = (row for row in rows if row["Model"] == "segmentation_liver")
    assert [liver[title] for title in ARTICLE_TITLES[1:]] == [
        *("2", "4", "28.0"),
        *("53.0", "76.0", "11051"),
    ]
    assert len(rows) == len(read_rows(tmp_path / GPU_FILE)) == 9


def test_a_folder_of_exports_comes_back_as_it_was(tmp_path: Path) -> None:
    original = load_example("medical")
    write_article_tables(original, tmp_path)
    (tmp_path / PROFILE_FILE).unlink()  # the tables alone

    again = read_profiles(tmp_path)

    assert list(map(readings_of, again.baselines)) == list(
        map(readings_of, original.baselines)
    )
    assert [
        (one.key, one.throughput_infer_per_sec, readings_of(one))
        for one in again.records
    ] == [
        (one.key, one.throughput_infer_per_sec, readings_of(one))
        for one in original.records
    ]


@pytest.mark.parametrize("name", [SERVER_FILE, INFERENCE_FILE, GPU_FILE])
def test_each_table_can_be_read_alone(tmp_path: Path, name: str) -> None:
    original = load_example("medical")
    write_article_tables(original, tmp_path)

    again = read_profiles(tmp_path / name)

    if name == SERVER_FILE:
        assert len(again.baselines) == 1
    else:
        assert again.model_names == original.model_names


def test_gpupack_s_own_file_beside_the_tables_keeps_everything(tmp_path: Path) -> None:
    original = load_example("medical")
    write_article_tables(original, tmp_path)

    assert read_profiles(tmp_path / PROFILE_FILE) == original


def test_a_folder_of_exports_does_not_forget_what_never_settled(tmp_path: Path) -> None:
    unsettled = make_record(is_stable=False)
    write_article_tables(ProfileSet(records=(unsettled,)), tmp_path)

    assert read_profiles(tmp_path).records == (unsettled,)


def test_what_was_not_measured_is_an_empty_cell(tmp_path: Path) -> None:
    record = load_example("medical").records[0]
    unread = record.model_copy(
        update={
            "memory_utilization_percent": None,
            "missing": record.missing
            | {"memory_utilization_percent": "not for a MIG device"},
        }
    )
    write_article_tables(ProfileSet(records=(unread,)), tmp_path)

    (row,) = read_rows(tmp_path / INFERENCE_FILE)
    assert row["Max Memory Utilization (%)"] == ""
    assert row["p99 Latency (ms)"] == ""
    # A sweep without a baseline: the table is there, with no row, and is no obstacle.
    assert read_rows(tmp_path / SERVER_FILE) == []
    (tmp_path / PROFILE_FILE).unlink()  # the tables alone
    assert read_profiles(tmp_path).records[0].memory_utilization_percent is None


def test_a_host_comes_back_from_the_tables_as_a_host(tmp_path: Path) -> None:
    host = HostDevice().gpu_type
    record = load_example("medical").records[0].model_copy(update={"gpu_type": host})
    write_article_tables(ProfileSet(records=(record,)), tmp_path)
    (tmp_path / PROFILE_FILE).unlink()  # the tables alone

    (again,) = read_profiles(tmp_path).records

    assert (again.gpu_type.name, again.gpu_type.kind) == (host.name, DeviceKind.HOST)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreError, match=r"to the folder .*file/sub"):
        write_article_tables(load_example("medical"), tmp_path / "file" / "sub")
