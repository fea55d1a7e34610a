"""A wish without an option of its own has a flag all the same."""

from __future__ import annotations

import inspect
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from gpupack.cli.options.further import further_options, read_further
from gpupack.cli.options.groups import takes_options
from gpupack.records.request import RequestArguments
from gpupack.spelling import flag_of


def test_every_argument_but_those_about_gpus_gets_an_option() -> None:
    flags = {flag_of(one.name) for one in further_options([])}
    assert {"--seed", "--max-price", "--allow-unstable", "--min-traffic"} <= flags
    assert flags <= {flag_of(one) for one in RequestArguments.__annotations__}


def test_what_has_an_option_by_name_or_by_flag_gets_no_second_one() -> None:
    own = [
        inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY),
        inspect.Parameter(
            "cost",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[float | None, typer.Option("--max-price")],
        ),
    ]
    names = {one.name for one in further_options(own)}
    assert "workers" in names
    assert not {"seed", "max_price_per_hour"} & names


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["--workers", "2"], {"workers": 2}),
        (["--growth", "1.5", "--currency", "EUR"], {"growth": 1.5, "currency": "EUR"}),
        (["--carry-memory-over"], {"carry_memory_over": True}),
        (
            ["--min-traffic", "5", "--min-traffic", "b=7"],
            {"min_traffic": {"a": 5.0, "b": 7.0}},
        ),
        ([], {}),
    ],
)
def test_values_are_read_as_the_field_takes_them(
    words: list[str], asked: dict[str, object]
) -> None:
    got: list[object] = []
    own = typer.Typer()

    def read(**further: object) -> dict[str, object]:
        return read_further(further, ["a", "b"])

    @own.command()
    @takes_options(read, into="wishes", more=further_options)
    def run(wishes: dict[str, object]) -> None:
        got.append(wishes)

    result = CliRunner().invoke(own, words)
    assert result.exit_code == 0, result.output
    assert got == [asked]
