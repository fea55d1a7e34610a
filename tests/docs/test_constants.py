"""The table of tuning constants is that of the sources."""

from __future__ import annotations

from docs.explanation.make_constants import MEASURED, PAGE, page, read_constants


def test_the_table_of_constants_is_that_of_the_sources() -> None:
    assert PAGE.read_text() == page(), f"run {PAGE.with_name('make_constants.py')}"


def test_a_constant_said_to_be_measured_is_there() -> None:
    assert set(MEASURED) <= {(one.module, one.name) for one in read_constants()}


def test_the_table_has_numbers_alone_with_the_words_below_them() -> None:
    by_name = {(one.module, one.name): one for one in read_constants()}
    limit = by_name["items.search.packing_solve", "SMALL_FOR_CPSAT"]
    assert limit.words.startswith("Items up to which CP-SAT")
    assert ("capacity.capacity_ladder", "FIRST_METHOD") not in by_name
