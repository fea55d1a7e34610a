"""Decimation by belief propagation: likely fillings first, the last bins exactly.

Where bins may waste next to nothing, a packing is an exact cover of the items by the
fillings that waste little: hundreds of thousands for 200 items. How likely each is to
be in a cover drawn at random follows from belief propagation (the sum-product
algorithm), with a factor for what a filling wastes that makes all of them together
waste the budget. The likeliest filling leaves most covers of the rest; it is chosen,
what clashes with it is struck out, the messages settle, and the next is chosen. Once a
few hundred fillings may still be, a search decides whether some of them cover the items
left. If none do, random factors on the likelihoods lead elsewhere.

References:
    Kschischang, Frey and Loeliger, "Factor graphs and the sum-product algorithm", IEEE
    Transactions on Information Theory 47, 2001; Mézard, Parisi and Zecchina, "Analytic
    and algorithmic solution of random satisfiability problems", Science 297, 2002, for
    decimation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.model import Bin, merge_bins
from gpupack.packing.items.patterns.frugal_fillings import list_frugal_members
from gpupack.packing.kernels.items import exact_cover as kernels
from gpupack.packing.runtime import call_until

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.items.model import Ladder

MAX_WASTE = 0.002
"""Of a bin, on average; where more may be wasted, dives find packings as well."""
MIN_PER_BIN = 3.5
"""Items; where bins hold fewer, too few fillings are frugal, and dives find them."""
MAX_PER_BIN = 8.0
"""Items; with more, fillings are too many to list."""
MIN_LOG_PACKINGS = 6.0
"""Of the whole problem; with fewer expected, the last bins would have none."""
MAX_LOG_PACKINGS = 30.0
"""With more expected, dives find one in less time."""
MAX_FAILURES = 100
"""Attempts in vain after which the search is given up."""
MAX_LISTED = 120_000
LISTING_NODES = 60_000_000
MAX_KEPT = 32_000
"""Fillings to choose from: the likeliest of those listed."""
LEAST_WASTES = (11.0, 8.0, 5.5, 4.0)
"""Logarithms by which waste may make a filling less likely, to be listed."""
FIRST_SWEEPS = 60
SWEEPS = 14
"""Times every message is sent at the start, and after each choice."""
NOISE = 0.3
"""Likelihoods are multiplied by 1 to 1 + this."""
MAX_LAST_FILLINGS = 500
"""That may still be chosen when the search takes over."""
COVER_NODES = 200_000


class Decimation:
    """Looks for packings with one bin less by belief propagation and exact cover.

    Args:
        ladder: Whose problem, clock, packing and bound to use.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        problem = ladder.problem
        self._sizes = np.repeat(problem.sizes, problem.counts, axis=0)
        self._type_of = np.repeat(np.arange(problem.num_types), problem.counts)
        self._state = np.array([0x9E3779B97F4A7C15 + ladder.seed], dtype=np.uint64)
        self._failures = 0
        self._covering: Covering | None = None

    @property
    def is_promising(self) -> bool:
        """Whether packings with one bin less are to be expected."""
        problem, num_bins = self._ladder.problem, self._ladder.num_bins - 1
        if self._failures >= MAX_FAILURES or num_bins < 1:
            return False
        budget = num_bins * problem.capacities - problem.counts @ problem.sizes
        if (budget > MAX_WASTE * num_bins * problem.capacities).any():
            return False
        if not MIN_PER_BIN <= len(self._sizes) / num_bins <= MAX_PER_BIN:
            return False
        expected = log_packings(self._sizes, problem.capacities, num_bins)
        return MIN_LOG_PACKINGS <= expected <= MAX_LOG_PACKINGS

    def attempt(self) -> bool:
        """Try once; True if the ladder has a better packing."""
        ladder, num_bins = self._ladder, self._ladder.num_bins - 1
        if self._covering is None or self._covering.num_bins != num_bins:
            self._covering = Covering.of(
                self._sizes, ladder.problem.capacities, num_bins, ladder.deadline
            )
        if self._covering is None:
            # They are too many to list, now and later.
            self._failures = MAX_FAILURES
            return False
        chosen = self._covering.attempt(self._state, ladder.deadline)
        if chosen is None:
            self._failures += 1
            return False
        return ladder.offer(
            merge_bins(
                Bin(tuple(zip(kinds.tolist(), counts.tolist(), strict=True)))
                for kinds, counts in (
                    np.unique(self._type_of[members], return_counts=True)
                    for members in chosen
                )
            )
        )


class Covering:
    """Fillings of items that are to be held once each, and how likely each is.

    Args:
        members: Items of each filling, shape (fillings, longest).
        lengths: How many each has.
        wastes: Shape (fillings, dimensions).
        num_items: To be held.
        num_bins: Fillings to choose.
        budget: What they waste together, shape (dimensions,).
    """

    def __init__(
        self,
        members: NDArray[np.int64],
        lengths: NDArray[np.int64],
        wastes: NDArray[np.int64],
        *,
        num_items: int,
        num_bins: int,
        budget: NDArray[np.int64],
    ) -> None:
        self.num_bins = num_bins
        self._members, self._lengths, self._wastes = members, lengths, wastes
        self._num_items, self._budget = num_items, budget
        per_bin = num_items / num_bins
        # As if all fillings were equally likely.
        message = max(1.0, len(lengths) / num_bins) ** (-1.0 / per_bin)
        self._messages = np.full(members.shape, message)
        self._rates = np.exp(-_log_rates(budget, num_bins))

    @classmethod
    def of(
        cls,
        sizes: NDArray[np.int64],
        capacities: NDArray[np.int64],
        num_bins: int,
        deadline: float,
    ) -> Covering | None:
        """List the fillings that waste least; None if even those are too many."""
        budget = num_bins * capacities - sizes.sum(axis=0)
        log_rates = _log_rates(budget, num_bins)
        for least in LEAST_WASTES:
            limit = np.minimum(budget, (least / log_rates).astype(np.int64))
            listed = list_frugal_members(
                sizes,
                capacities,
                limit,
                max_fillings=MAX_LISTED,
                max_nodes=LISTING_NODES,
                deadline=deadline,
            )
            if listed is not None:
                break
        else:
            return None
        members, lengths = listed
        filled = np.arange(members.shape[1]) < lengths[:, None]
        wastes = capacities - (sizes[members] * filled[:, :, None]).sum(axis=1)
        covering = cls(
            members,
            lengths,
            wastes,
            num_items=len(sizes),
            num_bins=num_bins,
            budget=budget,
        )
        odds = covering._propagate(deadline)
        covering._keep(np.sort(np.argsort(-odds, kind="stable")[:MAX_KEPT]))
        return covering

    def attempt(
        self, state: NDArray[np.uint64], deadline: float
    ) -> list[NDArray[np.int64]] | None:
        """Try once; return the items of every bin if they are covered."""
        return self.complete(self.choose(state, deadline), deadline)

    def choose(self, state: NDArray[np.uint64], deadline: float) -> NDArray[np.int64]:
        """Choose likely fillings that do not clash until a search can do the rest."""
        chosen = np.zeros(self.num_bins, dtype=np.int64)
        used = call_until(
            deadline,
            kernels.decimate,
            self._members,
            self._lengths,
            self._wastes,
            self._num_items,
            self._budget,
            SWEEPS,
            self._messages,
            self._rates,
            MAX_LAST_FILLINGS,
            NOISE,
            state,
            chosen,
        )
        return chosen[:used]

    def complete(
        self, chosen: NDArray[np.int64], deadline: float
    ) -> list[NDArray[np.int64]] | None:
        """Return the chosen fillings' items and a cover of the rest, if one is found.

        Args:
            chosen: Fillings of which no two hold the same item.
            deadline: On the clock of ``time.perf_counter``; then the search is cut.
        """
        first = [self._items(at) for at in chosen.tolist()]
        number_of = np.full(self._num_items, -1)
        left = np.ones(self._num_items, dtype=bool)
        for held in first:
            left[held] = False
        items = np.flatnonzero(left)
        number_of[items] = np.arange(len(items))
        budget = self._budget - self._wastes[chosen].sum(axis=0)
        if len(items) > kernels.MAX_ITEMS or (budget < 0).any():
            return None
        if len(items) == 0:
            return first
        filled = np.arange(self._members.shape[1]) < self._lengths[:, None]
        may_be = (left[self._members] | ~filled).all(axis=1)
        may_be &= (self._wastes <= budget).all(axis=1)
        kept = np.flatnonzero(may_be)
        if len(kept) == 0:
            return None
        # The least wasteful first.
        cost = (self._wastes[kept] / (budget + 0.5)).sum(axis=1)
        kept = kept[np.argsort(cost, kind="stable")]
        covers = np.zeros(self.num_bins - len(chosen), dtype=np.int64)
        used = call_until(
            deadline,
            kernels.cover,
            np.where(filled[kept], number_of[self._members[kept]], 0),
            self._lengths[kept],
            self._wastes[kept],
            len(items),
            budget,
            COVER_NODES,
            covers,
        )
        if used <= 0:
            return None
        return first + [self._items(at) for at in kept[covers[:used]].tolist()]

    def _items(self, at: int) -> NDArray[np.int64]:
        return self._members[at, : self._lengths[at]]

    def _propagate(self, deadline: float) -> NDArray[np.float64]:
        odds = np.zeros(len(self._lengths))
        call_until(
            deadline,
            kernels.propagate,
            self._members,
            self._lengths,
            self._wastes,
            self._num_items,
            self._budget,
            FIRST_SWEEPS,
            self._messages,
            self._rates,
            odds,
        )
        return odds

    def _keep(self, kept: NDArray[np.int64]) -> None:
        self._members, self._lengths = self._members[kept], self._lengths[kept]
        self._wastes = self._wastes[kept]
        self._messages = np.ascontiguousarray(self._messages[kept])


def _log_rates(budget: NDArray[np.int64], num_bins: int) -> NDArray[np.float64]:
    """Return by how much (logarithm) a unit of waste makes a filling less likely.

    As if the wastes of bins that waste the budget together followed the geometric
    distribution.
    """
    return np.log1p(num_bins / (budget + 0.5))


def log_packings(
    sizes: NDArray[np.int64], capacities: NDArray[np.int64], num_bins: int
) -> float:
    """Return the logarithm (base 10) of how many packings are to be expected.

    n items fall into K bins of n/K in n! / ((n/K)!^K K!) ways. In each dimension
    the sums of K - 1 bins hit given values with the density of a normal
    distribution at its mean, and a waste of w in all is spread in
    (w+K-1)! / (w! (K-1)!) ways.

    References:
        The estimate is of the kind with which Mertens, "Phase transition in the
        number partitioning problem", Physical Review Letters 81, 1998, counts perfect
        partitions.
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
