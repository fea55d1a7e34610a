"""Settings as messages spell them, in Python and in the shell."""

from contextvars import copy_context

import pytest
import typer

from gpupack.cli.app import app
from gpupack.records.request import RequestArguments
from gpupack.spelling import flag_of, setting, speak_shell


def in_shell(*arguments: object, **named: object) -> str:
    def spelled() -> str:
        speak_shell()
        return setting(*arguments, **named)  # type: ignore[arg-type]

    return copy_context().run(spelled)


@pytest.mark.parametrize(
    ("argument", "value", "python", "shell"),
    [
        ("seed", None, "seed", "--seed"),
        ("seed", 3, "seed=3", "--seed 3"),
        ("allow_unstable", True, "allow_unstable=True", "--allow-unstable"),
        ("allow_unstable", False, "allow_unstable=False", "--no-allow-unstable"),
        ("time_limit_s", 5, "time_limit_s=5", "--time-limit 5"),
        ("by", "price", "by='price'", "--by price"),
    ],
)
def test_a_setting_is_spelled_for_whoever_reads_it(
    argument: str, value: object, python: str, shell: str
) -> None:
    assert setting(argument, value) == python
    assert in_shell(argument, value) == shell
    assert setting(argument, value) == python  # the shell was one context's


@pytest.mark.parametrize("command", ["place", "frontier"])
def test_every_argument_of_a_request_has_the_flag_that_messages_name(
    command: str,
) -> None:
    options = {
        name
        for one in typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
        for name in (*one.opts, *one.secondary_opts)
    }

    assert {flag_of(one) for one in RequestArguments.__annotations__} <= options
