"""Wishes in columns of the table that people already have."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gpupack
from gpupack.importers.reader import examine
from gpupack.importers.table_wishes import table_in, wishes_of
from gpupack.planning import wishes_beside
from gpupack.records.request import Request

TITLES = (
    "model_name,batch_size,concurrency,throughput_infer_per_sec,"
    "gpu_utilization_percent,memory_utilization_percent,gpu_memory_used_mib,gpu"
)


def read_table_wishes(path: Path, **told: Any) -> Request | None:
    found = table_in(path)
    return None if found is None else wishes_of(found, **told)


def table(tmp_path: Path, wishes: str, *cells: str) -> Path:
    path = tmp_path / "models.csv"
    rows = [f",,,,0,0,400,T4{',' * (wishes.count(',') + 1)}"]
    rows += [
        f"m{index % 2},1,{index + 1},100,40,10,1000,T4,{cell}"
        for index, cell in enumerate(cells)
    ]
    path.write_text("\n".join([f"{TITLES},{wishes}", *rows]) + "\n")
    return path


def test_columns_ask_what_a_request_asks(tmp_path: Path) -> None:
    path = table(
        tmp_path, "demand,latency_limit_ms,optional,min_retention",
        "250,50,no,90%", "20,,yes,", ",,,", "20,,,",
    )  # fmt: skip

    asked = read_table_wishes(path)

    assert asked == gpupack.Request.model_validate(
        {
            "models": {
                "m0": {
                    "demand": 250, "latency_limit_ms": 50, "optional": False,
                    "min_retention": 0.9,
                },
                "m1": {"demand": 20, "optional": True},
            }
        }
    )  # fmt: skip


def test_a_table_without_such_columns_asks_nothing(tmp_path: Path) -> None:
    assert read_table_wishes(table(tmp_path, "team", "a", "b")) is None


def test_rows_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    path = table(tmp_path, "demand", "250", "20", "300")

    with pytest.raises(gpupack.ProfileDataError, match=r"row 5: demand is 300.*250"):
        read_table_wishes(path)


@pytest.mark.parametrize(
    ("wish", "cell", "told"),
    [
        ("demand", "-1", "models.m0.demand is -1"),
        ("demand", "many", "not a number"),
        ("demand", "5 ms", "the number alone"),
        ("optional", "perhaps", "yes or no"),
    ],
)
def test_a_cell_that_is_no_such_wish_is_named(
    wish: str, cell: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(gpupack.GpupackError, match=told):
        read_table_wishes(table(tmp_path, wish, cell))


@pytest.mark.parametrize(
    ("title", "cell", "wish", "value"),
    [
        ("demand (req/s)", "20", "demand", 20),
        ("Demand (per minute)", "1200", "demand", 20),
        ("demand per hour", "72000", "demand", 20),
        ("demand_rps", "20", "demand", 20),
        ("Demand [requests/day]", "1728000", "demand", 20),
        ("demand, infer/sec", "20", "demand", 20),
        ("demand in qps", "20", "demand", 20),
        ("demand_infer_per_sec", "20", "demand", 20),
        ("demand", "1200 per minute", "demand", 20),
        ("demand", "20 req/s", "demand", 20),
        ("latency limit (s)", "0.05", "latency_limit_ms", 50),
        ("Latency limit [us]", "50000", "latency_limit_ms", 50),
        ("latency_limit_ms", "0.05 s", "latency_limit_ms", 50),
        ("min retention (%)", "90", "min_retention", 0.9),
        ("Min traffic (req/min)", "60", "min_traffic", 1),
        ("Max replicas", "3", "max_replicas", 3),
        ("One load point", "yes", "one_load_point", True),
    ],
)
def test_titles_and_cells_say_the_unit_of_a_wish(
    title: str, cell: str, wish: str, value: object, tmp_path: Path
) -> None:
    path = table(tmp_path, f'"{title}"', cell)

    asked = read_table_wishes(path)

    assert asked is not None
    assert getattr(asked.of_model("m0"), wish) == value
    reading = gpupack.read_profiles(path)
    assert not any("kept aside" in note for note in reading.notes)
    assert any(repr(title) in note for note in reading.notes)


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("demand (furlongs)", "furlongs is no unit of a demand"),
        ("latency limit", "in which unit the latency limit is"),
        ("demand forecast", "kept aside"),
        ("sla", "kept aside"),
    ],
)
def test_a_title_in_no_such_unit_is_kept_aside_and_named(
    title: str, told: str, tmp_path: Path
) -> None:
    path = table(tmp_path, title, "20")

    assert read_table_wishes(path) is None
    (note,) = gpupack.read_profiles(path).notes
    assert repr(title) in note
    assert told in note


def test_a_request_holds_as_many_inferences_as_the_batch_size_says(
    tmp_path: Path,
) -> None:
    path = tmp_path / "models.csv"
    rows = ["a,8,1,100,40,10,1000,T4,20", "b,1,1,100,40,10,1000,T4,20"]
    path.write_text("\n".join([f"{TITLES},demand (req/s)", *rows]) + "\n")

    asked = read_table_wishes(path)

    assert asked is not None
    assert asked.of_model("a").demand == 8 * 20
    assert asked.of_model("b").demand == 20
    path.write_text(path.read_text() + "a,4,1,80,40,10,900,T4,20\n")
    with pytest.raises(gpupack.ProfileDataError, match="in infer/sec, where batch siz"):
        read_table_wishes(path)


def test_two_columns_that_ask_the_same_are_named(tmp_path: Path) -> None:
    path = table(tmp_path, "demand,demand (req/s)", "20,20")

    with pytest.raises(gpupack.ProfileDataError, match=r"'demand' and 'demand \(req/s"):
        read_table_wishes(path)


def test_place_asks_what_its_table_says(tmp_path: Path) -> None:
    # 250 at 100 infer/sec a copy: three copies, of 40 % at their full rate.
    path = table(tmp_path, "demand", "250", "20")

    done = subprocess.run(
        [sys.executable, "-m", "gpupack", "place", str(path), "--json",
         str(tmp_path / "out.json")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    placement = gpupack.read_placement(tmp_path / "out.json")
    assert placement.served_infer_per_sec == pytest.approx(
        {"m0": 250.0, "m1": 20.0}, rel=1e-5
    )
    assert "demand" not in done.stdout.partition("not understood")[2]


def test_the_path_of_a_table_asks_in_python_as_in_the_shell(tmp_path: Path) -> None:
    path = table(tmp_path, "demand", "250", "20")

    for source in (path, str(path)):
        asked = gpupack.place(source, gpus="T4", time_limit_s=1)
        assert asked.served_infer_per_sec == pytest.approx({"m0": 250, "m1": 20})
        assert not any("wishes" in text for text in asked.warnings)
    frontier = gpupack.frontier(path, time_limit_s=1, find_headroom=False)
    assert frontier.wanted_infer_per_sec == pytest.approx(270)
    found = gpupack.recommend(path, time_limit_s=1)
    assert found.has_demands


def test_profiles_that_were_read_alone_say_that_wishes_are_not_asked(
    tmp_path: Path,
) -> None:
    profiles = gpupack.read_profiles(table(tmp_path, "demand,team", "250,a", "20,b"))

    wishes, aside = profiles.notes

    assert "wishes about models" in wishes
    assert "'demand'" in wishes
    assert "kept aside: 'team'" in aside
    assert wishes in gpupack.place(profiles).warnings


def test_a_request_wins_over_the_table_and_nothing_else_of_it_is_lost(
    tmp_path: Path,
) -> None:
    path = table(tmp_path, "demand,replicas", "250,4", "20,")
    request = gpupack.Request(models={"m0": {"demand": 100}})  # type: ignore[dict-item]

    placed = gpupack.place(path, request=request, time_limit_s=1)
    argued = gpupack.place(path, demand={"m1": 30.0}, time_limit_s=1)

    assert placed.served_infer_per_sec == pytest.approx({"m0": 100, "m1": 20})
    assert placed.request is not None
    assert placed.request.of_model("m0").replicas == 4
    assert any("models.m0.demand of the table" in one for one in placed.warnings)
    assert argued.served_infer_per_sec == pytest.approx({"m0": 250, "m1": 30})
    assert any("models.m1.demand" in one for one in argued.warnings)


def test_a_row_of_totals_asks_nothing(tmp_path: Path) -> None:
    path = table(tmp_path, "demand", "5", "6")
    path.write_text(f"{path.read_text()}Total,,,200,80,20,2000,,11\n")

    asked = read_table_wishes(path)

    assert asked is not None
    assert set(asked.models) == {"m0", "m1"}


def named_otherwise(tmp_path: Path, titles: str, row: str) -> Path:
    path = tmp_path / "own.csv"
    path.write_text(f"{titles},concurrency,qps,gpu%,mem_gib,gpu\n{row},4,100,40,1,T4\n")
    return path


@pytest.mark.parametrize(
    ("titles", "row", "told", "demand"),
    [
        # A title that asks by itself, in tables whose other columns are named by hand.
        ("net,batch,demand rps", "m,8,5", {"columns": {"net": "model_name"}}, 40),
        ("model,b,demand rps", "m,8,5", {"columns": {"B": "batch_size"}}, 40),
        ("demand rps,batch", "5,8", {"model_name": "m"}, 40),
        ("model,demand rps", "m,5", {"batch_size": 8}, 40),
        # One of which the caller says that it asks: the title's unit counts.
        ("model,batch,rps needed", "m,8,5", {"columns": {"rps needed": "demand"}}, 40),
        ("model,batch,needed", "m,8,5", {"columns": {"needed": "demand"}}, 5),
        ("model,batch,per_minute", "m,8,60",
         {"columns": {"per_minute": "demand (req/min)"}}, 8),
        ("model,batch,peak req/min", "m,8,60",
         {"columns": {"peak req/min": "demand"}}, 8),
    ],
)  # fmt: skip
def test_what_is_said_of_columns_holds_for_what_they_ask(
    tmp_path: Path, titles: str, row: str, told: dict[str, object], demand: float
) -> None:
    path = named_otherwise(tmp_path, titles, row)

    asked = read_table_wishes(path, **told)

    assert asked is not None
    assert asked.models["m"].demand == demand
    assert gpupack.read_profiles(path, **told).model_names == ("m",)  # type: ignore[arg-type]


def test_a_column_that_is_ignored_asks_nothing(tmp_path: Path) -> None:
    path = named_otherwise(tmp_path, "model,batch,demand", "m,8,5")

    assert read_table_wishes(path, columns={"demand": "ignore"}) is None


@pytest.mark.parametrize(
    ("title", "meaning", "told"),
    [
        ("max p99", "latency_limit", "in which unit the latency limit is"),
        ("traffic per minute", "demand", "traffic per minute is no unit of a demand"),
        ("needed", "demands", r"what is asked of the model \(demand, "),
    ],
)
def test_a_meaning_that_leaves_a_doubt_is_refused(
    tmp_path: Path, title: str, meaning: str, told: str
) -> None:
    path = named_otherwise(tmp_path, f"model,batch,{title}", "m,8,5")

    with pytest.raises(gpupack.InvalidInputError, match=told):
        gpupack.read_profiles(path, columns={title: meaning})


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("place",), '"demand": 250.0'),
        (("recommend",), '"demand": 250.0'),
        (("frontier",), '"demand": 250.0'),
        (("init", "--from"), "demand: 250"),
    ],
)
def test_commands_ask_what_columns_are_said_to_ask(
    tmp_path: Path, command: tuple[str, ...], said: str
) -> None:
    path = named_otherwise(tmp_path, "net,batch,needed", "m,1,250")
    words = [str(path), "--column", "net=model_name", "--column", "needed=demand"]
    words += ["-"] if command[0] == "init" else ["--json", "-", "--time-limit", "1"]

    done = subprocess.run(
        [sys.executable, "-m", "gpupack", *command, *words],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert said in done.stdout


ROWS = [
    {
        "model_name": name,
        "batch_size": 4,
        "concurrency": 1,
        "throughput_infer_per_sec": 100,
        "gpu_utilization_percent": 40,
        "gpu_memory_used_mib": 1000,
        "gpu": "T4",
        "demand (req/min)": demand,
        "optional": optional,
    }
    for name, demand, optional in (("a", 60, True), ("b", None, False))
]


def as_csv(separator: str) -> bytes:
    lines = [ROWS[0].keys(), *(row.values() for row in ROWS)]
    cells = [["" if one is None else str(one) for one in line] for line in lines]
    return "".join(f"{separator.join(line)}\n" for line in cells).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", as_csv(",")),
        ("rows.tsv", as_csv("\t")),
        ("rows.txt", as_csv("|")),
        ("rows", as_csv(";")),
        ("rows.csv.gz", gzip.compress(as_csv(","))),
        ("rows.json", json.dumps(ROWS).encode()),
        ("rows.json", json.dumps(ROWS, indent=2).encode()),
        ("rows.jsonl", "".join(f"{json.dumps(one)}\n" for one in ROWS).encode()),
        ("rows.ndjson.gz", gzip.compress(json.dumps(ROWS).encode())),
        ("columns.json", json.dumps(
            {key: [row[key] for row in ROWS] for key in ROWS[0]}).encode()),
        ("split.json", json.dumps(
            {"columns": list(ROWS[0]), "index": [0, 1],
             "data": [list(row.values()) for row in ROWS]}).encode()),
    ],
)  # fmt: skip
def test_every_kind_of_table_asks_the_same(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    placed = gpupack.place(path)

    assert placed.request is not None
    # 60 requests a minute of 4 inferences each.
    assert placed.request.of_model("a").demand == 4
    assert placed.request.of_model("a").optional is True
    assert placed.request.of_model("b").demand is None
    assert not any("asked for where the file itself" in one for one in placed.warnings)


@pytest.mark.parametrize(
    ("title", "units", "asked"),
    [
        ("demand", {"demand": "req/min"}, {"demand": 4}),
        ("Demand", {"DEMAND": "infer/h"}, {"demand": 0.0166666666667}),
        ("latency limit", {"latency limit": "s"}, {"latency_limit_ms": 60000}),
        ("latency_limit_ms", {"latency_limit": "us"}, {"latency_limit_ms": 0.06}),
        ("demand (req/min)", {"demand (req/min)": "req/s"}, {"demand": 240}),
        ("min_traffic", {"min traffic": "per hour"}, {"min_traffic": 0.0166666666667}),
    ],
)
def test_a_unit_that_is_given_reaches_wishes(
    tmp_path: Path, title: str, units: dict[str, str], asked: dict[str, float]
) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"model,batch,concurrency,qps,gpu%,gpu,{title}\nm,4,1,9,40,T4,60\n")

    found = read_table_wishes(path, units=units)

    assert found is not None
    assert {
        name: getattr(found.models["m"], name) for name in asked
    } == asked  # 60 of each
    (note,) = [
        one.note for one in examine(path, units=units).sources[0].columns if one.wish
    ]
    assert "as given" in note


def test_a_unit_that_is_none_of_the_wish_says_what_may_be(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("model,batch,concurrency,qps,gpu%,gpu,demand\nm,4,1,9,40,T4,60\n")

    for read in (gpupack.read_profiles, read_table_wishes):
        with pytest.raises(gpupack.InvalidInputError, match=r"'ms'.*per minute"):
            read(path, units={"demand": "ms"})  # type: ignore[operator]


def test_a_unit_reaches_wishes_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text(
        "model,batch,concurrency,qps,gpu%,mem MiB,gpu,needed\nm,4,1,50,40,900,T4,600\n"
    )
    ran = subprocess.run(
        [*(sys.executable, "-m", "gpupack", "place", str(path)),
         *("--column", "needed=demand", "--unit", "needed=req/min"),
         *("--json", str(tmp_path / "out.json"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    placed = gpupack.read_placement(tmp_path / "out.json")
    assert placed.request is not None
    assert placed.request.of_model("m").demand == 40


def test_what_holds_no_table_asks_nothing_and_is_not_read_twice(
    tmp_path: Path,
) -> None:
    asks = '{"objective": "max_throughput", "headroom": 0.8}'
    raw = '{"experiments": [{"experiment": {}}]}'
    for name, content in (("a.yaml", "gpus: 1"), ("b.json", asks), ("c.json", raw)):
        (tmp_path / name).write_text(content)
        assert wishes_beside(tmp_path / name) is None


def test_numbers_of_wishes_are_written_as_those_of_readings(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    # 432.000 alone may be a thousand or one and a bit; 7,25 says that it is many.
    path.write_text(
        "model;batch;concurrency;tput;p99 (ms);demand (req/h)\na;1;4;80;7,25;432.000\n"
    )
    asked = read_table_wishes(path)
    assert asked is not None
    assert asked.models["a"].demand == 120

    path.write_text(
        "model;batch;concurrency;tput;p99 (ms);demand\na;1;4;1.381;7;43,2\n"
    )
    (record,) = gpupack.read_profiles(path).records
    assert record.throughput_infer_per_sec == 1381

    path.write_text("model;batch;concurrency;tput;demand\na;1;4;13.81;43,2\n")
    for read in (gpupack.read_profiles, read_table_wishes):
        with pytest.raises(gpupack.ProfileDataError, match="write all numbers in one"):
            read(path)  # type: ignore[operator]
