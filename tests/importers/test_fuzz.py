"""Broken files are refused in our words, rewritten ones read as the same."""

import random
from pathlib import Path

import pytest

from benchmarks.fuzz_readers import DEMANDS, PLAIN, facts, read, rewritten, run, seeds

NUM_FILES = 150
"""Of each seed; ``python -m benchmarks.fuzz_readers`` reads as many as one likes."""


@pytest.mark.parametrize("seed", range(4))
def test_no_file_makes_a_traceback_or_another_number(seed: int) -> None:
    outcomes = run(NUM_FILES, seed)

    assert sum(outcomes.values()) == NUM_FILES
    assert outcomes["broken, refused"] > 0
    assert outcomes["rewritten, read"] > 0
    assert outcomes["broken metrics, refused"] > 0
    assert outcomes["rewritten metrics, read"] > 0


def test_what_is_broken_was_good_before(tmp_path: Path) -> None:
    for files in seeds():
        found = read(files, tmp_path)
        assert found is not None
        assert found[0].records


def test_a_rewriting_is_another_text_of_the_same_content(tmp_path: Path) -> None:
    plain = read({"table.csv": PLAIN.encode()}, tmp_path)
    texts = [rewritten(random.Random(seed)) for seed in range(20)]

    assert plain is not None
    assert len({tuple(one.items()) for one in texts}) == 20
    for text in texts:
        found = read(text, tmp_path)
        assert found is not None
        assert facts(found[0]) == facts(plain[0])
        assert found[1] == DEMANDS
