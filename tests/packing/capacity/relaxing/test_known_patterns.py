import random

import pytest

from gpupack.packing.capacity.relaxing.bin_patterns import (
    KnownPatterns,
    PatternFinder,
)
from tests.packing.capacity.relaxing.test_pricing import random_prices, random_problem


@pytest.mark.parametrize("seed", range(20))
def test_known_patterns_are_worth_what_their_prices_say_one_by_one(seed):
    rng = random.Random(seed)
    problem = random_problem(rng, num_jobs=6, num_options=4)
    known = KnownPatterns(problem)
    patterns = {}
    assert known.most_valuable(random_prices(rng, problem)) == [float("-inf")]
    for _ in range(4):
        found = PatternFinder(problem, 0).greedy(
            random_prices(rng, problem), [1.0] * problem.num_dimensions, max_starts=5
        )
        patterns |= dict.fromkeys(found)
        known.add(patterns)
        prices = random_prices(rng, problem)
        expected = max((prices.value(one) for one in patterns), default=float("-inf"))

        (most,) = known.most_valuable(prices)

        assert most == pytest.approx(expected)
