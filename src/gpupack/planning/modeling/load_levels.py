"""How much of its throughput a replica may serve, and as how busy it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class LoadLevel:
    """One range of traffic for replicas of models with a demand.

    Args:
        most_ratio: The most that a replica serves, as a share of its throughput, 0–1.
        judged_ratio: The share that the prediction takes it to serve. Where it is the
            most, what may share a GPU does so however the traffic is shared out.
            Where it is the least of the range, everything that might share one may:
            such plans bound what can be reached.
    """

    most_ratio: float = 1.0
    judged_ratio: float = 1.0


FULL_LOAD = LoadLevel()
"""Any traffic, judged as if replicas were driven to their limit."""


def levels_up_to(*ratios: float) -> tuple[LoadLevel, ...]:
    """Return levels that are judged by the most that they may serve."""
    return tuple(LoadLevel(ratio, ratio) for ratio in sorted(ratios))


def levels_above(*ratios: float) -> tuple[LoadLevel, ...]:
    """Return levels that cover all traffic, each judged by the least of its range.

    Args:
        ratios: Where one range ends and the next begins, between 0 and 1.
    """
    edges = (_HARDLY_ANY, *sorted(ratios), 1.0)
    return tuple(LoadLevel(most, least) for least, most in pairwise(edges))


_HARDLY_ANY = 1e-6
