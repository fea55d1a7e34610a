"""The depth-first searches for a handful of items: how many they decide, how fast.

``pack_into`` is asked for one bin less than first fit needs, ``has_plan`` for copies on
a counted fleet of two types that hold about what the copies take, ``cheapest_plan`` for
the cheapest of as many as needed; ``search_cover`` and
the integer program that stands in for it where it gives up, for the fewest sets.

    python -m benchmarks.small_searches

One JSON line per search and number of items; run it at two commits to compare. Times
are seconds of CPU, of one thread, the fastest of three.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

from benchmarks.environment import benchmark_environment
from gpupack.packing import (
    BinType,
    CapacityProblem,
    Goal,
    ItemType,
    Job,
    Option,
    PackingProblem,
    has_plan,
)
from gpupack.packing.capacity.improving import cheapest_plan
from gpupack.packing.capacity.improving.small_plans import MAX_COPIES
from gpupack.packing.items.quick import constructive_packings, pack_into
from gpupack.packing.items.search.allowed_sets import list_allowed
from gpupack.packing.items.search.set_cover import cover_by_program, search_cover

NUM_ITEMS = (8, 12, 16, 20, 24)
NUM_PROBLEMS = 100
MAX_COVERED_ITEMS = 12
"""More have too many sets to choose from for a comparison of so many problems."""
NODE_LIMIT = 20_000


def main() -> None:
    """Measure both searches."""
    environment = benchmark_environment(seed=0).model_dump(
        mode="json", exclude_none=True
    )
    for num_items in NUM_ITEMS:
        for name, ask in searches(num_items).items():
            decided, seconds = asked(ask)
            line = {
                "search": name,
                "num_items": num_items,
                "num_problems": NUM_PROBLEMS,
                "decided": decided,
                "seconds": round(seconds, 3),
                "environment": environment,
            }
            print(json.dumps(line))


def searches(num_items: int) -> dict[str, Callable[[int], bool]]:
    """Return by name what says whether a search decides a problem of so many items."""
    problems = [one_type(num_items, seed) for seed in range(NUM_PROBLEMS)]
    known = [fewest_of_first_fit(one) for one in problems]
    plans = [two_types(num_items, seed) for seed in range(NUM_PROBLEMS)]
    covers = problems if num_items <= MAX_COVERED_ITEMS else []
    sets = [list_allowed(one, lambda _: True) or [] for one in covers]

    def packs(k: int) -> bool:
        return pack_into(problems[k], known[k] - 1, node_limit=NODE_LIMIT)[1]

    def plans_exist(k: int) -> bool:
        return has_plan(plans[k], node_limit=NODE_LIMIT) is not None

    def covers_by_search(k: int) -> bool:
        return search_cover(problems[k], sets[k], 1, known[k]) is not None

    def covers_by_program(k: int) -> bool:
        found = cover_by_program(
            problems[k], sets[k], time_limit_s=5.0, seed=0, most_bins=known[k]
        )
        return found.bound >= sum(one.multiplicity for one in found.bins) > 0

    def finds_cheapest(k: int) -> bool:
        found = cheapest_plan(bought[k], Goal.MIN_COST)
        return found is not None

    bought = [
        two_types(num_items, seed, is_counted=False) for seed in range(NUM_PROBLEMS)
    ]
    asks = {"pack_into": packs, "has_plan": plans_exist}
    if num_items <= MAX_COPIES:
        asks["cheapest_plan"] = finds_cheapest
    if covers:
        asks |= {
            "search_cover": covers_by_search,
            "cover_by_program": covers_by_program,
        }
    return asks


def asked(ask: Callable[[int], bool]) -> tuple[int, float]:
    """Return how many are decided, and the CPU time of all, the fastest of three."""
    fastest = float("inf")
    decided = 0
    for _ in range(3):
        started = time.process_time()
        decided = sum(ask(k) for k in range(NUM_PROBLEMS))
        fastest = min(fastest, time.process_time() - started)
    return decided, fastest


def sizes_of(rng: random.Random) -> tuple[int, int, int]:
    """Return what one model takes: two utilizations and memory."""
    gpu = min(780, max(30, round(rng.lognormvariate(5.3, 0.6))))
    memory_use = min(780, max(10, round(gpu * rng.uniform(0.6, 1.1))))
    return gpu, memory_use, min(13000, max(300, round(rng.lognormvariate(8.2, 0.6))))


def one_type(num_items: int, seed: int) -> PackingProblem:
    """Return items like models on a GPU, largest first; some are there twice."""
    rng = random.Random(seed)
    sizes = []
    while len(sizes) < num_items:
        sizes += [sizes_of(rng)] * min(rng.choice((1, 1, 2)), num_items - len(sizes))
    counted = {one: sizes.count(one) for one in sorted(sizes, reverse=True)}
    return PackingProblem(
        (800, 800, 14745), tuple(ItemType(s, c) for s, c in counted.items())
    )


def fewest_of_first_fit(problem: PackingProblem) -> int:
    """Return how many bins the heuristics need."""
    return min(
        sum(one.multiplicity for one in bins) for bins in constructive_packings(problem)
    )


def two_types(num_items: int, seed: int, *, is_counted: bool = True) -> CapacityProblem:
    """Return copies for a fleet of two types that is just large enough, or is not.

    Or for as many of both types as are needed.
    """
    rng = random.Random(seed)
    jobs, options = [], []
    total = 0
    for job in range(num_items):
        sizes = sizes_of(rng)
        total += max(sizes[0] * 15, sizes[2])
        jobs.append(Job(copies=1))
        for bin_type in (0, 1):
            options.append(Option(job, bin_type, sizes, (0, 0, 0), rate=1))
    many = max(1, round(total * 1.15 / (1.5 * 14745)))
    bin_types = (
        BinType((800, 800, 14745), cost=2, count=-(-many // 2) if is_counted else None),
        BinType((1600, 1600, 22000), cost=3, count=many // 2 if is_counted else None),
    )
    return CapacityProblem(bin_types, tuple(jobs), tuple(options))


if __name__ == "__main__":
    main()
