import pytest
from hypothesis import given, settings

from gpupack.errors import InvalidInputError, ItemTooLargeError
from gpupack.packing.items.model.vbp import format_vbp, parse_vbp
from tests.packing.strategies import problems


@settings(max_examples=50, derandomize=True, deadline=None)
@given(problem=problems())
def test_a_written_problem_is_read_back_unchanged(problem):
    assert parse_vbp(format_vbp(problem), name="x.vbp") == problem


def test_sizes_and_counts_are_read_in_order():
    problem = parse_vbp("2\n10 20\n2\n1 2 3\n4 5 6\n", name="x.vbp")

    assert problem.capacity == (10, 20)
    assert [(t.sizes, t.count) for t in problem.item_types] == [
        ((1, 2), 3),
        ((4, 5), 6),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0",
        "1",
        "2 10",
        "1 10 2 5 1",
        "1 10 1 5 1 7",
        "1 10 1 5.5 1",
        "1 0 1 0 1",
        "1 -3 0",
        "1 10 1 5 0",
        "1 10 1 -5 1",
        "1 10 -1",
        "1 9223372036854775807 1 1 1",
        "1 4611686018427387904 1 4611686018427387904 2",
    ],
)
def test_malformed_text_is_refused_naming_the_file(text):
    with pytest.raises(InvalidInputError, match=r"broken\.vbp"):
        parse_vbp(text, name="broken.vbp")


def test_an_item_larger_than_its_bin_is_named():
    with pytest.raises(ItemTooLargeError, match="item type 0 has size 11"):
        parse_vbp("1 10 1 11 1", name="x.vbp")
