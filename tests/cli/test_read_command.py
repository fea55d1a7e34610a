"""``gpupack read``, and the options by which commands are told of a source."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gpupack
from gpupack.cli.app import app

TABLE = """model,batch,concurrency,tput,memory,team
,,,,0.3,
one,1,4,120.5,6.5,red
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def test_every_column_is_shown_with_what_is_missing(table: Path) -> None:
    result = CliRunner().invoke(app, ["read", str(table), "--unit", "memory=GB"])

    assert result.exit_code == 0
    assert "throughput_infer_per_sec" in result.stdout
    assert "GB, taken as GiB" in result.stdout
    assert "(kept aside)" in result.stdout
    assert "nothing is missing for min_gpus and min_cost" in result.stdout
    assert "missing for max_throughput" in result.stdout
    assert "kept aside: 'team'" in " ".join(result.stderr.split())


def test_it_converts_and_says_so_in_json(table: Path, tmp_path: Path) -> None:
    own, told = tmp_path / "profiles.jsonl", tmp_path / "told.json"
    options = ["--unit", "memory=GB", "--gpu", "T4", "--to", str(own)]

    result = CliRunner().invoke(
        app, ["read", str(table), *options, "--json", str(told), "--quiet"]
    )

    assert result.exit_code == 0
    assert result.stdout == ""
    (record,) = gpupack.read_profiles(own).records
    assert record.gpu_type.name == "T4"
    assert record.gpu_memory_used_bytes == 6656 * 2**20
    found = json.loads(told.read_text())
    assert found["num_records"] == 1
    assert found["lacking"]["min_gpus"] == []
    assert found["sources"][0]["columns"][3]["field"] == "throughput_infer_per_sec"


def test_planning_takes_the_same_options(table: Path) -> None:
    options = ["--unit", "memory=GB", "--column", "team=ignore", "--gpu", "T4"]

    result = CliRunner().invoke(app, ["place", str(table), *options])

    assert result.exit_code == 0
    assert "1 GPU" in result.stdout


def test_an_exports_model_and_batch_size_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("Concurrency,Inferences/Second\n4,100\n")

    result = CliRunner().invoke(
        app, ["read", str(path), "--model-name", "bert", "--batch-size", "8"]
    )

    assert result.exit_code == 0
    assert "bert" in result.stdout
    assert "8x4" in result.stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--column", "tput"],
        ["--column", "=batch_size"],
        ["--unit", "memory=GB", "--unit", "memory=MB"],
    ],
)
def test_an_option_that_says_nothing_is_refused(
    options: list[str], table: Path
) -> None:
    result = CliRunner().invoke(app, ["read", str(table), *options])

    assert result.exit_code != 0
    assert isinstance(result.exception, gpupack.InvalidInputError)
