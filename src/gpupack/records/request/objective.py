"""What a placement shall be best at, and how models are weighed against each other."""

from __future__ import annotations

from enum import StrEnum


class Objective(StrEnum):
    """What a placement is best at."""

    MIN_GPUS = "min_gpus"
    """The fewest GPUs; by default memory alone binds."""
    MAX_THROUGHPUT = "max_throughput"
    """No model loses throughput; memory and both utilizations bind."""
    MIN_COST = "min_cost"
    """The lowest price per hour."""


class Fairness(StrEnum):
    """What ``max_throughput`` makes large on a limited fleet."""

    SUM = "sum"
    """The weighted sum of what is served."""
    MAX_MIN = "max_min"
    """The share of its demand that every model gets, and then the sum."""


class ContentionRule(StrEnum):
    """How it counts that models slow each other down on a shared GPU."""

    PLAIN = "plain"
    """By the headroom: plain sums of utilizations say whether models lose anything."""
    PREDICTED = "predicted"
    """As predicted: ``max_throughput`` maximizes what models reach together."""


class Billing(StrEnum):
    """Which of a GPU's prices per hour counts."""

    ON_DEMAND = "on_demand"
    """``price``."""
    RESERVED = "reserved"
    """``reserved_price``."""


class LatencyRule(StrEnum):
    """Which latency a limit is about."""

    ALONE = "alone"
    """As measured: one model by itself, requests kept in flight."""
    PREDICTED = "predicted"
    """As predicted: beside neighbors, of requests that arrive at the planned rate."""
