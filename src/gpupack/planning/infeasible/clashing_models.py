"""The models of an irreducible infeasible subset: as few as clash with the limits."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from gpupack.packing import PlanStatus, are_there, bins_apart, least_needs
from gpupack.planning.infeasible.relaxed_question import (
    is_impossible,
    is_plainly_impossible,
    plan_relaxed,
    relaxed_problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.packing import CapacityProblem, Deadline
    from gpupack.planning.infeasible.limits import Limits
    from gpupack.planning.modeling import CapacityQuestion

    Models = tuple[str, ...]

MAX_SMALL_SET = 3
"""Sets of models up to this size are tried one by one."""
SMALL_SETS_SHARE = 0.5
"""Of the time, for trying them."""


class ClashingModels:
    """Searches for few models that no placement holds.

    Args:
        question: What cannot be answered.
        models: All of which are required; sorted by name.
        limits: What holds.
        deadline: The fewest found by then are returned.
        step_limit_s: For one proof.
    """

    def __init__(
        self,
        question: CapacityQuestion,
        models: Models,
        limits: Limits,
        *,
        deadline: Deadline,
        step_limit_s: float,
    ) -> None:
        self._question = question
        self._models = models
        self._limits = limits
        self._deadline = deadline
        self._small_sets_deadline = deadline.within(
            SMALL_SETS_SHARE * deadline.remaining_s
        )
        self._step_limit_s = step_limit_s
        self._known: dict[Models, bool] = {}

    def fewest(self) -> Models:
        """Return a set that clashes, by name; if time allows, none can be left out.

        Sets of up to ``MAX_SMALL_SET`` models are tried first. Then the heaviest
        models are taken, as few as are proved too many, and each is left out if the
        rest are proved too many without it.
        """
        problem = relaxed_problem(self._question, self._models, self._limits)
        if problem is None or len(self._models) == 1:
            return self._models
        ranks = self._ranks(problem)
        kept = self._heaviest(ranks, self._is_plainly_impossible)
        small = self._small_set(problem, ranks[0], below=len(kept))
        if small is not None:
            return small
        if kept == self._models:
            kept = self._heaviest(ranks, self._is_impossible)
        needed = list(kept)
        for name in reversed(ranks[0]):
            if self._deadline.has_passed:
                break
            rest = tuple(one for one in needed if one != name)
            if name in needed and rest and self._is_impossible(rest):
                needed.remove(name)
        return tuple(needed)

    def _ranks(self, problem: CapacityProblem) -> list[list[str]]:
        """Return the models, heaviest first, by all they need and by each resource."""
        needs = least_needs(problem)
        most = [max(column, default=0.0) or 1.0 for column in zip(*needs, strict=True)]
        shares = {
            name: tuple(need / top for need, top in zip(row, most, strict=True))
            for name, row in zip(self._models, needs, strict=True)
        }
        weights: list[Callable[[str], float]] = [
            lambda name: max(shares[name]),
            *(lambda name, d=d: shares[name][d] for d in range(len(most))),
        ]
        return [
            sorted(self._models, key=lambda name: (-weight(name), name))
            for weight in weights
        ]

    def _heaviest(
        self, ranks: list[list[str]], is_proved: Callable[[Models], bool]
    ) -> Models:
        """Return the fewest of the heaviest models that are proved too many, or all."""
        fewest = self._models
        for ranked in ranks:
            low, high = 0, len(fewest)
            while high - low > 1 and not self._deadline.has_passed:
                # The most that would be an improvement first: often there is none.
                middle = high - 1 if high == len(fewest) else (low + high) // 2
                if is_proved(tuple(sorted(ranked[:middle]))):
                    high = middle
                else:
                    low = middle
            if high < len(fewest):
                fewest = tuple(sorted(ranked[:high]))
        return fewest

    def _small_set(
        self, problem: CapacityProblem, ranked: list[str], *, below: int
    ) -> Models | None:
        """Return a set of few models that clashes, None if none is found.

        Sets whose copies have a GPU each are passed over.
        """
        alone = {
            name: bins_apart(problem, job) for job, name in enumerate(self._models)
        }
        for size in range(1, min(MAX_SMALL_SET + 1, below)):
            for some in combinations(ranked, size):
                if self._small_sets_deadline.has_passed:
                    return None
                uses = [alone[name] for name in some]
                if are_there(problem, uses):
                    continue
                some = tuple(sorted(some))
                if size > 1:
                    if self._is_impossible(some):
                        return some
                    continue
                plan = plan_relaxed(
                    self._question,
                    some,
                    self._limits,
                    time_limit_s=self._small_sets_deadline.within(
                        self._step_limit_s
                    ).remaining_s,
                )
                if plan is not None and plan.status is PlanStatus.INFEASIBLE:
                    return some
                if plan is not None and plan.is_found:
                    bins = Counter[int]()
                    for one in plan.bins:
                        bins[one.bin_type] += one.multiplicity
                    alone[some[0]] = bins
        return None

    def _is_plainly_impossible(self, models: Models) -> bool:
        return is_plainly_impossible(self._question, models, self._limits)

    def _is_impossible(self, models: Models) -> bool:
        if models not in self._known:
            self._known[models] = is_impossible(
                self._question,
                models,
                self._limits,
                deadline=self._deadline.within(self._step_limit_s),
            )
        return self._known[models]
