# Long because rounds in which bins are filled anew share prices and fillings.
"""A plan by filling bins one by one with little slack: for very many jobs.

The copy that is largest of all that is open goes into an empty bin, and a short search
fills up what it leaves, from a sample of jobs of all sizes, so that least is lost: room
that stays empty, at its price, and what a job pays more for room than it must. Whatever
is lost is the gap to the bound that these prices prove. Service that does not fit goes
elsewhere, in a copy of its own.

Copies that are cut short take room in full twice, which comes to lack at the end though
there is enough of it for a relaxation, and then has no price. So each plan is made at
prices blended with prices of that room alone, and the best blend is looked for. Work is
counted: the same problem gives the same plan.

References:
    Gupta and Ho, "A new heuristic algorithm for the one-dimensional bin-packing
    problem", Production Planning & Control 10, 1999 (minimum bin slack). Fleszar and
    Hindi, "New heuristics for one-dimensional bin-packing", Computers & Operations
    Research 29, 2002 (the largest item first, and a limit on slack).
"""

from __future__ import annotations

import math
import time
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.many_jobs.room_prices import UNLIMITED
from gpupack.packing.capacity.many_jobs.ruin_recreate import PackedBins
from gpupack.packing.capacity.many_jobs.service_sharing import shared_anew
from gpupack.packing.capacity.many_jobs.slack_plan import SlackPlan, joined, nothing
from gpupack.packing.capacity.model import Copies, FilledBin
from gpupack.packing.kernels.capacity.minimum_slack import (
    Fillings,
    Offers,
    fill_by_slack,
)
from gpupack.packing.runtime import call_until

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.capacity.many_jobs.room_prices import OptionArrays
    from gpupack.packing.capacity.model import CapacityProblem, Goal

    Array = NDArray[np.float64]
    Integers = NDArray[np.int64]

BLENDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""Shares of prices of room taken in full alone, tried from the middle on."""
FIRST_BLEND = 3
SAMPLED, SAMPLED_MORE = 48, 200
"""Jobs among which a bin chooses, at first and once a good blend is known."""
OPENED = 0.25
"""Share of the fillings that are emptied in a round: those that waste most."""
NOISE, RANDOM = 0.5, 3.0
"""Of waste: a random factor around 1, and as a multiple of its median a random part."""
TAKEN_AWAY = (0.3, 0.9)
"""Share of all waste, in price of bins, that is taken away before ruin and recreate."""
RECREATED_BLENDS = (0.4, 0.7)
"""Of prices there: what is open counts for the room of a copy, too."""
MOVES_PER_BIN = 200
RECREATING = 0.9
"""Share of the time left for it; then what is still open must find bins."""
VAIN_RECREATED = 5
"""Rounds that one of ruin and recreate counts for, which takes longer."""
MAX_IN_VAIN = 30
"""Rounds without a gain after which no more are tried, where other searches follow."""
FACTORS = (0.5, 1.0, 2.0)
"""Of the blend, in rounds."""
NEGLIGIBLE = 1e-12
"""Share of a need that is none."""
SEEDS_APART = 7_919
"""Between rounds."""
MAX_NODES = 16
"""Of the search of one bin, after which no step is taken back."""
SLACK = 2e-3
"""Share of a bin's price whose loss is little enough."""
SHARE_AT_ONCE = 16
LEAST_AT_ONCE = 64
"""Bins between which jobs are sorted anew: a share of the open jobs, and at least."""
SLOTS = 64
"""For copies, per bin that is filled at once."""
FULLEST = 256
"""Copies in one bin at most, which the kernel needs room for."""
LARGEST = 2**50
"""Size up to which whole numbers are sums without rounding."""


class SlackSearch:
    """Fills bins for one problem and a goal that serves every demand in full.

    Args:
        problem: What is planned; without a rule, without optional jobs.
        goal: Bins or cost; every bin has a price.
        options: Those of the problem.
        weights: Prices of all the room of a bin, shape (bin types, dimensions).
        seed: For the samples.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        goal: Goal,
        options: OptionArrays,
        weights: Array,
        *,
        seed: int,
    ) -> None:
        self._problem = problem
        self._options = options
        self._weights = weights
        self._seed = seed
        self._blend = FIRST_BLEND
        self._prices = np.array(problem.prices(goal), dtype=np.int64)
        self._capacity = np.array(
            [one.capacity for one in problem.bin_types], dtype=float
        )
        num_types, num_jobs = len(problem.bin_types), len(problem.jobs)
        self._starts = np.searchsorted(
            options.job * num_types + options.bin_type,
            np.arange(num_jobs * num_types + 1),
        )
        here = [problem.options[one] for one in options.index]
        shape = len(here), problem.num_dimensions
        # As they are: sums of whole numbers are exact.
        self._fixed = np.array([one.fixed for one in here], dtype=float).reshape(shape)
        room = np.maximum(self._capacity, 1.0)[options.bin_type]
        self._loaded = options.loaded * room
        self._most = options.most()
        self._fastest = np.zeros(num_jobs)
        np.maximum.at(self._fastest, options.job, self._most)

    @staticmethod
    def is_for(problem: CapacityProblem, goal: Goal) -> bool:
        """Return whether such bins can be filled here."""
        return (
            goal.is_in_full
            and problem.rule is None
            and problem.budget is None
            and all(problem.prices(goal))
            and not any(job.is_optional for job in problem.jobs)
            and max(max(one.capacity, default=0) for one in problem.bin_types) < LARGEST
            and max(problem.prices(goal)) < LARGEST
        )

    def run(self, *, deadline: float = math.inf) -> SlackPlan | None:
        """Return the best plan at a few blends of prices, None if none has room.

        Args:
            deadline: On the clock of ``time.perf_counter``, after which no further
                blend is tried; a first plan is made in any case.
        """
        best: SlackPlan | None = None
        for num_sampled in (SAMPLED, SAMPLED_MORE):
            best = self._at_best_blend(best, num_sampled, deadline)
        return best

    def _at_best_blend(
        self, best: SlackPlan | None, num_sampled: int, deadline: float
    ) -> SlackPlan | None:
        """Return the best plan after looking for the best blend, from the last on."""
        costs: dict[int, float] = {}

        def cost(at: int) -> float:
            nonlocal best
            if at in costs:
                return costs[at]
            is_over = best is not None and time.perf_counter() >= deadline
            if is_over or not 0 <= at < len(BLENDS):
                return math.inf
            plan = self._filled_up(
                nothing(),
                BLENDS[at],
                num_sampled=num_sampled,
                seed=self._seed,
                deadline=math.inf if best is None else deadline,
            )
            if plan is not None and (best is None or plan.cost < best.cost):
                best = plan
            costs[at] = math.inf if plan is None else plan.cost
            return costs[at]

        for step in (1, -1):
            while cost(self._blend + step) < cost(self._blend):
                self._blend += step
        return best

    def improved(
        self,
        plan: SlackPlan,
        *,
        bound: float,
        deadline: float,
        max_in_vain: int = MAX_IN_VAIN,
    ) -> SlackPlan:
        """Return a plan that is no dearer, after rounds in which bins are filled anew.

        The worst ones in turns as at first, and by ruin and recreate.

        Args:
            plan: To start from.
            bound: Cost at which to stop.
            deadline: On the clock of ``time.perf_counter``.
            max_in_vain: Rounds without a gain after which no more are tried.
        """
        rng = np.random.default_rng(self._seed)
        in_vain = number = 0
        while (
            plan.cost > bound
            and in_vain <= max_in_vain
            and time.perf_counter() < deadline
        ):
            number += 1
            other = (
                self._with_worst_anew(plan, number, rng, deadline)
                if number % 2
                else self._recreated(plan, number, rng, deadline)
            )
            in_vain += 1 if number % 2 else VAIN_RECREATED
            if other is not None and other.cost <= plan.cost:
                if other.cost < plan.cost:
                    in_vain = 0
                plan = other
        return plan

    def _with_worst_anew(
        self, plan: SlackPlan, number: int, rng: np.random.Generator, deadline: float
    ) -> SlackPlan | None:
        """Return a plan with the bins filled anew that waste most, None if in vain."""
        waste = self._waste(plan)
        waste *= rng.uniform(1 - NOISE, 1 + NOISE, len(waste))
        waste += rng.uniform(0, RANDOM, len(waste)) * np.median(waste)
        num_kept = round(len(waste) * (1 - OPENED))
        is_kept = np.zeros(len(waste), dtype=bool)
        is_kept[np.argsort(waste, kind="stable")[:num_kept]] = True
        return self._filled_up(
            plan.of(is_kept, self._prices),
            BLENDS[self._blend] * float(rng.choice(FACTORS)),
            num_sampled=SAMPLED_MORE,
            seed=self._seed + number * SEEDS_APART,
            deadline=deadline,
        )

    def _recreated(
        self, plan: SlackPlan, number: int, rng: np.random.Generator, deadline: float
    ) -> SlackPlan | None:
        """Return a plan after ruin and recreate without the bins that waste most."""
        waste = self._waste(plan) * plan.number
        prices = self._prices[plan.bin_type]
        price = float(prices @ plan.number) / max(1, int(plan.number.sum()))
        worst = np.argsort(-waste / (prices * plan.number), kind="stable")
        paid = np.cumsum((prices * plan.number)[worst])
        least = float(rng.uniform(*TAKEN_AWAY)) * float(waste.sum())
        is_kept = np.ones(len(waste), dtype=bool)
        is_kept[worst[: max(1, int(np.searchsorted(paid, least)))]] = False
        blend = float(rng.choice(RECREATED_BLENDS))
        offers = self._offers(blend)
        packed = PackedBins.of(plan.of(is_kept, self._prices), self._options)
        if packed is None or not packed.is_open:
            return None
        packed.anneal(
            offers,
            moves_per_bin=MOVES_PER_BIN,
            price=price,
            seed=self._seed + number * SEEDS_APART,
            deadline=time.perf_counter()
            + RECREATING * (deadline - time.perf_counter()),
        )
        shared = shared_anew(
            packed.plan(self._options, self._prices),
            self._options,
            offers.unit_worth,
            self._prices,
            deadline=deadline,
        )
        return self._filled_up(
            shared,
            blend,
            num_sampled=SAMPLED_MORE,
            seed=self._seed + number * SEEDS_APART,
            deadline=deadline,
        )

    def _waste(self, plan: SlackPlan) -> Array:
        """Return what bins of each filling cost beyond what they serve."""
        worth = self._worth_per_unit[self._options.job[plan.option]] * plan.service
        starts = np.concatenate([[0], plan.end[:-1]])
        prices = self._prices[plan.bin_type].astype(float)
        waste: Array = prices - np.add.reduceat(worth, starts)
        return waste

    @cached_property
    def _worth_per_unit(self) -> Array:
        """Return what a unit of each job costs at the prices as they are."""
        options = self._options
        of_option = self._weights[options.bin_type]
        served = np.minimum(options.need[options.job], self._most)
        cost = (options.fixed * of_option).sum(axis=1) / served
        cost += (options.loaded * of_option).sum(axis=1)
        worth = np.full(len(options.need), np.inf)
        np.minimum.at(worth, options.job, cost)
        return worth

    def _filled_up(
        self,
        kept: SlackPlan,
        blend: float,
        *,
        num_sampled: int,
        seed: int,
        deadline: float,
    ) -> SlackPlan | None:
        """Return some bins with others beside them that serve all the rest.

        None if a job finds no bin, or time is up.
        """
        options = self._options
        offers = self._offers(blend)
        need = options.need.copy()
        copies = np.zeros(len(need), dtype=np.int64)
        available = np.array(
            [
                UNLIMITED if one.count is None else min(one.count, UNLIMITED)
                for one in self._problem.bin_types
            ],
            dtype=np.int64,
        )
        if len(kept.end):
            slots = np.diff(kept.end, prepend=0)
            number = np.repeat(kept.number, slots)
            job = options.job[kept.option]
            np.subtract.at(need, job, kept.service * number)
            np.add.at(copies, job, number)
            need[need <= NEGLIGIBLE * options.need] = 0.0
            np.subtract.at(available, kept.bin_type, kept.number)
        parts = [kept]
        while (num_open := int(np.count_nonzero(need > 0))) > 0:
            at_once = max(LEAST_AT_ONCE, num_open // SHARE_AT_ONCE)
            num_slots = at_once * SLOTS + FULLEST
            fillings = Fillings(
                need=need,
                copies=copies,
                available=available,
                bin_type=np.zeros(at_once, dtype=np.int64),
                number=np.zeros(at_once, dtype=np.int64),
                end=np.zeros(at_once, dtype=np.int64),
                loss=np.zeros(at_once),
                option=np.zeros(num_slots, dtype=np.int64),
                service=np.zeros(num_slots),
            )
            num = call_until(
                deadline,
                partial(self._call, offers, fillings, num_sampled, seed + len(parts)),
            )
            if num <= 0 or time.perf_counter() >= deadline:
                return None
            last = int(fillings.end[num - 1])
            parts.append(
                SlackPlan(
                    int(self._prices[fillings.bin_type[:num]] @ fillings.number[:num]),
                    fillings.bin_type[:num],
                    fillings.number[:num],
                    fillings.end[:num],
                    fillings.option[:last].copy(),
                    fillings.service[:last].copy(),
                )
            )
        return joined(parts)

    def _call(
        self,
        offers: Offers,
        fillings: Fillings,
        num_sampled: int,
        seed: int,
        stop: NDArray[np.int8],
    ) -> int:
        return fill_by_slack(
            offers,
            fillings,
            num_sampled=num_sampled,
            node_limit=MAX_NODES,
            slack=SLACK,
            seed=seed,
            stop=stop,
        )

    def filled(self, plan: SlackPlan) -> tuple[FilledBin, ...]:
        """Return the bins of a plan, equal ones merged."""
        options = self._options
        index = options.index[plan.option].tolist()
        service = plan.service.tolist()
        merged: dict[tuple[int, tuple[Copies, ...]], int] = {}
        start = 0
        for bin_type, number, end in zip(
            plan.bin_type.tolist(), plan.number.tolist(), plan.end.tolist(), strict=True
        ):
            held: dict[int, list[float]] = {}
            for at in range(start, end):
                one = held.setdefault(index[at], [0, 0.0])
                one[0] += 1
                one[1] += service[at]
            start = end
            copies = tuple(
                Copies(option, int(count), self._service(option, int(count), served))
                for option, (count, served) in sorted(held.items())
            )
            key = bin_type, copies
            merged[key] = merged.get(key, 0) + number
        return tuple(
            FilledBin(bin_type, copies, number)
            for (bin_type, copies), number in merged.items()
        )

    def _service(self, option: int, count: int, served: float) -> float:
        one = self._problem.options[option]
        job = self._problem.jobs[one.job]
        if job.is_whole:
            return float(count * one.rate)
        return served if job.demand else 0.0

    def _offers(self, blend: float) -> Offers:
        """Return what can be filled in at a blend of prices."""
        options = self._options
        prices = self._prices.astype(float)
        weights = (1 - blend) * self._weights
        weights += blend * prices[:, None] * self._fill_shares
        of_option = weights[options.bin_type]
        cost = (options.fixed * of_option).sum(axis=1)
        unit_cost = (options.loaded * of_option).sum(axis=1)
        unit_worth = np.full(len(options.need), np.inf)
        np.minimum.at(
            unit_worth, options.job, (cost + unit_cost * self._most) / self._most
        )
        return Offers(
            capacity=self._capacity,
            weights=weights / np.maximum(self._capacity, 1.0),
            mix=options.mix(weights, prices) * self._capacity,
            price=prices,
            starts=self._starts,
            fixed=self._fixed,
            loaded=self._loaded,
            most=self._most,
            cost=cost,
            unit_cost=unit_cost,
            unit_worth=unit_worth,
            fastest=self._fastest,
            least=options.least,
            limit=options.limit,
            whole=options.is_whole,
        )

    @cached_property
    def _fill_shares(self) -> Array:
        """Return, by bin type, what prices are blended with, in parts of 1.

        Dimensions in which copies take room in full, by how full they are on average.
        """
        share = self._options.mix(self._weights, self._prices.astype(float))
        is_taken_in_full = self._fixed.max(axis=0, initial=0.0) > 0
        if is_taken_in_full.any():
            share = share * is_taken_in_full
        shares: Array = share / np.maximum(share.sum(axis=1), 1e-300)[:, None]
        return shares
