"""How much to plan for above what is asked, from how good the data are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import share_number
from gpupack.planning.contention import resolve_contention
from gpupack.quoting import quoted
from gpupack.records.gpu import DeviceKind
from gpupack.spelling import setting

if TYPE_CHECKING:
    from gpupack.planning.modeling import CapacityQuestion

STEP = 0.05
"""For each reason to doubt: what the prediction missed by on an H200, rounded."""
MOST_PLAIN = 1.0
"""A reserve above it must be written as percent: a plain number may mean that."""
KEPT_BASE = 0.7
"""Of its throughput alone, what every model shall keep where nothing is asked, the
reserve not counted."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Safety margin on every demand, with the reasons for it.

    Args:
        ratio: Of every demand.
        reasons: In words, one for each step of it.
    """

    ratio: float
    reasons: tuple[str, ...]


NO_RESERVE = Reserve(0.0, ())
"""What is asked exactly, and no more."""


def asked_reserve(given: float | str) -> Reserve:
    """Return the reserve that somebody asked for: 0.2, or "20%".

    Raises:
        InvalidInputError: If it is none, or a number above 1, which is more likely
            meant in percent, or as growth.
    """
    share = share_number(given)
    named = setting("reserve")
    if share is None or not 0 <= share < math.inf:
        raise InvalidInputError(
            f"{named} is {quoted(given)}; it must be finite and ≥ 0, such as 0.2 or "
            "20% for a fifth above every demand"
        )
    if share > MOST_PLAIN and not isinstance(given, str):
        in_percent = (
            f"for {share:g} % give {setting('reserve', share / 100)}"
            if share >= 2
            else f"for {share - 1:.0%} more give "
            f"{setting('reserve', round(share - 1, 6))}"
        )
        as_text = f"{100 * share:g}%"
        raise InvalidInputError(
            f"{named} {share:g} would be {share:.0%} above every demand; {in_percent}, "
            f"and if that much is meant, {setting('reserve', as_text)}"
        )
    return Reserve(share, ("as asked",))


def reserve_for(question: CapacityQuestion) -> Reserve:
    """Return the reserve that the measurements call for."""
    records = [
        record
        for supply in question.supplies
        for of_model in supply.records.values()
        for record in of_model
    ]
    reasons = ["traffic and measurements vary"]
    uncalibrated = [
        supply.gpu_type.name
        for supply in question.supplies
        if supply.gpu_type.kind is not DeviceKind.HOST
        and not resolve_contention(
            question.profiles, supply.measured_on, question.sharing
        ).num_sets
    ]
    if uncalibrated:
        reasons.append(
            f"nothing was measured together on {', '.join(sorted(uncalibrated))}"
        )
    never_settled = {one.model_name for one in records if one.is_stable is False}
    unknown = {one.model_name for one in records if one.is_stable is None}
    if never_settled:
        reasons.append(f"measurements of {len(never_settled)} models never settled")
    elif unknown:
        reasons.append(
            f"whether measurements settled is not known of {len(unknown)} models"
        )
    return Reserve(round(STEP * len(reasons), 6), tuple(reasons))
