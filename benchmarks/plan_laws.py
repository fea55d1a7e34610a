"""What holds for plans and frontiers of random fleets: count what breaks it.

    python benchmarks/plan_laws.py plans --cases 200
    python benchmarks/plan_laws.py frontiers --cases 100

``plans``: of two or three models with demands on one or two GPU types, as ``place()``
answers by default. Against every plan of as many GPUs of at most that price (where they
are at most three): how many have more copies than the fewest, more copies of a model on
one GPU than the fewest of those, or cost more than without the tie-break; and of those
asked for a ``min_traffic`` how many have a replica below it.

``frontiers``: value and bound rise with the budget, fleets differ, the first progress
comes within 2 s and the whole within its time and a tenth.

Prints one line of JSON with the circumstances, and appends it to
``benchmarks/results/plan_laws.jsonl`` with ``--keep``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import gpupack
from benchmarks.environment import benchmark_environment
from gpupack.packing import CapacityProblem, Goal
from gpupack.planning.modeling import ask
from gpupack.planning.solving import answer
from gpupack.records.gpu import GpuType
from tests.factories import GPU, make_profiles
from tests.packing.capacity.brute_force import (
    _fillings,
    _has_copies,
    _serve,
    _within_limits,
)
from tests.planning.solving.test_place_choices import BIG, on_both, record

RESULTS = Path(__file__).parent / "results" / "plan_laws.jsonl"
MOST_GPUS = 3
"""More have more fillings than there is time to try."""


def draw(seed: int) -> tuple[gpupack.ProfileSet, dict[str, Any]]:
    """Return models, and what is asked of them."""
    chance = random.Random(seed)
    names = "abc"[: chance.randint(2, 3)]
    types: tuple[GpuType, ...] = (GPU,) if chance.random() < 0.6 else (GPU, BIG)
    records = [
        record(
            name,
            busy=float(chance.randint(15, 95)),
            rate=float(chance.randint(20, 200)),
            mib=chance.randint(200, 480),
            gpu_type=gpu_type,
        )
        for name in names
        for gpu_type in types
    ]
    rates = {one.model_name: one.throughput_infer_per_sec or 1.0 for one in records}
    demand = {
        name: round(rate * chance.uniform(0.3, 1.6), 1) for name, rate in rates.items()
    }
    asked: dict[str, Any] = {"demand": demand, "time_limit_s": 5.0, "workers": 1}
    if len(types) == 1:
        return make_profiles(*records), asked | {"gpus": {GPU: None}}
    prices = {GPU.name: 1.0, BIG.name: chance.choice([1.5, 2.0])}
    asked |= {"gpus": dict.fromkeys(types), "prices": prices}
    return on_both(*records), asked | {"objective": "min_cost"}


def fewest(
    problem: CapacityProblem, num_bins: int, cost: int
) -> tuple[int, int] | None:
    """Return the fewest copies of so many bins, and of those the fewest that double.

    A copy doubles where another of its model is in the same bin.
    """
    fillings = [
        (bin_type, filling)
        for bin_type in range(len(problem.bin_types))
        for filling in _fillings(problem, bin_type)
    ]
    best = None
    for bins in combinations_with_replacement(fillings, num_bins):
        rank = _rank(problem, bins)
        if best is not None and rank >= best:
            continue
        if sum(problem.bin_types[one].cost for one, _ in bins) > cost:
            continue
        if (
            _within_limits(problem, bins)
            and _has_copies(problem, bins)
            and _serve(problem, bins, Goal.MIN_BINS) is not None
        ):
            best = rank
    return best


def _rank(problem: CapacityProblem, bins: Any) -> tuple[int, int]:
    copies = doubled = 0
    for _, filling in bins:
        of_job: Counter[int] = Counter()
        for option, count in filling:
            of_job[problem.options[option].job] += count
        copies += sum(of_job.values())
        doubled += sum(count - 1 for count in of_job.values())
    return copies, doubled


def rank_of(placement: gpupack.Placement) -> tuple[int, int]:
    """Return copies, and those beside another of their model."""
    copies = doubled = 0
    for gpu in placement.gpus:
        of_model = Counter(gpu.models)
        copies += sum(of_model.values())
        doubled += sum(count - 1 for count in of_model.values())
    return copies, doubled


def judge_plan(seed: int) -> tuple[list[str], list[str]]:
    """Return which laws were tried on a random fleet, and which broke."""
    profiles, asked = draw(seed)
    placement = gpupack.place(profiles, **asked)
    if placement.request is None:
        raise ValueError("a placement that place() made holds its request")
    question = ask(profiles, placement.request)
    free = answer(question, time_limit_s=5.0, seed=0, is_trial=True)
    tried, broken = ["cost"], []
    value = getattr(free, "value", None)
    if value is None or placement.objective_value > value + 1e-9:
        broken.append("cost")
    if placement.num_gpus <= MOST_GPUS:
        problem = question.translated().problem
        cost = sum(
            next(
                problem.bin_types[index].cost
                for index, supply in enumerate(question.supplies)
                if supply.gpu_type.name == gpu.gpu_type.name
            )
            for gpu in placement.gpus
        )
        best = fewest(problem, placement.num_gpus, cost)
        tried += ["copies", "doubled"]
        now = rank_of(placement)
        if best is None or now[0] > best[0]:
            broken.append("copies")
        elif now > best:
            broken.append("doubled")
    least = {name: wanted / 4 for name, wanted in asked["demand"].items()}
    evened = gpupack.place(profiles, min_traffic=least, **asked)
    tried.append("min_traffic")
    for name, floor in least.items():
        served = [
            one.served_infer_per_sec or 0.0
            for gpu in evened.gpus
            for one in gpu.assignments
            if one.model_name == name
        ]
        if len(served) > 1 and min(served) < floor * (1 - 1e-4):
            broken.append("min_traffic")
    return tried, broken


def judge_frontier(seed: int) -> tuple[list[str], list[str]]:
    """Return which laws were tried on a random frontier, and which broke."""
    from tests.planning.test_frontier_laws import draw as draw_frontier

    profiles, asked = draw_frontier(seed)
    started = time.monotonic()
    first: list[float] = []
    total_s = 3.0
    frontier = gpupack.frontier(
        profiles,
        total_time_limit_s=total_s,
        progress=lambda *_: first.append(time.monotonic() - started),
        **asked,
    )
    seconds = time.monotonic() - started
    values = [one.objective_value for one in frontier.placements]
    bounds = [one.bound for one in frontier.placements]
    fleets = [
        frozenset(Counter(gpu.gpu_type.name for gpu in one.gpus).items())
        for one in frontier.placements
    ]
    broken = [
        law
        for law, holds in (
            ("value", values == sorted(values)),
            ("bound", bounds == sorted(bounds)),
            ("fleets", len(set(fleets)) == len(fleets)),
            ("first output", bool(first) and first[0] <= 2.0),
            ("total time", seconds <= 1.1 * total_s),
        )
        if not holds
    ]
    return ["value", "bound", "fleets", "first output", "total time"], broken


def main() -> int:
    """Try the laws on random cases; return 1 if one broke."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["plans", "frontiers"])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--keep", action="store_true", help="append to the results")
    given = parser.parse_args()
    judge = judge_plan if given.what == "plans" else judge_frontier
    tried: Counter[str] = Counter()
    broken: dict[str, list[int]] = {}
    for seed in range(given.seed, given.seed + given.cases):
        laws, failed = judge(seed)
        tried.update(laws)
        for law in failed:
            broken.setdefault(law, []).append(seed)
    environment = benchmark_environment(seed=given.seed)
    line = json.dumps(
        {
            "what": given.what,
            "cases": given.cases,
            "tried": dict(tried),
            "broken": broken,
            "environment": environment.model_dump(mode="json", exclude_none=True),
        }
    )
    print(line)
    if given.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
