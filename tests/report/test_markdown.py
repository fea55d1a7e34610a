"""Names in Markdown are shown letter by letter, as a renderer of it shows them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gpupack.quoting import printable
from gpupack.report.markdown import markdown_text
from gpupack.report.text import placement_markdown
from tests.report.placements import make_assignment, make_placement

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKUP = "\\`*_{}[]<>()#+-.!|~&;$^:=\"' a1lt"
HOSTILE = [
    "&lt;b&gt;",
    "&amp;",
    "&#60;",
    "a|b",
    "a\\|b",
    "a\\",
    "**bold**",
    "~~gone~~",
    "`code`",
    "``",
    "[link](http://example.org)",
    "![image](x.png)",
    "<script>alert(1)</script>",
    "<!-- comment -->",
    "<http://example.org>",
    "snake_case_name",
    " blank at both ends ",
    "two  blanks",
    "resnet-50.v1",
    "# title",
    "line\nbreak",
]


def cells_of(text: str) -> list[str]:
    """Return the text of every cell of the tables in a Markdown text."""
    tokens = RENDERER.parse(text)
    return [
        _content(inline.children or [])
        for cell, inline in pairwise(tokens)
        if cell.type in ("td_open", "th_open")
    ]


def _content(tokens: list[Token]) -> str:
    assert {one.type for one in tokens} <= {"text", "text_special"}
    return "".join(one.content for one in tokens)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_shows_the_name(name: str) -> None:
    text = placement_markdown(
        make_placement((make_assignment(name), make_assignment("other")))
    )

    (cell,) = [one for one in cells_of(text) if "(1x1)" in one]
    assert cell == f"{printable(name)} (1x1), other (1x1)"


@given(st.one_of(st.text(alphabet=MARKUP, min_size=1), st.text(min_size=1)))
def test_any_name_is_shown_as_it_is(name: str) -> None:
    shown = printable(name)
    table = f"| t | u |\n|---|---|\n| {markdown_text(name)} | end |\n"

    cells = cells_of(table)

    assert cells[2:] == [shown, "end"]


def test_ordinary_names_stay_readable() -> None:
    assert markdown_text("resnet-50 v1.5") == "resnet-50 v1.5"
