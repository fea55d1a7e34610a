"""Rates of rounds as they would have been had the host's cores run at one speed.

A core that shares its execution units with a stranger slows what is launched from it by
tens of percent, now and then, whoever shares the GPU. ``busy_record`` has every round's
time of a little arithmetic (``benchmarks.h200.host_speed``); how far a model's rate
follows it is fitted to that model alone, so nothing of sharing enters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST_ROUNDS = 8
LEAST_SPREAD = 0.02
"""Standard deviation of the logarithm of the host's time that tells of an exponent."""
MOST_EXPONENT = 1.2


@dataclass(frozen=True)
class HostShare:
    """How a model's rate falls with the time of the host's arithmetic.

    Attributes:
        exponent: The rate goes with the time to minus this: 0 for one that the GPU
            alone decides, 1 for one that the host alone does.
        usual_us: The geometric mean of the times, to which rates are corrected.
    """

    exponent: float
    usual_us: float

    def at_equal_speed(
        self, rates: Sequence[float], host_us: Sequence[float | None]
    ) -> list[float]:
        """Return rates at the host's usual speed; those without a time as they are."""
        times = np.array([one or self.usual_us for one in host_us])
        factors = (times / self.usual_us) ** self.exponent
        return [float(one) for one in np.array(rates) * factors]


def fit_host_share(alone: Sequence[float], host_us: Sequence[float]) -> HostShare:
    """Fit the logarithm of a model's rate alone to that of the host's time.

    By least squares; the exponent is 0 where too little is known, and between 0 and a
    little more than 1. Times that are noisy themselves give a smaller one, so rates are
    corrected by too little rather than too much.

    Args:
        alone: Rates, round by round, of all sets of the model.
        host_us: The host's time in each; at least one.
    """
    time = np.log(host_us)
    usual_us = float(np.exp(time.mean()))
    if len(time) < LEAST_ROUNDS or time.std() < LEAST_SPREAD:
        return HostShare(0.0, usual_us)
    time -= time.mean()
    slope = float(time @ np.log(alone) / (time @ time))
    return HostShare(min(MOST_EXPONENT, max(0.0, -slope)), usual_us)


def host_shares(closed: Sequence[Mapping[str, Any]]) -> dict[str, HostShare]:
    """Return the share of each model of one recording's closed sets.

    Empty where the host's speed was not recorded.
    """
    seen: dict[str, list[tuple[float, float]]] = {}
    for row in closed:
        for index, name in enumerate(row["models"]):
            for one in _told(row["rounds"], index):
                seen.setdefault(name, []).append(
                    (one["alone"][index], one["host_us"]["alone"][index])
                )
    return {
        name: fit_host_share(*zip(*rounds, strict=True))
        for name, rounds in seen.items()
    }


def rounds_at_equal_speed(
    rounds: Sequence[Mapping[str, Any]], index: int, share: HostShare
) -> tuple[list[float], list[float]]:
    """Return a member's rates alone and together, of rounds that tell the host's speed.

    Args:
        rounds: Of one closed set.
        index: Of the member.
        share: Of the model.
    """
    told = _told(rounds, index)
    alone, together = (
        share.at_equal_speed(
            [one[phase][index] for one in told],
            [one["host_us"][phase][index] for one in told],
        )
        for phase in ("alone", "together")
    )
    return alone, together


def _told(rounds: Sequence[Mapping[str, Any]], index: int) -> list[Mapping[str, Any]]:
    return [
        one
        for one in rounds
        if "host_us" in one
        and one["host_us"]["alone"][index]
        # Beside others a model may have got nothing done: nothing was read then.
        and (one["host_us"]["together"][index] or not one["together"][index])
    ]
