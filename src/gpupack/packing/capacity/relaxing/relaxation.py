# Long because column generation and its bound share the state of one linear program.
"""The linear relaxation over all patterns, by column generation, and its bound.

References:
    Gilmore and Gomory, "A linear programming approach to the cutting-stock
    problem", Operations Research 9, 1961. Farley, "A note on bounding a class of
    linear programming problems, including cutting stock problems", Operations
    Research 38, 1990: scaled prices give a bound before the relaxation is solved.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Goal
from gpupack.packing.capacity.relaxing.bin_counts import SAFETY, CountCut
from gpupack.packing.capacity.relaxing.bin_patterns import (
    PatternFinder,
    Prices,
    weightings,
)
from gpupack.packing.capacity.relaxing.lagrangian import Lagrangian
from gpupack.packing.capacity.relaxing.measures import service_scale
from gpupack.packing.capacity.relaxing.plan_master import Guide, PlanMaster
from gpupack.packing.capacity.relaxing.pricing_rounds import (
    LAST_NODE_LIMIT,
    QUICK_NODE_LIMIT,
    PricedBin,
    PricingRounds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpupack.packing.capacity.model import CapacityProblem, Configuration, Counts
    from gpupack.packing.capacity.relaxing.bin_patterns import Pattern
    from gpupack.packing.capacity.relaxing.plan_master import Duals

CLOSE_ENOUGH = 1e-3
"""Relative distance between relaxation and bound at which generation stops."""
MAX_STARTS_AT_FIRST, LEAST_STARTS = 2_000, 5
"""First patterns of all bin types, and of each at least: the jobs beyond get theirs
when prices ask for them."""
SLOW = 2e-4
SLOW_SHORTFALL = 2e-3
"""Gain of a greedy round, of the value or the shortfall, below which to price exactly:
that finds better patterns, and says how much there is to gain."""
STALE = 3e-4
MAX_STALE = 4
"""Relative gain of bound and value in an exact round below which it was in vain, and
rounds in vain in a row after which a relaxation that is only to be probed ends."""
SMOOTHING, SERVICE_SMOOTHING = 0.5, 0.3
"""Share of the way towards the prices of the best bound, at which to price; the second
where service counts."""
ENOUGH_SPARE = 1e-3
"""Spare share of every need at which bins count as enough for the relaxation."""
PRICE_ROUNDING = Fraction(1, 2**52)
SMALLEST_EXCESS = Fraction(1, 10**6)
"""In bins of the dearest type, by which a bound must be above what all bins cost."""
NEWER = 0.5
"""Of what demands at the bound are lower by: about what the bound gains from them."""
MAX_PROMISING = 300
MANY_TYPES = 20
MAX_STARTS = 8
"""Greedy patterns per bin type and weighting in one round."""


@dataclass(frozen=True)
class Relaxation:
    """What column generation found.

    Args:
        value: Of the restricted relaxation, in the units of the goal.
        bound: Proven: no plan is better.
        configurations: Of the patterns, the most promising first.
        num_used: How many of them the relaxation uses.
        bought_off: Not every job got what it must; it may be impossible.
        is_infeasible: Proved: not even fractions of bins do.
    """

    value: float
    bound: float
    configurations: tuple[Configuration, ...]
    num_used: int
    bought_off: bool
    is_infeasible: bool


@dataclass(frozen=True)
class ShareFound:
    """What is known of the share of all demands that bins can serve.

    Args:
        most: No plan gives a larger one; at most 1.
        reached: The relaxation gives it.
        center: The prices that prove it, None if there are none yet.
    """

    most: float
    reached: float
    center: Duals | None


class Relaxer:
    """Column generation for one problem and goal.

    Args:
        problem: What is planned; every bin type counted unless the goal is cost.
        goal: What is best.
        deadline: On the clock of ``time.perf_counter``.
        seed: For every random choice.
    """

    def __init__(
        self, problem: CapacityProblem, goal: Goal, *, deadline: float, seed: int
    ) -> None:
        self._problem = problem
        self._goal = goal
        self._deadline = deadline
        self._scale = service_scale(problem)
        self._lagrangian = Lagrangian(problem, goal)
        in_time = (
            problem
            if problem.rule is None
            else replace(problem, rule=self._is_allowed_in_time)
        )
        self._finders = [
            PatternFinder(in_time, index) for index in range(len(problem.bin_types))
        ]
        self._pricing = PricingRounds(problem, seed=seed)
        self._smoothing = SMOOTHING if goal.is_in_full else SERVICE_SMOOTHING
        self.cuts: list[CountCut] = []
        self.center: Duals | None = None
        """After a run: prices that prove its bound."""
        self.value = math.inf
        """After a run: of the relaxation, in the units of the goal."""
        self.master = PlanMaster(problem, goal)

    def _is_allowed_in_time(self, bin_type: int, counts: Counts) -> bool:
        """Ask the rule for a greedy pattern; late, it can do without one copy more."""
        return time.perf_counter() < self._deadline and self._problem.is_allowed(
            bin_type, counts
        )

    def run(
        self, *, target_gap: float = CLOSE_ENOUGH, max_rounds: float = math.inf
    ) -> Relaxation:
        """Generate patterns until the bound is close or the deadline near.

        Args:
            target_gap: Relative, between value and bound, at which to stop.
            max_rounds: Of exact pricing.
        """
        started = time.perf_counter()
        # Where bins are counted, probing says more than a slightly closer bound.
        last_node_limit = QUICK_NODE_LIMIT if self._goal.is_in_full else LAST_NODE_LIMIT
        best_bound = reached = -math.inf
        value = last = lowest = math.inf
        num_rounds = stale = 0
        center: Duals | None = None
        for pattern in self._first_patterns():
            self.master.add(pattern)
        while True:
            value = self.master.solve(deadline=self._deadline)
            if time.perf_counter() > self._deadline:
                break
            duals = self.master.duals()
            now = time.perf_counter()
            # Without an exact round there is no bound: half of the time is for those.
            is_late = best_bound == -math.inf and now - started > self._deadline - now
            is_slow = last - value < SLOW * max(1.0, abs(value))
            last = value
            if not is_late and not is_slow and self.improve_greedily(duals):
                continue
            bound, is_new = self._improve_exactly(duals, center, close=target_gap / 2)
            if bound > best_bound:
                best_bound = bound
                center = (
                    duals if center is None else duals.towards(center, self._smoothing)
                )
            if not is_new and center is not None:
                bound, is_new = self._improve_exactly(duals, close=target_gap / 2)
                if bound > best_bound:
                    best_bound, center = bound, duals
            margin = STALE * max(1.0, abs(value))
            stale += 1
            num_rounds += 1
            if best_bound > reached + margin or value < lowest - margin:
                reached, lowest, stale = best_bound, value, 0
            if num_rounds >= max_rounds:
                break
            # What is only to be probed need not be closer; service has no other bound.
            if self._goal.is_in_full and stale >= MAX_STALE:
                break
            if not self._pricing.goes_on(
                is_new, last_node_limit=last_node_limit
            ) or value - best_bound <= target_gap * max(1.0, abs(value)):
                break
        self.center = center
        result = self._result(best_bound)
        self.value = result.value
        return result

    def start_from(self, patterns: Iterable[Pattern]) -> None:
        """Add patterns beside the first ones, instead of a ``run``."""
        for pattern in (*self._first_patterns(), *patterns):
            self.master.add(pattern)

    def promising(self, most: int = MAX_PROMISING) -> list[Pattern]:
        """Return so many patterns that the relaxation uses, or hardly does not."""
        self.master.solve(deadline=self._deadline)  # patterns may have been added since
        columns = self.master.patterns
        cost = {
            pattern: 0.0 if column.solution_value() > 0 else column.reduced_cost()
            for pattern, column in columns.items()
        }
        ranked = sorted(columns, key=lambda one: (cost[one], one.configuration))
        return ranked[:most]

    def probe(self, counts: Sequence[int], *, deadline: float) -> CountCut | None:
        """Return an inequality that so many bins of each type break, None if none.

        From then on the master is that of these bins: patterns and prices of later
        calls are for the shortfall. Without an inequality there is a plan in
        fractions of patterns, or time ran out.

        Args:
            counts: Of bins, per type.
            deadline: On the clock of ``time.perf_counter``.
        """
        self._deadline = deadline
        self._pricing.start_anew()
        self.master.aim_at_shortfall(counts)
        last = lowest = math.inf
        center: Duals | None = None
        while True:
            shortfall = self.master.solve(deadline=self._deadline)
            if time.perf_counter() > deadline:
                return None
            duals = self.master.duals()
            is_slow = last - shortfall < SLOW_SHORTFALL
            last = shortfall
            if not is_slow and self.improve_greedily(duals):
                continue
            if shortfall <= -ENOUGH_SPARE:
                return None
            is_new = False
            for at in (center, None) if center is not None else (None,):
                _, is_new = self._improve_exactly(duals, at, close=shortfall / 2)
                headroom = self.cuts[-1].headroom(counts) if self.cuts else math.inf
                if headroom < -SAFETY:
                    return self.cuts[-1]
                if headroom < lowest:
                    lowest = headroom
                    center = duals if at is None else duals.towards(at, SMOOTHING)
                if is_new:
                    break
            # With nothing missing there is a plan in fractions: nothing to be broken.
            if not self._pricing.goes_on(
                is_new, last_node_limit=LAST_NODE_LIMIT if shortfall > 0 else 0
            ):
                return None

    def share(
        self,
        counts: Sequence[int],
        *,
        deadline: float,
        patience: float,
        close: float,
        center: Duals | None = None,
        tell: Callable[[float], None],
    ) -> ShareFound:
        """Bound the share of all demands that a plan of so many bins can give.

        From then on the master is that of these bins, as in ``probe``. It ends as soon
        as less is to be gained here than from the demands that the bound allows.

        Args:
            counts: Of bins, per type.
            deadline: On the clock of ``time.perf_counter``.
            patience: On the same clock, up to when to look for any such share below 1.
            close: To what the relaxation has reached, at which a share is.
            center: Prices to start from, that bounded the share of other demands.
            tell: Called with each share that is lower than those before.
        """
        self._deadline, self._smoothing = deadline, SERVICE_SMOOTHING
        self._pricing.start_anew()
        self.master.aim_at_shortfall(counts)
        lowest, tightest, last = 1.0, math.inf, math.inf
        if center is not None:
            cut, _ = self._cut_at(center, None, close=0.0)
            lowest, tightest = cut.share(counts), cut.headroom(counts)
            tell(lowest)
        while True:
            shortfall = self.master.solve(deadline=self._deadline)
            reached = 1.0 - shortfall
            until = deadline if lowest < 1 else patience
            near = max(close, NEWER * (1 - lowest))
            if time.perf_counter() > until or lowest - reached <= near:
                break
            duals = self.master.duals()
            is_slow = last - shortfall < SLOW_SHORTFALL
            last = shortfall
            if not is_slow and self.improve_greedily(duals):
                continue
            is_new = is_tighter = False
            for at in (center, None) if center is not None else (None,):
                cut, is_new = self._cut_at(duals, at, close=(lowest - reached) / 2)
                if cut.headroom(counts) < tightest:
                    tightest, is_tighter = cut.headroom(counts), True
                    center = duals if at is None else duals.towards(at, self._smoothing)
                if cut.share(counts) < lowest:
                    lowest = cut.share(counts)
                    tell(lowest)
                if is_new:
                    break
            if not self._pricing.goes_on(
                is_new, last_node_limit=LAST_NODE_LIMIT, is_better=is_tighter
            ):
                break
        return ShareFound(lowest, reached, center)

    def _cut_at(
        self, duals: Duals, at: Duals | None, *, close: float
    ) -> tuple[CountCut, bool]:
        """Add patterns; return the inequality of the prices, and if any is new."""
        num_cuts = len(self.cuts)
        _, is_new = self._improve_exactly(duals, at, close=close)
        if len(self.cuts) == num_cuts:  # nothing that is needed has a price
            return CountCut((), 1.0), is_new
        return self.cuts[-1], is_new

    def guide(self) -> Guide:
        """Return what the last solve says about where to look for a plan."""
        self.master.solve(deadline=self._deadline)
        duals = self.master.duals()
        prices = self.prices(duals)
        return Guide(
            self.master.used(),
            duals,
            tuple(
                tuple(finder.weights(prices, deadline=self._deadline))
                for finder in self._finders
            ),
        )

    def _first_patterns(self) -> list[Pattern]:
        problem = self._problem
        ones = [1.0] * len(problem.options)
        prices = Prices(
            problem,
            [
                0.0 if problem.jobs[o.job].is_whole else one
                for o, one in zip(problem.options, ones, strict=True)
            ],
            [
                0.0 if problem.jobs[o.job].demand else one
                for o, one in zip(problem.options, ones, strict=True)
            ],
            [0.0] * len(problem.jobs),
        )
        weights = [1.0] * problem.num_dimensions
        max_starts = max(LEAST_STARTS, MAX_STARTS_AT_FIRST // len(self._finders))
        return [
            pattern
            for finder in self._finders
            for pattern in finder.greedy(prices, weights, max_starts=max_starts)
        ]

    def prices(self, duals: Duals) -> Prices:
        """Return what patterns earn at these prices of needs."""
        problem = self._problem
        per_load, per_copy = [], []
        for index, option in enumerate(problem.options):
            demand = problem.jobs[option.job].demand
            per_load.append(
                duals.service[option.job] * option.rate / demand if demand else 0.0
            )
            per_copy.append(duals.most[option.job] + duals.option[index])
        return Prices(problem, per_load, per_copy, duals.copies)

    def _price_of_bin(self, bin_type: int, duals: Duals) -> float:
        cost = self._problem.bin_types[bin_type].cost
        return (
            self.master.bin_prices[bin_type]
            - duals.room[bin_type]
            - duals.budget * cost
        )

    def improve_greedily(
        self,
        duals: Duals,
        open_shares: Sequence[float] | None = None,
        *,
        num_weightings: int | None = None,
    ) -> bool:
        """Add patterns filled by value per room; return whether any is new.

        Args:
            duals: What needs are worth.
            open_shares: Of each job's need; all of it if left out.
            num_weightings: Of room; all if left out.
        """
        prices = self.prices(duals)
        is_new = False
        max_starts = MAX_STARTS
        if len(self._finders) > MANY_TYPES:
            # There are patterns enough, one of each type.
            num_weightings, max_starts = 1, 1
        for bin_type, finder in enumerate(self._finders):
            if self._problem.bin_types[bin_type].count == 0:
                continue
            price = self._price_of_bin(bin_type, duals)
            for weights in weightings(finder.weights(prices, deadline=self._deadline))[
                :num_weightings
            ]:
                for pattern in finder.greedy(
                    prices, weights, max_starts=max_starts, open_shares=open_shares
                ):
                    gain = prices.value(pattern) - price
                    if gain > 1e-3 * max(price, 1e-3) and self.master.add(pattern):
                        is_new = True
        return is_new

    def _improve_exactly(
        self, duals: Duals, center: Duals | None = None, *, close: float = 0.0
    ) -> tuple[float, bool]:
        """Add patterns of every bin type; return a bound, and whether any is new.

        Args:
            duals: What needs are worth.
            center: Prices to go half the way to.
            close: Relative distance to a bin's price at which a bound will do.
        """
        true_duals, true_prices = duals, self.prices(duals)
        if center is not None:
            duals = duals.towards(center, self._smoothing)
        prices = self.prices(duals)
        weights = [
            finder.weights(prices, deadline=self._deadline) for finder in self._finders
        ]
        values = [
            max(0.0, finder.bound(prices, room)) if one.count != 0 else 0.0
            for finder, room, one in zip(
                self._finders, weights, self._problem.bin_types, strict=True
            )
        ]
        is_new = False
        self._pricing.is_cut = False
        asked = [
            PricedBin(bin_type, room, price)
            for bin_type, room in enumerate(weights)
            for price in [self._price_of_bin(bin_type, duals)]
            # Else no pattern earns its bin: that is all to be known.
            if values[bin_type] > price
        ]
        priced = self._pricing.priced(
            asked,
            prices,
            patterns=self.master.patterns,
            close=close,
            deadline=self._deadline,
        )
        for one, (patterns, most) in zip(asked, priced, strict=True):
            # What room is worth bounds what was not searched, if less closely.
            values[one.bin_type] = min(values[one.bin_type], max(0.0, most))
            true_price = self._price_of_bin(one.bin_type, true_duals)
            for pattern in patterns:
                gain = true_prices.value(pattern) - true_price
                if gain > 1e-9 * max(1.0, true_price) and self.master.add(pattern):
                    is_new = True
        if self._goal.is_in_full:
            needed = self._lagrangian.of_jobs(duals, 1.0)
            if needed > 0:
                in_share = math.fsum(
                    duals.service[index]
                    for index, job in enumerate(self._problem.jobs)
                    if job.demand and not job.is_optional
                )
                self.cuts.append(CountCut(tuple(values), needed, in_share))
        bound = self._lagrangian.bound(duals, values, self.master.bin_prices)
        return bound, is_new

    def _result(self, bound: float) -> Relaxation:
        value = self.master.solve(
            deadline=self._deadline
        )  # patterns may have been added since
        bought_off = self.master.missing() > 1e-6
        patterns = self.master.patterns
        # A bound above what any feasible plan can cost proves there is none.
        is_infeasible = (
            bought_off and math.isfinite(bound) and self._is_beyond_all(bound)
        )
        ranked = sorted(
            patterns.items(),
            key=lambda pair: (
                -pair[1].solution_value()
                if pair[1].solution_value() > 1e-9
                else max(0.0, pair[1].reduced_cost()),
                pair[0].configuration,
            ),
        )
        used = [p for p, column in ranked if column.solution_value() > 1e-9]
        rest = sorted(
            (p for p, column in ranked if column.solution_value() <= 1e-9),
            key=lambda p: (max(0.0, patterns[p].reduced_cost()), p.configuration),
        )
        used_configurations = list(dict.fromkeys(p.configuration for p in used))
        every = dict.fromkeys([*used_configurations, *(p.configuration for p in rest)])
        if self._goal.is_in_full:
            return Relaxation(
                value * self.master.unit,
                bound * self.master.unit,
                tuple(every),
                len(used_configurations),
                bought_off,
                is_infeasible,
            )
        unit = self._scale if self._goal is Goal.MAX_SERVICE else 1.0
        return Relaxation(
            -value * unit,
            -bound * unit,
            tuple(every),
            len(used_configurations),
            bought_off,
            is_infeasible,
        )

    def _is_beyond_all(self, bound: float) -> bool:
        """Return whether a bound on the cost is above that of all bins there are.

        In fractions; prices in the units of the master were rounded once each.
        """
        worst = Fraction(0)
        for price, one in zip(
            self.master.bin_prices, self._problem.bin_types, strict=True
        ):
            if price and one.count is None:
                return False
            worst += Fraction(price) * (one.count or 0)
        return Fraction(bound) > worst * (1 + PRICE_ROUNDING) + SMALLEST_EXCESS
