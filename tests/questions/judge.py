"""Judge an answer: its value, bound and status, and every promise of the placement."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.errors import CheckError, GpupackError, InfeasibleError, InvalidInputError
from tests.questions.facts import Facts, RefusedError, exact, read
from tests.questions.fillings import Reading, TooLargeError
from tests.questions.oracle import Best, best
from tests.questions.promises import CLOSE, broken_promises, prices_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpupack.placement import Placement
    from tests.questions.question import Question


class Fault(StrEnum):
    """What can be wrong with an answer, the gravest first."""

    WRONG = "wrong"
    """A value, bound, status or promise that does not hold."""
    CRASHED = "crashed"
    """An error that is no answer."""
    LATE = "late"
    """Beyond the time limit, 10 % and half a second."""
    WEAK = "weak"
    """Nothing false, but nothing found, or not proved, where it should be easy."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with an answer.

    Args:
        fault: How grave it is.
        kind: In a word or two, to group by.
        text: With names and numbers.
    """

    fault: Fault
    kind: str
    text: str


@dataclass(frozen=True)
class Expected:
    """What the oracle says of a question.

    Args:
        refused: ``invalid`` or ``infeasible`` where the docstring says so; else "".
        facts: What a placement must keep to; None where it is refused.
        strict: What every right answer reaches; None: it may be infeasible.
        has_latency_limit: Which may be impossible to keep besides.
    """

    refused: str
    facts: Facts | None = None
    strict: Best | None = None
    has_latency_limit: bool = False


def expect(question: Question) -> Expected:
    """Return what the oracle says of a question.

    Raises:
        TooLargeError: If it cannot be judged exhaustively.
    """
    try:
        facts = read(question)
    except RefusedError as err:
        return Expected(
            err.how, has_latency_limit="latency_limit_ms" in question.arguments
        )
    as_gpus = counts_gpus(facts)
    strict = best(facts, Reading.STRICT, counts_gpus=as_gpus)
    return Expected("", facts, strict)


def counts_gpus(facts: Facts) -> bool:
    """Return whether ``max_throughput`` counts GPUs: where nothing can be short.

    With one GPU type, and no demand, replicas or optional models: on an unlimited
    fleet, or where every model has one load point.
    """
    is_plain = not (facts.demand or facts.optional or facts.is_predicted) and set(
        facts.replicas.values()
    ) == {1}
    has_choice = any(len(facts.of_model(name)) > 1 for name in facts.models)
    return (
        facts.objective == "max_throughput"
        and is_plain
        and len(facts.kinds) == 1
        and not (has_choice and facts.kinds[0].count is not None)
    )


def judge(question: Question, expected: Expected) -> list[Finding]:
    """Ask a question; return what is wrong with the answer."""
    started, began = time.perf_counter(), time.process_time()
    answer: Placement | Exception
    try:
        answer = question.ask()
    except Exception as err:
        answer = err
    # A machine that has other things to do is no fault of the answer's.
    spent = min(time.perf_counter() - started, time.process_time() - began)
    found = _judge_answer(answer, expected)
    if spent > question.time_limit_s * 1.1 + 0.5:
        found.append(
            Finding(
                Fault.LATE,
                "late",
                f"{spent:.2f} s at a limit of {question.time_limit_s:g} s",
            )
        )
    return found


def _judge_answer(answer: Placement | Exception, expected: Expected) -> list[Finding]:
    """Return what is wrong with what was said, however long it took."""
    if isinstance(answer, InfeasibleError):
        return list(_judge_infeasible(expected, answer))
    if isinstance(answer, CheckError):
        return [Finding(Fault.CRASHED, "CheckError", str(answer))]
    if isinstance(answer, InvalidInputError):
        return list(_judge_refusal(expected, answer))
    if isinstance(answer, GpupackError):
        if expected.refused:
            return [Finding(Fault.WRONG, "not refused", str(answer))]
        told = f"{type(answer)}: {answer}"
        return [Finding(Fault.WEAK, "not found in time", told)]
    if isinstance(answer, Exception):
        name, told = type(answer).__name__, str(answer)[:500]
        return [Finding(Fault.CRASHED, name, told)]
    return judge_placement(answer, expected)


def _judge_infeasible(expected: Expected, err: InfeasibleError) -> Iterator[Finding]:
    if expected.refused == "infeasible":
        return
    if expected.refused == "invalid" and not expected.has_latency_limit:
        yield Finding(Fault.WRONG, "infeasible, not invalid", str(err))
    elif expected.strict is not None:
        yield Finding(
            Fault.WRONG,
            "false infeasible",
            f"{expected.strict.value:g} by {_told(expected)}; told: {str(err)[:300]}",
        )


def _judge_refusal(expected: Expected, err: InvalidInputError) -> Iterator[Finding]:
    if not expected.refused:
        yield Finding(Fault.WRONG, "refused", f"{type(err).__name__}: {str(err)[:300]}")


def judge_placement(placement: Placement, expected: Expected) -> list[Finding]:
    """Return what is wrong with a placement."""
    facts = expected.facts
    if facts is None:
        return [
            Finding(
                Fault.WRONG,
                "placed, not refused",
                f"{expected.refused}, but placed: {placement.objective_value:g}",
            )
        ]
    found = [Finding(Fault.WRONG, *one) for one in broken_promises(placement, facts)]
    return found + list(_judge_value(placement, facts, expected))


def _judge_value(
    placement: Placement, facts: Facts, expected: Expected
) -> Iterator[Finding]:
    """Compare value, bound and status with the best there is."""
    value, bound = placement.objective_value, placement.bound
    unit = placement.objective_unit.value
    told = f"value {value!r}, bound {bound!r}, {placement.status}, {placement.method}"
    if unit not in _units(facts):
        yield Finding(Fault.WRONG, "unit", f"{unit}, not {_units(facts)}")
        return
    as_gpus = unit == "gpus"
    strict = expected.strict
    if as_gpus != counts_gpus(facts) and facts.objective == "max_throughput":
        strict = best(facts, Reading.STRICT, counts_gpus=as_gpus)
    is_more = placement.objective_unit.is_maximized
    sign = 1 if is_more else -1
    close = CLOSE * max(abs(value), abs(bound), 1e-9)
    if sign * (value - bound) > (close if is_more else 1e-9 * abs(value)):
        yield Finding(Fault.WRONG, "value beats bound", told)
    gap = abs(value - bound) / value if value else 0.0
    if abs(gap - placement.gap) > CLOSE:
        yield Finding(Fault.WRONG, "gap", f"{placement.gap!r} where it is {gap!r}")
    is_optimal = placement.status.value == "OPTIMAL"
    if is_optimal and gap > (1.1e-6 if is_more else 1e-9):
        yield Finding(Fault.WRONG, "OPTIMAL with a gap", f"{told}, gap {gap:g}")
    if strict is not None and sign * (strict.value - bound) > close:
        yield Finding(
            Fault.WRONG, "bound", f"{told}; right {strict.value!r}, {_told(expected)}"
        )
    if is_optimal and strict is not None and sign * (strict.value - value) > close:
        yield Finding(
            Fault.WRONG, "optimum", f"{told}; right {strict.value!r}, {_told(expected)}"
        )
    if strict is None or sign * (value - strict.value) > close:
        counts = as_gpus and facts.objective == "max_throughput"
        try:
            generous = best(facts, Reading.GENEROUS, counts_gpus=counts)
        except TooLargeError as err:
            yield Finding(Fault.WEAK, "not judged", f"{told}; too large: {err}")
        else:
            if generous is None or sign * (value - generous.value) > close:
                right = "infeasible" if generous is None else repr(generous.value)
                yield Finding(Fault.WRONG, "too good", f"{told}; right {right}")
    if not is_optimal:
        right = "none" if strict is None else repr(strict.value)
        yield Finding(Fault.WEAK, "not proved", f"{told}; right {right}")
    elif (
        strict is not None
        and strict.price is not None
        and facts.objective == "min_gpus"
        and strict.value == value
    ):
        price = sum(
            exact(dict(prices_of(facts))[gpu.gpu_type.name]) for gpu in placement.gpus
        )
        if price > strict.price * (1 + Fraction(1, 10**9)):
            yield Finding(
                Fault.WEAK,
                "not the cheapest of equally many",
                f"{float(price):g} where {float(strict.price):g} would do",
            )


def _units(facts: Facts) -> list[str]:
    """Return what the value may count.

    GPUs for ``max_throughput`` "on an unlimited fleet, or when nothing was to be
    chosen": where replicas or GPU types could be chosen, but need not, it may be both.
    """
    if facts.objective == "min_gpus":
        return ["gpus"]
    if facts.objective == "min_cost":
        return ["price_per_hour"]
    if facts.is_max_min:
        return ["served_share"]
    if counts_gpus(facts):
        is_asked = facts.has_replicas
        return ["gpus", "infer_per_sec"] if is_asked else ["gpus"]
    return ["infer_per_sec"]


def _told(expected: Expected) -> str:
    """Return a way to the best value, in words."""
    assert expected.facts is not None
    assert expected.strict is not None
    options = expected.facts.options
    if counts_gpus(expected.facts):
        options = expected.facts.at_best_points().options
    return "; ".join(
        expected.facts.kinds[one.kind].name
        + ": "
        + ", ".join(
            f"{number} {options[index].model_name} {options[index].point}"
            for index, number in one.counts
        )
        for one in expected.strict.fillings
    )
