"""Ctrl-C in a search: the best so far where that is promised, else at once the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import gpupack
from gpupack.errors import InfeasibleError
from gpupack.packing import (
    ItemType,
    PackingProblem,
    maximize_value,
    passing_interrupts_on,
    solve,
    solve_allowed,
)
from gpupack.packing.items.model import check_result
from gpupack.packing.items.search import packing_solve
from gpupack.planning.solving import one_type

if TYPE_CHECKING:
    from gpupack.packing.items.model import Ladder

CLIMB = packing_solve._climb_cheap
PROBLEM = PackingProblem((10,), tuple(ItemType((size,)) for size in (3, 3, 4, 6, 6)))


@pytest.fixture
def interrupts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Interrupt every packing search once it has a packing; tell how many."""
    searches: list[int] = []

    def interrupted(ladder: Ladder) -> None:
        CLIMB(ladder)
        searches.append(ladder.num_bins)
        raise KeyboardInterrupt

    monkeypatch.setattr(packing_solve, "_climb_cheap", interrupted)
    return searches


@pytest.mark.usefixtures("interrupts")
def test_an_interrupted_search_hands_back_what_it_has() -> None:
    result = solve(PROBLEM)

    check_result(PROBLEM, result)
    assert result.is_interrupted


def test_a_search_that_was_not_interrupted_says_so() -> None:
    assert not solve(PROBLEM).is_interrupted


def test_an_interrupted_search_among_several_ends_them_all(
    interrupts: list[int],
) -> None:
    with passing_interrupts_on(), pytest.raises(KeyboardInterrupt):
        solve(PROBLEM)
    with pytest.raises(KeyboardInterrupt):
        solve_allowed(PROBLEM, lambda counts: len(counts) == 1)
    many = PackingProblem((10,), PROBLEM.item_types * 4)
    with pytest.raises(KeyboardInterrupt):
        maximize_value(many, lambda _: True, lambda _: 1.0, max_bins=20, max_sets=3)

    assert len(interrupts) == 3
    assert solve(PROBLEM).is_interrupted  # as before, once that is over


def test_an_interrupted_placement_is_one_where_it_is_whole(
    interrupts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gpupack.place("medical", "max_throughput").num_gpus == 6
    assert len(interrupts) == 1
    # Of more than there are GPUs nothing can be handed back, nor why it is so.
    monkeypatch.setattr(one_type, "lower_bound", lambda _: 1)
    with pytest.raises(KeyboardInterrupt):
        gpupack.place("medical", "max_throughput", gpus={"16GB": 5})
    assert len(interrupts) == 2


def test_the_first_interrupt_ends_a_question_of_several_searches(
    monkeypatch: pytest.MonkeyPatch, interrupts: list[int]
) -> None:
    with monkeypatch.context() as undone:
        undone.setattr(packing_solve, "_climb_cheap", CLIMB)
        kept = gpupack.place(
            "medical", "max_throughput", gpus={"16GB": 7}, min_retention=0.6
        )

    with pytest.raises(KeyboardInterrupt):
        gpupack.recommend("medical", gpus=["16GB"])
    with pytest.raises(KeyboardInterrupt):
        gpupack.explain(kept, "medical")

    assert len(interrupts) == 2


def test_without_an_interrupt_too_few_gpus_are_told() -> None:
    with pytest.raises(InfeasibleError):
        gpupack.place("medical", "max_throughput", gpus={"16GB": 5})
