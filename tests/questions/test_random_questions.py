"""2,000 random questions, each answer judged by trying everything.

Run more with ``python benchmarks/fuzz_questions.py --seconds 600``.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from tests.questions.draw import draw
from tests.questions.judge import Fault, Finding, judge

NUM_CASES = 2_000
BATCH = 100
NUM_PROCESSES = 2
SERIOUS = (Fault.WRONG, Fault.CRASHED)
"""Not late or weak: those depend on the machine, and are for the long run."""

Batch = list[tuple[int, Finding]]


def ask_batch(first: int) -> Batch:
    """Return what is wrong with the answers to a batch of questions, by seed."""
    found: Batch = []
    for seed in range(first, first + BATCH):
        question, expected = draw(seed)
        found += [(seed, one) for one in judge(question, expected)]
    return found


@pytest.fixture(scope="module")
def batches() -> Iterator[dict[int, Future[Batch]]]:
    """All batches, under way in a few processes of their own."""
    # Forked processes would share the threads that this one may have.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(NUM_PROCESSES, mp_context=context)
    try:
        yield {
            first: pool.submit(ask_batch, first) for first in range(0, NUM_CASES, BATCH)
        }
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("first", range(0, NUM_CASES, BATCH))
def test_every_answer_is_right(first: int, batches: dict[int, Future[Batch]]) -> None:
    found = [
        f"seed {seed}: {one.fault}: {one.kind}: {one.text[:300]}"
        for seed, one in batches[first].result()
        if one.fault in SERIOUS
    ]

    assert not found, "\n" + "\n".join(found)
