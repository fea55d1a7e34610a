"""Options that several commands take stand in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from gpupack.cli.app import app
from gpupack.cli.options.clusters import cluster_options
from gpupack.cli.options.groups import takes_options
from gpupack.cli.options.measuring import measuring_options


def options_of(command: str) -> dict[str, tuple[object, str | None]]:
    """Default and help by the name of the parameter."""
    context = typer.Context(get_command(app))
    found = get_command(app).get_command(context, command)  # type: ignore[attr-defined]
    return {one.name: (one.default, getattr(one, "help", None)) for one in found.params}


def test_the_command_gets_what_the_reader_makes_of_its_options() -> None:
    def read(
        *,
        source: str = "",
        low: Annotated[int, typer.Option(help="Least.")] = 1,
        high: Annotated[int, typer.Option(help="Most.")] = 9,
    ) -> tuple[str, range]:
        return source, range(low, high)

    got: list[object] = []
    own = typer.Typer()

    @own.command()
    @takes_options(read, into="span")
    def command(source: str, *, span: tuple[str, range], loud: bool = False) -> None:
        got.extend([source, span, loud])

    done = CliRunner().invoke(own, ["here", "--low=3", "--loud"])

    assert done.exit_code == 0, done.output
    # The argument of both is handed to both, and asked for once.
    assert got == ["here", ("here", range(3, 9)), True]
    told = CliRunner().invoke(own, ["--help"]).output
    assert told.index("--low") < told.index("--high") < told.index("--loud")


@pytest.mark.parametrize(
    ("one", "other", "reader", "without"),
    [
        (
            "profile",
            "verify",
            measuring_options,
            # Rounds go on until what models keep is known; readings need no windows.
            {"stability", "window_seconds", "window_requests"},
        ),
        ("read-prometheus", "rightsize", cluster_options, set()),
    ],
)
def test_two_commands_take_the_same_options_alike(
    one: str, other: str, reader: Callable[..., object], without: set[str]
) -> None:
    first, second = options_of(one), options_of(other)
    shared = set(inspect.signature(reader).parameters) - without
    assert not without & second.keys()
    assert shared <= first.keys() & second.keys()
    assert {name: first[name] for name in shared} == {
        name: second[name] for name in shared
    }
