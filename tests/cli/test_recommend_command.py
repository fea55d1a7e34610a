"""``gpupack recommend`` as a person at a terminal meets it."""

import json
from pathlib import Path

from tests.cli.test_place_command import run
from tests.planning.recommending.test_recommend import DEMANDS, TABLE


def test_a_table_alone_is_enough(tmp_path: Path) -> None:
    table = tmp_path / "twelve.csv"
    table.write_text(TABLE)

    done = run("recommend", str(table), "--json", str(tmp_path / "out.json"))

    assert done.returncode == 0
    first, _, _, memory, saves, *_ = done.stdout.splitlines()
    assert first.startswith("Buy ")
    assert "must not run at the same time" in memory
    assert saves.startswith("What would save one more: ")
    assert "--demand" in done.stdout
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["kind"] == "recommendation"
    assert f"Buy {found['buy']['num_gpus']} T4" in first


def test_demands_two_gpu_types_and_prices_need_one_file_and_no_flag(
    tmp_path: Path,
) -> None:
    header, *rows = TABLE.splitlines()
    there = [row.replace(",T4", ",L4") for row in rows]
    table = tmp_path / "both.csv"
    table.write_text("\n".join([header, *rows, *there]) + "\n")
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "currency: EUR\ntime_limit_s: 3\n"
        "gpus: {T4: {price: 0.35, reserved_price: 0.22}, L4: {price: 0.71}}\n"
        "models:\n"
        + "".join(f"  {name}: {{demand: {rate}}}\n" for name, rate in DEMANDS.items())
    )

    done = run("recommend", str(table), "--request", str(plan))

    assert done.returncode == 0, done.stderr
    # An L4 does the same here for twice the money.
    assert " T4 (" in done.stdout.splitlines()[0]
    assert "reserved" in done.stdout.splitlines()[0]
    assert "demand as predicted" in done.stdout.splitlines()[1]
