"""Models that take part of the traffic they could: as neighbors, and by themselves.

The reasoning is at the top of ``contention``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from gpupack.planning.contention.delays import PROCESSOR_SHARING
from gpupack.planning.contention.mean_value_analysis import rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.planning.contention.delays import CustomerClass, SharingShape

MAX_KNOWN_CLASSES = 10_000
"""Classes kept: a diagnosis asks about the same models many times, and to find how long
several customers wait takes some 60 networks."""


@lru_cache(maxsize=MAX_KNOWN_CLASSES)
def slowed_down(
    one: CustomerClass,
    requests_per_sec: float,
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> CustomerClass:
    """Return the class whose customers wait so long between requests that this is all.

    What a request does at the GPU stays as it is.

    Args:
        one: A class that reaches this rate alone.
        requests_per_sec: > 0.
        contention_factor: Of its customers among themselves.
        shape: Likewise.
    """
    if one.num_customers == 1:
        elsewhere_s = 1 / requests_per_sec - one.gpu_demand_s
        return replace(one, elsewhere_s=max(one.elsewhere_s, elsewhere_s))
    low, high = one.elsewhere_s, one.num_customers / requests_per_sec
    for _ in range(60):
        middle = (low + high) / 2
        found = rates(
            [replace(one, elsewhere_s=middle)],
            contention_factor=contention_factor,
            shape=shape,
        )
        if found[0] > requests_per_sec:
            low = middle
        else:
            high = middle
    return replace(one, elsewhere_s=(low + high) / 2)


def class_at_load(
    one: CustomerClass,
    requests_per_sec: float,
    load: float,
    *,
    contention_factor: float,
    shape: SharingShape,
) -> CustomerClass | None:
    """Return how neighbors see a model with so much of its traffic, None without any.

    Args:
        one: The model as measured.
        requests_per_sec: That it then reached.
        load: Traffic ÷ that, 0–1.
        contention_factor: Of the GPU type and sharing mode.
        shape: Of the sharing mode.
    """
    if load <= 0:
        return None
    if load >= 1:
        return one
    return slowed_down(
        one, load * requests_per_sec, contention_factor=contention_factor, shape=shape
    )


def limits_beside(
    driven: Sequence[CustomerClass],
    at_traffic: Sequence[CustomerClass | None],
    *,
    contention_factor: float,
    shape: SharingShape,
    copies: Sequence[int] | None = None,
) -> tuple[float, ...]:
    """Return the requests per second of each model, driven to its limit by itself.

    Args:
        driven: The models as they were measured.
        at_traffic: The same as neighbors, with the traffic that they take; None for
            a model without traffic.
        contention_factor: Of the GPU type and sharing mode.
        shape: Of the sharing mode.
        copies: Equal instances of each model; one if left out. The rate is that of
            one of them.
    """
    copies = copies or [1] * len(driven)
    together = [
        None if one is None else _of_copies(one, count)
        for one, count in zip(at_traffic, copies, strict=True)
    ]
    present = [index for index, one in enumerate(together) if one is not None]
    found: dict[int, float] = {}
    if present:
        of_all = rates(
            [one for one in together if one is not None],
            contention_factor=contention_factor,
            shape=shape,
            own_elsewhere_s=[driven[index].elsewhere_s for index in present],
        )
        found = {
            index: rate / copies[index]
            for index, rate in zip(present, of_all, strict=True)
        }
    for index, own in enumerate(driven):
        # Several customers of one model are at the GPU beside each other: they must
        # all be driven.
        neighbor = at_traffic[index]
        if index not in found or (own.num_customers > 1 and own is not neighbor):
            others = together[:index] + together[index + 1 :]
            if neighbor is not None and copies[index] > 1:
                others.append(_of_copies(neighbor, copies[index] - 1))
            found[index] = rates(
                [own, *(one for one in others if one is not None)],
                contention_factor=contention_factor,
                shape=shape,
            )[0]
    return tuple(found[index] for index in range(len(driven)))


def _of_copies(one: CustomerClass, copies: int) -> CustomerClass:
    """Return the class of the customers of so many equal models."""
    if copies == 1:
        return one
    return replace(one, num_customers=one.num_customers * copies)


def share_of_traffic(solo_share: float, load: float) -> float:
    """Return what a model serves of its traffic, 0–1.

    Args:
        solo_share: Of its throughput alone that it could reach beside its neighbors.
        load: Traffic ÷ throughput alone.
    """
    return 1.0 if load <= 0 else min(1.0, solo_share / load)
