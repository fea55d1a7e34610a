"""Requests that cannot be meant are told in the words of the shell or of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_place_command import run

TABLE = """\
model,batch_size,concurrency,throughput,gpu_util,mem_util,memory_mib,gpu,demand
,,,,0,0,400,T4,
a,1,1,100,40,10,1000,T4,50
b,1,1,100,40,10,1000,T4,
"""
EUR = "currency: EUR\ngpus: {T4: {price: 0.3}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models.csv").write_text(TABLE)
    return tmp_path


@pytest.mark.parametrize(
    ("content", "flags", "told"),
    [
        ("growth: 0\n", [], ["plan.yaml", "growth is 0", "> 0"]),
        ("", ["--growth", "-1"], ["--growth is -1"]),
        ("", ["--demand", "c=5"], ["--demand names 'c'", "no profile", "'a', 'b'"]),
        (
            "models: {c: {demand: 5}}\n",
            [],
            ["models.c", "no profile of 'c'", "profiles of 'a', 'b'"],
        ),
        (
            EUR,
            ["--currency", "USD"],
            ["currencies are mixed", "'EUR'", "--currency says 'USD'"],
        ),
        (
            "gpus: {T4: {price: 0.3, currency: USD}}\n",
            [],
            ["plan.yaml", "gpus.T4.currency", "price", "currency: USD"],
        ),
        (
            "gpus: {T4: {price: 0.35 EUR}, L4: {price: 0.71 USD}}\n",
            [],
            [
                "plan.yaml",
                "currencies are mixed",
                "gpus.T4.price is '0.35 EUR'",
                "gpus.L4.price is '0.71 USD'",
            ],
        ),
        (
            "gpus: [{name: T4, price: 0.3, currency: EUR}, "
            "{name: L4, price: 0.7, currency: USD}]\n",
            [],
            [
                "currencies are mixed",
                "gpus.T4.currency is 'EUR'",
                "gpus.L4.currency is 'USD'",
            ],
        ),
        (
            "currency: EUR\ngpus: {T4: {price: $0.35, reserved_price: $0.2}}\n",
            [],
            ["currencies are mixed", "currency is 'EUR'", "gpus.T4.price is '$0.35'"],
        ),
        (
            "gpus: {T4: {price: 0.35 EUR}, L4: {price: 0.71}}\n",
            [],
            ["gpus.T4.price is '0.35 EUR'", "are numbers", "currency: EUR"],
        ),
        (
            "objective: min_cost\nbilling: reserved\n"
            "gpus: {T4: {price: 0.35, reserved_price: 0.2}, L4: {price: 0.71}}\n",
            [],
            ["no reserved price of L4", "--reserved-price L4=", "--billing on_demand"],
        ),
        (
            "objective: min_cost\ngpus: {T4: {price: 0.35}, L4: {reserved_price: 1}}\n",
            [],
            ["a price per hour of L4", "--price L4=PRICE"],
        ),
        (
            "",
            ["--price", "T4=0.35 EUR"],
            ["'0.35 EUR' is no number", "--currency EUR"],
        ),
        (
            "models: {a: {replicas: 3, max_replicas: 2}}\n",
            [],
            ["models.a.max_replicas is 2", "3 replicas"],
        ),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_names_it(
    folder: Path, content: str, flags: list[str], told: list[str]
) -> None:
    (folder / "plan.yaml").write_text(content or "time_limit_s: 1\n")

    done = run("place", "models.csv", "--request", "plan.yaml", *flags, cwd=folder)

    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    for words in told:
        assert words in done.stderr


@pytest.mark.parametrize("command", ["recommend", "frontier"])
def test_every_command_that_plans_tells_it(folder: Path, command: str) -> None:
    done = run(command, "models.csv", "--growth", "0", cwd=folder)

    assert (done.returncode, done.stdout) == (2, "")
    assert "--growth is 0" in done.stderr


def test_a_request_for_other_profiles_says_so(folder: Path) -> None:
    bare = "\n".join(line.rpartition(",")[0] for line in TABLE.splitlines())
    (folder / "bare.csv").write_text(bare + "\n")
    (folder / "plan.yaml").write_text("models: {x: {demand: 5}, y: {demand: 1}}\n")

    done = run("place", "bare.csv", "--request", "plan.yaml", cwd=folder)

    assert done.returncode == 2
    assert "made for other profiles" in done.stderr
    assert "gpupack init" in done.stderr


def test_flags_that_contradict_the_file_win_and_nothing_else_is_lost(
    folder: Path,
) -> None:
    (folder / "plan.yaml").write_text(
        EUR + "time_limit_s: 1\nmodels: {a: {demand: 70, max_replicas: 2}}\n"
    )

    done = run(
        "place", "models.csv", "--request", "plan.yaml", "--demand", "a=30",
        "--json", "out.json", "--objective", "min_cost", cwd=folder,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    # The table says 50, the file 70, the flag 30: each that gave way is told.
    assert "models.a.demand of the table" in done.stderr
    assert "models.a.demand of the request" in done.stdout
    assert "0.30 EUR per hour" in done.stdout
    assert '"max_replicas": 2' in (folder / "out.json").read_text()
    again = run("place", "models.csv", "--request", "out.json", cwd=folder)
    assert again.returncode == 0, again.stderr


def test_prices_in_two_currencies_are_not_compared(folder: Path) -> None:
    for currency in ("EUR", "USD"):
        (folder / "plan.yaml").write_text(EUR.replace("EUR", currency))
        done = run(
            "place", "models.csv", "--request", "plan.yaml", "-q",
            "--json", f"{currency}.json", cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    compared = run("compare", "EUR.json", "USD.json", cwd=folder)
    same = run("compare", "EUR.json", "EUR.json", cwd=folder)

    assert (compared.returncode, same.returncode) == (1, 0)
    assert "0.30 EUR" in compared.stdout
    assert "0.30 USD" in compared.stdout
    assert "currencies differ" in compared.stdout
