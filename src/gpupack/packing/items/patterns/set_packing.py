"""Set packing: most bins filled with hardly any waste, the last ones exactly.

Where bins may waste next to nothing, a packing is a needle among fillings that come
close. But how many packings to expect can be estimated: the partitions of the items
into bins, times the chance that the bins' sums, about normal, come out at wastes
that add up to what there is. The estimate says which bins to fill first: those that
leave as many packings of the rest as possible. That is a set packing problem over
listed fillings, each worth what it does to the estimate: its waste is lost for the
rest, items far from the mean are better gone, and the fewer items it takes the more
are left, which combine in more ways. CP-SAT solves it. The last bins, of which
thousands of packings are to be expected then, are an exact cover by the fillings
that waste little enough.

References:
    The estimate is of the kind with which Mertens, "Phase transition in the number
    partitioning problem", Physical Review Letters 81, 1998, counts perfect partitions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.model import Bin, merge_bins
from gpupack.packing.items.patterns.frugal_fillings import (
    MAX_SHORT_NODES,
    list_frugal_members,
    list_short,
)
from gpupack.packing.kernels import exact_cover as kernels
from gpupack.packing.runtime import call_until, solve_cp_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.items.model import Ladder

MAX_WASTE = 0.002
"""Of a bin, on average; where more may be wasted, dives find packings as well."""
MIN_PER_BIN = 3.5
"""Items; where bins hold fewer, too few fillings are frugal, and dives find them."""
MIN_LOG_PACKINGS = 6.0
"""Of the whole problem; with fewer expected, the last bins would have none."""
MAX_LOG_PACKINGS = 30.0
"""With more expected, dives find one in less time."""
MIN_LOG_LAST = 0.0
"""Of the last bins, for it to be worthwhile to search them."""
MAX_FAILURES = 6
"""Attempts in vain after which the search is given up."""
LAST_BINS = (15, 16, 14)
"""Bins completed exactly, by turns."""
MAX_CANDIDATES = 1_000
MAX_LAST_FILLINGS = 40_000
COVER_NODES = 700_000
EFFORT = 0.5
"""CP-SAT's deterministic time for the choice, about seconds."""
VARIATION = 0.3
"""Width of the factor by which the worth of an item's removal varies."""
WORTH_SCALE = 1_000
"""The worth of a filling, when it becomes an integer."""


class SetPackingSearch:
    """Looks for packings with one bin less by set packing and exact cover.

    Args:
        ladder: Whose problem, clock, packing and bound to use.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        problem = ladder.problem
        self._sizes = np.repeat(problem.sizes, problem.counts, axis=0)
        self._type_of = np.repeat(np.arange(problem.num_types), problem.counts)
        self._rng = np.random.default_rng(ladder.seed)
        self._attempts = 0
        self._failures = 0

    @property
    def is_promising(self) -> bool:
        """Whether packings with one bin less are to be expected."""
        problem, num_bins = self._ladder.problem, self._ladder.num_bins - 1
        if self._failures >= MAX_FAILURES or num_bins <= max(LAST_BINS):
            return False
        budget = num_bins * problem.capacities - problem.counts @ problem.sizes
        if (budget > MAX_WASTE * num_bins * problem.capacities).any():
            return False
        per_bin = len(self._sizes) / num_bins
        steps = math.comb(len(self._sizes), round(per_bin) - 1)
        if per_bin < MIN_PER_BIN or steps > MAX_SHORT_NODES:
            return False
        expected = log_packings(self._sizes, problem.capacities, num_bins)
        return MIN_LOG_PACKINGS <= expected <= MAX_LOG_PACKINGS

    def attempt(self) -> bool:
        """Try once; True if the ladder has a better packing."""
        num_bins = self._ladder.num_bins - 1
        last_bins = LAST_BINS[self._attempts % len(LAST_BINS)]
        self._attempts += 1
        filled = self._fill_first(num_bins - last_bins, last_bins)
        if filled is None:
            self._failures += 1
            return False
        left = np.setdiff1d(np.arange(len(self._sizes)), np.concatenate(filled))
        capacities = self._ladder.problem.capacities
        if log_packings(self._sizes[left], capacities, last_bins) < MIN_LOG_LAST:
            self._failures += 1
            return False
        completed = self._complete(left, last_bins)
        if completed is None:
            self._failures += 1
            return False
        return self._ladder.offer(
            merge_bins(
                Bin(tuple(zip(kinds.tolist(), counts.tolist(), strict=True)))
                for kinds, counts in (
                    np.unique(self._type_of[members], return_counts=True)
                    for members in filled + completed
                )
            )
        )

    def _fill_first(
        self, first_bins: int, last_bins: int
    ) -> list[NDArray[np.int64]] | None:
        """Choose the items of the first bins, for the rest to have many packings."""
        from ortools.sat.python import cp_model

        ladder = self._ladder
        fillings, worths = self._candidates(first_bins, last_bins)
        model = cp_model.CpModel()
        uses = [model.new_bool_var(f"f{number}") for number in range(len(fillings))]
        uses_of: list[list[cp_model.IntVar]] = [[] for _ in self._sizes]
        for use, members in zip(uses, fillings, strict=True):
            for item in members.tolist():
                uses_of[item].append(use)
        for of_item in uses_of:
            model.add_at_most_one(of_item)
        model.add(sum(uses) == first_bins)
        model.maximize(
            sum(
                round(WORTH_SCALE * worth) * use
                for worth, use in zip(worths.tolist(), uses, strict=True)
            )
        )
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = ladder.remaining_s
        solver.parameters.max_deterministic_time = EFFORT
        solver.parameters.random_seed = ladder.seed
        solver.parameters.num_workers = 1
        status = solver.status_name(solve_cp_model(solver, model))
        if status not in {"OPTIMAL", "FEASIBLE"}:
            return None
        return [
            members
            for use, members in zip(uses, fillings, strict=True)
            if solver.value(use)
        ]

    def _candidates(
        self, first_bins: int, last_bins: int
    ) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
        """Return fillings and by how much each changes the rest's log packings."""
        problem = self._ladder.problem
        sizes, capacities = self._sizes, problem.capacities
        num_bins = first_bins + last_bins
        budget = num_bins * capacities - sizes.sum(axis=0)
        # Each worth is a derivative of ``log_packings`` of the last bins.
        price_of_waste = np.log10((budget + last_bins) / np.maximum(budget, 1.0))
        price_of_item = math.log10(last_bins)
        # The items left vary about half as much as all do.
        variance = np.maximum(sizes.var(axis=0), 1.0) / 2
        per_bin = len(sizes) / num_bins
        gains = ((sizes - sizes.mean(axis=0)) ** 2 / variance).sum(axis=1)
        gains /= 2 * math.log(10) * per_bin
        gains *= 1 + VARIATION * (self._rng.random(len(gains)) - 0.5)

        limit = np.minimum(budget, price_of_item / price_of_waste).astype(np.int64)
        fillings = list_short(
            sizes, capacities, limit, round(per_bin), self._ladder.deadline
        )
        worths = np.array(
            [
                gains[items].sum()
                - price_of_item * len(items)
                - price_of_waste @ (capacities - sizes[items].sum(axis=0))
                for items in fillings
            ]
        )
        best = np.argsort(-worths, kind="stable")[:MAX_CANDIDATES]
        return [fillings[at] for at in best], worths[best]

    def _complete(
        self, left: NDArray[np.int64], num_bins: int
    ) -> list[NDArray[np.int64]] | None:
        """Pack the items left into so many bins by exact cover."""
        capacities = self._ladder.problem.capacities
        sizes = self._sizes[left]
        budget = num_bins * capacities - sizes.sum(axis=0)
        if len(left) > kernels.MAX_ITEMS or (budget < 0).any():
            return None
        chosen = _cover(sizes, capacities, budget, num_bins, self._ladder.deadline)
        return None if chosen is None else [left[members] for members in chosen]


def _cover(
    sizes: NDArray[np.int64],
    capacities: NDArray[np.int64],
    budget: NDArray[np.int64],
    num_bins: int,
    deadline: float,
) -> list[NDArray[np.int64]] | None:
    """Return the items of ``num_bins`` bins that hold all, if a cover is found."""
    listed = list_frugal_members(
        sizes,
        capacities,
        budget,
        max_fillings=MAX_LAST_FILLINGS,
        deadline=deadline,
    )
    if listed is None:
        return None
    members, lengths = listed
    filled = np.arange(members.shape[1]) < lengths[:, None]
    wastes = capacities - (sizes[members] * filled[:, :, None]).sum(axis=1)
    # The least wasteful first.
    order = np.argsort((wastes / (budget + 0.5)).sum(axis=1), kind="stable")
    members, lengths = members[order], lengths[order]
    chosen = np.zeros(num_bins, dtype=np.int64)
    used = call_until(
        deadline,
        kernels.cover,
        members,
        lengths,
        wastes[order],
        len(sizes),
        budget,
        COVER_NODES,
        chosen,
    )
    if used <= 0:
        return None
    return [members[at, : lengths[at]] for at in chosen[:used].tolist()]


def log_packings(
    sizes: NDArray[np.int64], capacities: NDArray[np.int64], num_bins: int
) -> float:
    """Return the logarithm (base 10) of how many packings are to be expected.

    n items fall into K bins of n/K in n! / ((n/K)!^K K!) ways. In each dimension
    the sums of K - 1 bins hit given values with the density of a normal
    distribution at its mean, and a waste of w in all is spread in
    (w+K-1)! / (w! (K-1)!) ways.
    """
    waste = num_bins * capacities - sizes.sum(axis=0)
    if (waste < 0).any():
        return -math.inf
    per_bin = len(sizes) / num_bins
    log_ways = _log_factorial(len(sizes)) - _log_factorial(num_bins)
    log_ways -= num_bins * _log_factorial(per_bin)
    others = num_bins - 1
    for deviation, left in zip(sizes.std(axis=0), waste, strict=True):
        width = deviation * math.sqrt(2 * math.pi * per_bin)
        log_ways -= others * math.log10(max(1.0, width))
        log_ways += _log_factorial(left + others)
        log_ways -= _log_factorial(left) + _log_factorial(others)
    return log_ways


def _log_factorial(number: float) -> float:
    return math.lgamma(number + 1) / math.log(10)
