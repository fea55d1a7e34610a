"""Plain CSV tables: what is understood, and what is refused by row and column."""

import re
from pathlib import Path

import pytest

import gpupack
from gpupack.errors import InvalidInputError, ProfileDataError, StoreError
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
        ("m,1,1,5,1,1,1\nm,1,1,6,1,1,1", r"'m' at 1x1: .* 5 in row 2 and 6 in row 3"),
        (",,,,1,1,1\n,,,,2,2,2", r"server alone .* 1 MiB in row 2 and 2 MiB in row 3"),
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
        (
            "model_name,batch_size\nm,1\n",
            "missing columns concurrency.*or add a column concurrency$",
        ),
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

    with pytest.raises(ProfileDataError, match=r"twice\.csv.*row 2 and 6 in row 3"):
        gpupack.read_profiles(path)


def test_a_german_spreadsheet_is_read_with_all_its_readings(tmp_path: Path) -> None:
    path = tmp_path / "tabelle.csv"
    path.write_text(
        "Modell;GPU Typ;Batch;Conc.;Durchsatz (infer/s);Latenz p99 (ms);"
        "GPU-Speicher (MiB);GPU-Auslastung (%)\n"
        "bild;T4;8;2;1.412,5;38,2;3.400;61,5\n",
        encoding="utf-8",
    )

    (record,) = gpupack.read_profiles(path).records

    assert (record.model_name, record.gpu_type.name) == ("bild", "T4")
    assert str(record.load_point) == "8x2"
    assert record.throughput_infer_per_sec == 1412.5
    assert record.latency_p99_us == pytest.approx(38_200)
    assert record.gpu_memory_used_bytes == 3400 * 2**20
    assert record.gpu_utilization_percent == 61.5


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_unicode_text_of_a_spreadsheet_is_read_as_its_csv(
    tmp_path: Path, encoding: str
) -> None:
    """Excel's "Unicode Text": UTF-16 with a byte order mark, tabs and CR LF."""
    path = tmp_path / "table.txt"
    rows = "\ufeffmodel\tbatch\tconcurrency\ttput\r\nprüfung\t1\t2\t5,25\r\n"
    path.write_bytes(rows.encode(encoding))

    (record,) = gpupack.read_profiles(path).records

    assert record.model_name == "prüfung"
    assert str(record.load_point) == "1x2"
    assert record.throughput_infer_per_sec == 5.25


def test_own_profiles_are_read_from_utf_16(tmp_path: Path) -> None:
    """A shell of Windows writes what is redirected so."""
    path = tmp_path / "profiles.jsonl"
    profiles = gpupack.load_example("medical")
    gpupack.write_profiles(profiles, path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")

    assert gpupack.read_profiles(path).records == profiles.records


def test_utf_16_that_is_cut_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(f"{OWN_TITLES}\nm,1,1,5,1,1,1\n".encode("utf-16")[:-1])

    with pytest.raises(StoreError, match="begins as UTF-16.*save it as UTF-8"):
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


SPREADSHEET = """Model;Batch;Concurrency;tput;GPU-Util;VRAM (MB);p99 (ms);team
triton-server;;;;9 %;309;-;
one;1;4;1.234,5;61 %;1.461;12,5;red
two;2;4;120,25;[Not Supported];5.035;N/A;blue
Total;;;1.354,75;;;;
"""


def test_a_spreadsheets_habits_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbf" + SPREADSHEET.encode())

    profiles = gpupack.read_profiles(path)

    assert profiles.baselines[0].gpu_memory_used_bytes == 309 * MIB
    assert profiles.baselines[0].gpu_utilization_percent == 9
    one, two = profiles.records
    assert one.throughput_infer_per_sec == 1234.5
    assert one.gpu_memory_used_bytes == 1461 * MIB
    assert one.gpu_utilization_percent == 61
    assert one.latency_p99_us == 12_500
    assert two.throughput_infer_per_sec == 120.25
    assert two.gpu_utilization_percent is None
    assert two.latency_p99_us is None
    assert any("row 5 was left out" in note for note in profiles.notes)
    assert any("kept aside: 'team'" in note for note in profiles.notes)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_what_separates_cells_is_seen(separator: str) -> None:
    text = f"{OWN_TITLES}\nresnet,1,2,10.5,30,20,2000\n".replace(",", separator)

    (record,) = parse_table(text, "t.csv").records

    assert record.throughput_infer_per_sec == 10.5


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1234.5", 1234.5),
        ('"1,234.5"', 1234.5),
        ("1 234.5", 1234.5),
        ("1'234.5", 1234.5),
        ("1\u202f234.5", 1234.5),
        ("1.2345e3", 1234.5),
        ("1234.5 infer/sec", 1234.5),
        ('"1,234"', 1234.0),
        ("0,5", None),
        ("1,2,3", None),
        ("1 2", None),
        ("--5", None),
        ("12 furlongs", None),
    ],
)
def test_numbers_are_read_as_written_or_refused(cell: str, value: float | None) -> None:
    text = f"model,batch,concurrency,throughput\nm,1,1,{cell}\n"
    if value is None:
        with pytest.raises(ProfileDataError):
            parse_table(text, "t.csv")
        return
    assert parse_table(text, "t.csv").records[0].throughput_infer_per_sec == value


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ("12,5;7.25", "has a decimal point and .* a decimal comma"),
        ("1,234;5", "may be 1234 or 1.234"),
        ("1.234;5", "may be 1234 or 1.234"),
    ],
)
def test_numbers_that_may_be_read_in_two_ways_are_refused(
    cells: str, told: str
) -> None:
    text = f"model;batch;concurrency;throughput;p99 (ms)\nm;1;1;{cells}\n"

    with pytest.raises(ProfileDataError, match=told):
        parse_table(text, "t.csv")


@pytest.mark.parametrize(
    ("title", "cell", "mib"),
    [
        ("memory (GB)", "2", 2048),
        ("memory [GiB]", "2", 2048),
        ("gpu_memory_used_bytes", "1048576", 1),
        ("VRAM", "2000 MiB", 2000),
        ("peak memory", "2.5 GB", 2560),
        ("Memory usage", "1461", 1461),
    ],
)
def test_memory_is_read_in_its_unit(title: str, cell: str, mib: int) -> None:
    text = f"model,batch,concurrency,{title}\nm,1,1,{cell}\n"

    (record,) = parse_table(text, "t.csv").records

    assert record.gpu_memory_used_bytes == mib * MIB


@pytest.mark.parametrize(
    ("title", "cell", "told"),
    [
        ("memory", "6.9", "of a unit that its title does not name; give it"),
        ("memory", "7000000000", "of a unit that its title does not name"),
        ("gpu_utilization_percent", "0.61", "read in whole percents; say what it is"),
        ("memory (MiB)", "50 %", "'%' is no unit of it"),
    ],
)
def test_a_unit_that_cannot_be_known_is_asked_for(
    title: str, cell: str, told: str
) -> None:
    text = f"model,batch,concurrency,{title}\nm,1,1,{cell}\n"

    with pytest.raises(ProfileDataError, match=told):
        parse_table(text, "t.csv")


def test_shares_of_one_are_noticed() -> None:
    text = "model,batch,concurrency,gpu_util\na,1,1,0.61\nb,1,1,1\n"

    profiles = parse_table(text, "t.csv")

    assert [one.gpu_utilization_percent for one in profiles.records] == [61, 100]
    assert any("taken as shares" in note for note in profiles.notes)


def test_a_latency_without_a_unit_is_kept_aside_until_one_is_given(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("model,batch,concurrency,p99 latency\nm,1,1,12\n")

    (unread,) = gpupack.read_profiles(path).records
    (read,) = gpupack.read_profiles(path, units={"latency": "ms"}).records

    assert unread.latency_p99_us is None
    assert any("--unit latency=ms" in one for one in gpupack.read_profiles(path).notes)
    assert read.latency_p99_us == 12_000


def test_columns_and_units_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("net,bsize,par,speed,mem\nm,2,4,10,6.5\n")

    (record,) = gpupack.read_profiles(
        path,
        columns={
            "net": "model_name",
            "bsize": "batch_size",
            "par": "concurrency",
            "speed": "throughput_requests_per_sec",
        },
        units={"memory": "GB"},
    ).records

    assert str(record.load_point) == "2x4"
    # 10 requests of 2 inputs.
    assert record.throughput_infer_per_sec == 20
    assert record.gpu_memory_used_bytes == 6656 * MIB


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"columns": {"speed": "velocity"}}, "cannot mean 'velocity'"),
        ({"columns": {"absent": "batch_size"}}, "there is no column 'absent'"),
        ({"units": {"memory": "furlongs"}}, "it may be bytes, MiB"),
        ({"units": {"energy": "J"}}, "a unit is given for 'energy', but no column"),
        ({"units": "GB"}, "units is 'GB'; give a value by name"),
    ],
)
def test_what_is_said_of_a_table_must_hold(
    arguments: dict[str, object], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("model,batch,concurrency,speed,memory (MB)\nm,1,1,5,500\n")

    with pytest.raises(InvalidInputError, match=told):
        gpupack.read_profiles(path, **arguments)  # type: ignore[arg-type]


def test_two_columns_of_one_meaning_are_refused() -> None:
    text = "model,batch,concurrency,throughput,tput\nm,1,1,5,6\n"

    with pytest.raises(ProfileDataError, match="'throughput' and 'tput' are both"):
        parse_table(text, "t.csv")


def test_requests_a_second_count_every_input_of_a_request() -> None:
    text = "model,batch,concurrency,qps\nm,8,1,10\n"

    assert parse_table(text, "t.csv").records[0].throughput_infer_per_sec == 80


def test_a_request_rate_may_take_the_place_of_a_concurrency() -> None:
    text = "model,batch,request_rate,throughput\nm,2,8,16\n"

    assert str(parse_table(text, "t.csv").records[0].load_point) == "2@8/s"


def test_a_file_that_ends_within_a_row_is_refused() -> None:
    text = f"{OWN_TITLES}\nm,1,1,5,1,1,1\nm,1,2,5,1"

    with pytest.raises(ProfileDataError, match="row 3.*ends within a row.*stopped"):
        parse_table(text, "t.csv")


def test_a_variant_column_makes_alternatives_of_a_model() -> None:
    text = "model,variant,batch,concurrency,throughput\nm,fp16,1,1,9\nm,int8,1,1,12\n"

    profiles = parse_table(text, "t.csv")

    assert [str(one.load_point) for one in profiles.records] == ["fp16:1x1", "int8:1x1"]


def test_a_table_of_very_many_titles_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"title {index}" for index in range(100_000)) + "\n")

    with pytest.raises(ProfileDataError, match="not profiles") as caught:
        gpupack.read_profiles(path)

    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "row", ["{},1,1,zz{},1,1,1", "m,{},1,1,1,1,1", "m,1,1,{},1,1,1", "m,1,1,1,1,1,{}"]
)
def test_a_long_cell_is_not_repeated_in_full(tmp_path: Path, row: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{OWN_TITLES}\n{row.replace('{}', '9' * 100_000)}\n")

    with pytest.raises(ProfileDataError, match="row 2") as caught:
        gpupack.read_profiles(path)

    assert len(str(caught.value)) < 1000


def test_a_table_without_load_points_is_taken_as_one_request_at_a_time() -> None:
    text = (
        "model,gpu_util,mem_util,memory_mib,throughput,gpu\n"
        ",0,0,420,,T4\nranker,9,4,920,240,T4\nupscale,88,66,6600,6,T4\n"
        "total,97,70,7520,246,T4\n"
    )

    profiles = parse_table(text, "t.csv")

    assert [(one.model_name, str(one.load_point)) for one in profiles.records] == [
        ("ranker", "1x1"), ("upscale", "1x1"),
    ]  # fmt: skip
    assert profiles.records[0].throughput_infer_per_sec == 240
    assert len(profiles.baselines) == 1
    assert any("taken as 1 and 1" in note for note in profiles.notes)


@pytest.mark.parametrize(
    "titles",
    [
        "model,concurrency,gpu_util,memory_mib",  # of requests of how many inputs?
        "model,gpu_util,memory_mib,throughput_requests_per_sec",  # times what?
        "gpu_util,memory_mib,throughput",  # of whom?
    ],
)
def test_half_a_load_point_is_not_completed(titles: str) -> None:
    row = ",".join("m" if title == "model" else "1" for title in titles.split(","))

    with pytest.raises(ProfileDataError, match="missing columns"):
        parse_table(f"{titles}\n{row}\n", "t.csv")


@pytest.mark.parametrize(
    ("titles", "cells"),
    [
        ("host_cpu_cores,host_memory_mib", "1.5,2000.5"),
        ("Host CPU (%),Host memory (GiB)", "150,1.95361328125"),
        ("host cpus,host RAM MiB", "1.5,2000.5"),
    ],
)
def test_what_models_take_of_the_host_is_read(titles: str, cells: str) -> None:
    profiles = parse_table(
        f"{OWN_TITLES},{titles}\na,1,1,100,20,5,500,{cells}\n", "t.csv"
    )

    (record,) = profiles.records
    assert record.host_cpu_cores == 1.5
    assert record.host_memory_bytes == pytest.approx(2000.5 * MIB, rel=1e-6)
    assert record.gpu_memory_used_bytes == 500 * MIB


def test_what_the_server_alone_holds_of_the_host_is_read() -> None:
    profiles = parse_table(
        f"{OWN_TITLES},host_cpu_cores,host_memory_mib\n"
        ",,,,,,100,,900\n"
        "a,1,1,100,20,5,500,1.5,2000\n",
        "t.csv",
    )

    (baseline,) = profiles.baselines
    assert baseline.host_memory_bytes == 900 * MIB
