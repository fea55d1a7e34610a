"""How traffic is shared out over GPUs whose instances are decided."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from ortools.linear_solver import pywraplp

from tests.questions.fillings import TooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.questions.facts import Facts, Option
    from tests.questions.fillings import Filling


def served(
    facts: Facts,
    options: Sequence[Option],
    limits: Sequence[Fraction],
    chosen: tuple[Filling, ...],
    what: str,
    *,
    no_room: Fraction = Fraction(0),
) -> float | None:
    """Return the most weighted service, or the largest smallest share, of fillings.

    What is left of a GPU counts as no room where it is at most ``no_room`` of it.

    Every variable and coefficient is around 1: a load is counted in parts of the most
    that is of use, what a model gets in parts of its demand.
    """
    present = Counter(dict.fromkeys(facts.models, 0))
    for filling in chosen:
        for index, number in filling.counts:
            present[options[index].model_name] += number
    lp = pywraplp.Solver.CreateSolver("GLOP")
    shares: dict[str, list[pywraplp.LinearExpr]] = {
        name: [] for name, demand in facts.demand.items() if demand
    }
    for filling, multiplicity in Counter(chosen).items():
        rows: list[list[pywraplp.LinearExpr]] = [[] for _ in limits]
        left = list(limits)
        for index, number in filling.counts:
            option = options[index]
            name = option.model_name
            if name not in facts.demand:
                for d, load in enumerate(option.loads):
                    left[d] -= load * number
                continue
            if name not in shares or not option.rate:
                continue
            if present[name] < facts.replicas[name]:
                continue  # An optional one that lacks replicas counts as left out.
            most = min(
                Fraction(number * multiplicity), facts.demand[name] / option.rate
            )
            part = lp.NumVar(0.0, 1.0, "")
            shares[name].append(float(most * option.rate / facts.demand[name]) * part)
            for d, load in enumerate(option.loads):
                if load:
                    rows[d].append(
                        float(load * most / (limits[d] * multiplicity)) * part
                    )
        for d, row in enumerate(rows):
            if row:
                room = left[d] / limits[d]
                lp.Add(lp.Sum(row) <= (float(room) if room > no_room else 0.0))
    smallest = lp.NumVar(0.0, 1.0, "")
    scale = max(
        (facts.weights[name] * facts.demand[name] for name in shares),
        default=Fraction(1),
    )
    total = []
    for name, terms in shares.items():
        of_model = lp.NumVar(0.0, 1.0, "")
        lp.Add(of_model <= (lp.Sum(terms) if terms else 0.0))
        total.append(float(facts.weights[name] * facts.demand[name] / scale) * of_model)
        if name not in facts.optional:
            lp.Add(smallest <= of_model)
    if what == "share":
        lp.Maximize(smallest + 0.0)
    else:
        lp.Maximize(lp.Sum(total) if total else smallest * 0.0)
    if lp.Solve() != pywraplp.Solver.OPTIMAL:
        raise TooLargeError("the linear program was not solved")
    value = lp.Objective().Value()
    return float(value) if what == "share" else float(value) * float(scale)
