"""No spreadsheet takes a name for a formula, and every name comes back."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpupack
from gpupack.profiling.sweep.exports import INFERENCE_FILE, write_article_tables
from gpupack.spreadsheet_cells import cell_text, text_cell
from tests.factories import make_profiles, make_record

NAMES = st.one_of(
    st.text(), st.from_regex(r"\A'{0,3}[=+\-@\t\r\n＝＋－＠]?[=a']{0,3}\Z")
)
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''@"]


@given(NAMES)
def test_every_text_comes_back(text: str) -> None:
    cell = text_cell(text)

    assert cell_text(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("text", ["resnet-50", "a=b", "'quoted'", "", " =spaced"])
def test_an_ordinary_name_is_written_as_it_is(text: str) -> None:
    assert text_cell(text) == text
    assert cell_text(text) == text


def test_names_like_formulas_survive_the_exported_tables(tmp_path: Path) -> None:
    names = [name for name in FORMULAS if name != "\n=1"] + ["resnet"]
    profiles = make_profiles(*(make_record(name) for name in names))

    write_article_tables(profiles, tmp_path)

    with (tmp_path / INFERENCE_FILE).open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [one for one in cells if one.startswith(("=", "+", "-", "@", "\t"))]
    read = gpupack.read_profiles(tmp_path / INFERENCE_FILE)
    # Line breaks of any kind are read as newlines.
    assert read.model_names == tuple(sorted(name.replace("\r", "\n") for name in names))
