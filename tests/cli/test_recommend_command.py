"""``gpupack recommend`` as a person at a terminal meets it."""

import json
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--reserve", "20"], "for 20 % give --reserve 0.2"),
        (["--reserve", "1.5"], "for 50% more give --reserve 0.5"),
        (["--reserve", "twenty"], "--reserve 'twenty': neither a number nor percent"),
        (["--reserve=-1"], "--reserve is -1.0"),
        (["--headroom", "80"], "for 80 % give 0.8"),
        (["--min-retention", "90"], 'such as 0.9, or "90%"'),
    ],
)
def test_a_share_that_cannot_be_meant_is_asked_about(
    tmp_path: Path, flags: list[str], told: str
) -> None:
    (tmp_path / "twelve.csv").write_text(TABLE)

    done = run("recommend", "twelve.csv", *flags, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_share_in_percent_is_a_share(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("\n".join(TABLE.splitlines()[:3]) + "\n")
    flags = ["--demand", "ranker=50", "--time-limit", "1", "--json", "-"]

    by_share = {
        share: json.loads(
            run("recommend", "one.csv", "--reserve", share, *flags, cwd=tmp_path).stdout
        )["reserve_ratio"]
        for share in ("80%", "0.8", "150 %")
    }

    assert by_share == {"80%": 0.8, "0.8": 0.8, "150 %": 1.5}


def test_a_missing_reserved_price_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("\n".join(TABLE.splitlines()[:3]) + "\n")
    (tmp_path / "plan.yaml").write_text("gpus: {T4: {price: 0.3}}\ntime_limit_s: 1\n")

    done = run(
        "recommend", "one.csv", "--request", "plan.yaml", "--billing", "reserved",
        cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "no reserved price of T4 is known, so the fewest GPUs count" in done.stdout
    assert "--price" not in done.stdout
