# Long because both solutions of the network, and traffic in it, stand together.
"""The closed queueing network: the rates of all classes, by mean value analysis.

And models that take part of the traffic they could: as neighbors, and by themselves.
The recursion, its sources and the reasoning are at the top of ``prediction``.
"""

from __future__ import annotations

import math
import operator
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpupack.planning.contention.delays import PROCESSOR_SHARING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.planning.contention.delays import CustomerClass, SharingShape

MAX_EXACT_POPULATIONS = 1_024
"""Up to this many the recursion is followed, which takes one or two milliseconds: those
of ten different models of one customer each, or of 1,023 customers of one model."""
MAX_KNOWN_CLASSES = 10_000
"""Classes kept: a diagnosis asks about the same models many times, and to find how long
several customers wait takes some 60 networks."""
LOOP_STEPS_PER_SIZE = 25
"""Steps of a plain loop that take as long as all populations of one size by arrays."""
MAX_KNOWN_SHAPES = 64
"""Of networks, whose populations are kept in order of size."""
CLASSES_AT_ONCE = 96
"""Of GPUs solved together: their delays are taken from one table of all classes, which
numpy fills in less time than one of each GPU."""
_FIXED_POINT_TOLERANCE = 1e-12
"""Relative, of the queues."""
_HALVINGS = 60
_MAX_NEWTON_STEPS = 100
"""Newton's method takes about five."""


def rates(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
    own: Sequence[CustomerClass] | None = None,
    delays: Delays | None = None,
) -> tuple[float, ...]:
    """Return every class's requests per second when all share one GPU.

    Exact up to ``MAX_EXACT_POPULATIONS`` populations, approximate beyond.

    Args:
        classes: At least one. Equal ones give the same rates as one class with the
            customers of all, of which there are far fewer populations.
        contention_factor: ``c``.
        shape: Of the sharing mode.
        own: What each class would be while its own rate is asked for, one class at a
            time: the same with another time elsewhere; the class if left out. By the
            arrival theorem a class of one customer finds the others as they are
            without it, whatever time it spends elsewhere itself.
        delays: Among the classes, where they are known; of the same factor and shape.
    """
    solve = (
        exact_rates
        if _num_populations(classes) <= MAX_EXACT_POPULATIONS
        else approximate_rates
    )
    return solve(
        classes,
        contention_factor=contention_factor,
        shape=shape,
        own=own,
        delays=delays,
    )


def exact_rates(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
    own: Sequence[CustomerClass] | None = None,
    delays: Delays | None = None,
) -> tuple[float, ...]:
    """Return the rates by mean value analysis over all populations.

    Takes O(classes² × Π (customers + 1)): about 0.1 ms for six models of one customer.
    """
    known = delays or delays_among(
        classes, contention_factor=contention_factor, shape=shape, own=own
    )
    num_sizes = sum(one.num_customers for one in classes)
    num_steps = _num_populations(classes) * len(classes)
    queues = (
        _queues_by_loop(classes, known.each, known.most)
        if num_steps <= LOOP_STEPS_PER_SIZE * num_sizes
        else _queues_by_size(classes, known.each, known.most)
    )
    found = []
    for index, (one, driven, row, queue) in enumerate(
        zip(classes, own or classes, known.own, queues, strict=True)
    ):
        waits_s = map(operator.mul, row, queue)
        if known.most is not None:
            others = [neighbor.num_customers for neighbor in classes]
            others[index] -= 1
            waits_s = map(min, waits_s, map(operator.mul, known.most[index], others))
        at_gpu_s = one.gpu_demand_s + sum(waits_s)
        found.append(one.num_customers / (driven.elsewhere_s + at_gpu_s))
    return tuple(found)


def rates_of_each(
    gpus: Sequence[tuple[Sequence[CustomerClass], Sequence[CustomerClass]]],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> list[tuple[float, ...]]:
    """Return ``rates`` of many GPUs: those of as many customers are solved together.

    Args:
        gpus: The classes of each, and what each class is while its own rate is asked
            for.
        contention_factor: ``c``.
        shape: Of the sharing mode.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, (classes, _) in enumerate(gpus):
        customers = tuple([one.num_customers for one in classes])
        alike.setdefault(customers, []).append(place)
    found: list[tuple[float, ...]] = [()] * len(gpus)
    for customers, places in alike.items():
        num_at_once = max(1, CLASSES_AT_ONCE // len(customers))
        is_exact = math.prod(one + 1 for one in customers) <= MAX_EXACT_POPULATIONS
        for first in range(0, len(places), num_at_once):
            here = places[first : first + num_at_once]
            if is_exact and len(here) > 1:
                solved = _exact_rates_of_each(
                    [gpus[place] for place in here], customers, contention_factor, shape
                )
            else:
                solved = [
                    rates(
                        gpus[place][0],
                        contention_factor=contention_factor,
                        shape=shape,
                        own=gpus[place][1],
                    )
                    for place in here
                ]
            for place, one in zip(here, solved, strict=True):
                found[place] = one
    return found


def _exact_rates_of_each(
    gpus: Sequence[tuple[Sequence[CustomerClass], Sequence[CustomerClass]]],
    num_customers: tuple[int, ...],
    contention_factor: float,
    shape: SharingShape,
) -> list[tuple[float, ...]]:
    """Return the rates of GPUs whose classes have these numbers of customers."""
    num_gpus, num_classes = len(gpus), len(num_customers)
    numbers = np.arange(num_gpus)

    def by_gpu(table: NDArray[np.float64]) -> NDArray[np.float64]:
        blocks = table.reshape(num_gpus, num_classes, num_gpus, num_classes)
        found: NDArray[np.float64] = blocks[numbers, :, numbers, :]
        return found

    classes = [one for here, _ in gpus for one in here]
    own = [one for _, here in gpus for one in here]
    most = shape.most_table(classes)
    queues = _queues_of_each(
        num_customers,
        _by_class(num_gpus, [one.gpu_demand_s for one in classes]),
        _by_class(num_gpus, [one.elsewhere_s for one in classes]),
        by_gpu(contention_factor * shape.delay_table(classes)),
        None if most is None else by_gpu(contention_factor * most),
    )
    waits_s = by_gpu(contention_factor * shape.delay_table(own, classes)) * queues
    if most is not None:
        others = np.array(num_customers) - np.eye(num_classes)
        waits_s = np.minimum(waits_s, by_gpu(contention_factor * most) * others)
    at_gpu_s = _by_class(num_gpus, [one.gpu_demand_s for one in classes])
    at_gpu_s = at_gpu_s + waits_s.sum(axis=2)
    driven_s = _by_class(num_gpus, [one.elsewhere_s for one in own])
    return [
        tuple(row) for row in (np.array(num_customers) / (driven_s + at_gpu_s)).tolist()
    ]


def _by_class(num_gpus: int, values: Sequence[float]) -> NDArray[np.float64]:
    """Return values of the classes of GPUs, one row for each GPU."""
    return np.array(values).reshape(num_gpus, -1)


class Delays(NamedTuple):
    """Who waits how long for whom, with the contention factor, row by row.

    Attributes:
        each: ``c W_ij``, for each request of j at the GPU.
        own: The same of a class while its own rate is asked for.
        most: ``c C_ij``, at most for each customer of j; None without such a bound.
    """

    each: list[list[float]]
    own: list[list[float]]
    most: list[list[float]] | None

    def among(self, places: Sequence[int]) -> Delays:
        """Return those among some of the classes, in this order."""
        pick = operator.itemgetter(*places)
        each, own, most = (
            table if table is None else [list(pick(table[place])) for place in places]
            for table in self
        )
        return Delays(each or [], own or [], most)


def delays_among(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
    own: Sequence[CustomerClass] | None = None,
) -> Delays:
    """Return the delays among classes; the arguments are those of ``rates``."""
    each = (contention_factor * shape.delay_table(classes)).tolist()
    most = shape.most_table(classes)
    return Delays(
        each,
        each
        if own is None
        else (contention_factor * shape.delay_table(own, classes)).tolist(),
        None if most is None else (contention_factor * most).tolist(),
    )


def _num_populations(classes: Sequence[CustomerClass]) -> int:
    return math.prod(one.num_customers + 1 for one in classes)


def _queues_by_loop(
    classes: Sequence[CustomerClass],
    delays: Sequence[Sequence[float]],
    most: Sequence[Sequence[float]] | None,
) -> list[list[float]]:
    """Return all queues as each class finds them: without one customer of its own."""
    strides: list[int] = []
    num_populations = 1
    for one in classes:
        strides.append(num_populations)
        num_populations *= one.num_customers + 1
    inputs = [
        (
            index,
            stride,
            one.num_customers + 1,
            one.gpu_demand_s,
            one.elsewhere_s,
            row,
            most_row,
        )
        for index, (stride, one, row, most_row) in enumerate(
            zip(strides, classes, delays, most or delays, strict=True)
        )
    ]
    counts = [
        [population // stride % radix for _, stride, radix, _, _, _, _ in inputs]
        for population in range(num_populations)
    ]
    queues = [[0.0] * len(classes) for _ in range(num_populations)]
    for population in range(1, num_populations - 1):
        found = queues[population]
        for index, stride, _, demand_s, elsewhere_s, row, most_row in inputs:
            count = counts[population][index]
            if count:
                waits_s = map(operator.mul, row, queues[population - stride])
                if most is not None:
                    others = counts[population - stride]
                    waits_s = map(min, waits_s, map(operator.mul, most_row, others))
                at_gpu_s = demand_s + sum(waits_s)
                found[index] = count * at_gpu_s / (elsewhere_s + at_gpu_s)
    return [queues[num_populations - 1 - stride] for stride in strides]


def _queues_by_size(
    classes: Sequence[CustomerClass],
    delays: Sequence[Sequence[float]],
    most: Sequence[Sequence[float]] | None,
) -> list[list[float]]:
    """Return the same, all populations of one size at a time."""
    (found,) = _queues_of_each(
        tuple(one.num_customers for one in classes),
        _by_class(1, [one.gpu_demand_s for one in classes]),
        _by_class(1, [one.elsewhere_s for one in classes]),
        np.array(delays)[None],
        None if most is None else np.array(most)[None],
    ).tolist()
    queues: list[list[float]] = found
    return queues


def _queues_of_each(
    num_customers: tuple[int, ...],
    demand_s: NDArray[np.float64],
    elsewhere_s: NDArray[np.float64],
    delays: NDArray[np.float64],
    most: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Return the queues as each class finds them, on GPUs with as many customers.

    Args:
        num_customers: Of each class.
        demand_s: GPU time of a request, GPU by class.
        elsewhere_s: Likewise, outside the GPU.
        delays: Who waits how long for whom, GPU by class by neighbor.
        most: At most for each customer; None without such a bound.
    """
    sizes, last = _populations(num_customers)
    num_classes = len(num_customers)
    queues = np.zeros((len(demand_s), int(last.max()) + 2, num_classes))
    without_one = np.eye(num_classes)
    for places, counts, places_before in sizes:
        waits_s = queues[:, places_before] * delays[:, None]
        if most is not None:
            others = np.maximum(0.0, counts[:, None, :] - without_one)
            waits_s = np.minimum(waits_s, most[:, None] * others)
        at_gpu_s = demand_s[:, None] + waits_s.sum(axis=3)
        queues[:, places] = counts * at_gpu_s / (elsewhere_s[:, None] + at_gpu_s)
    found: NDArray[np.float64] = queues[:, last]
    return found


@lru_cache(maxsize=MAX_KNOWN_SHAPES)
def _populations(
    num_customers: tuple[int, ...],
) -> tuple[
    tuple[tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]], ...],
    NDArray[np.intp],
]:
    """Return the populations by size, and which ones the whole one is found by.

    Of each size from one customer to all but one: the places of its populations, how
    many customers of each class they have, and the places of the populations without
    one of them (any, where there is none).
    """
    radices = np.array(num_customers) + 1
    counts = np.indices(radices.tolist()).reshape(len(radices), -1).T
    strides = np.append(np.cumprod(radices[:0:-1])[::-1], 1)
    places = np.arange(len(counts))
    before = np.where(counts > 0, places[:, None] - strides, 0)
    totals = counts.sum(axis=1)
    return tuple(
        (
            places[totals == size],
            counts[totals == size].astype(np.float64),
            before[totals == size],
        )
        for size in range(1, int(totals.max()))
    ), before[-1]


def approximate_rates(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
    own: Sequence[CustomerClass] | None = None,
    delays: Delays | None = None,
) -> tuple[float, ...]:
    """Return the rates by the Schweitzer–Bard fixed point, for any population.

    By Newton's method from the longest queues there could be: what queues lead to is
    increasing and concave in them, so that from there every step goes down, and none
    below the only fixed point. Takes O(classes³), whatever the number of customers.
    """
    known = delays or delays_among(
        classes, contention_factor=contention_factor, shape=shape, own=own
    )
    customers = np.array([one.num_customers for one in classes], dtype=np.float64)
    demand_s = np.array([one.gpu_demand_s for one in classes])
    elsewhere_s = np.array([one.elsewhere_s for one in classes])
    # A customer does not wait for itself.
    without_itself = np.ones((len(classes), len(classes)))
    itself = np.diag_indices(len(classes))
    without_itself[itself] = (customers - 1) / customers
    table = np.array(known.each) * without_itself
    most = (
        np.full_like(table, np.inf)
        if known.most is None
        else np.array(known.most) * customers * without_itself
    )
    identity = np.eye(len(classes))
    queues = customers
    for _ in range(_MAX_NEWTON_STEPS):
        waits_s = table * queues
        at_gpu_s = demand_s + np.minimum(waits_s, most).sum(axis=1)
        cycle_s = elsewhere_s + at_gpu_s
        slopes = (customers * elsewhere_s / cycle_s**2)[:, None] * np.where(
            waits_s < most, table, 0.0
        )
        step = np.linalg.solve(
            identity - slopes, queues - customers * at_gpu_s / cycle_s
        )
        queues = queues - step
        if (np.abs(step) <= _FIXED_POINT_TOLERANCE * customers).all():
            break
    table = np.array(known.own) * without_itself
    last_elsewhere_s = [one.elsewhere_s for one in own or classes]
    at_gpu_s = demand_s + np.minimum(table * queues, most).sum(axis=1)
    found: list[float] = (customers / (last_elsewhere_s + at_gpu_s)).tolist()
    return tuple(found)


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
    for _ in range(_HALVINGS):
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


def shortened(
    one: CustomerClass,
    requests_per_sec: float,
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> CustomerClass | None:
    """Return the class with the GPU time at which its customers reach this rate.

    None where they reach a higher one as they are.

    Args:
        one: A class of several customers who spend no time elsewhere.
        requests_per_sec: > 0.
        contention_factor: Of its customers among themselves.
        shape: Likewise.
    """
    others = one.num_customers - 1

    def reached(demand_s: float) -> float:
        trial = replace(one, gpu_demand_s=demand_s)
        delay_s = shape.delay_s(trial, trial)
        most = shape.most_table([trial])
        if most is not None:
            delay_s = min(delay_s, float(most[0, 0]))
        at_gpu_s = demand_s + contention_factor * delay_s * others
        return one.num_customers / at_gpu_s

    if reached(one.gpu_demand_s) > requests_per_sec:
        return None
    low, high = 0.0, one.gpu_demand_s
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if reached(middle) < requests_per_sec:
            high = middle
        else:
            low = middle
    return replace(one, gpu_demand_s=(low + high) / 2)


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


def classes_at_load(
    classes: Sequence[CustomerClass],
    requests_per_sec: Sequence[float],
    loads: Sequence[float],
    *,
    contention_factor: float,
    shape: SharingShape,
) -> list[CustomerClass | None]:
    """Return how neighbors see each model; see ``class_at_load``."""
    return [
        class_at_load(one, rate, load, contention_factor=contention_factor, shape=shape)
        for one, rate, load in zip(classes, requests_per_sec, loads, strict=True)
    ]


def limits_beside(
    driven: Sequence[CustomerClass],
    at_traffic: Sequence[CustomerClass | None],
    *,
    contention_factor: float,
    shape: SharingShape,
    copies: Sequence[int] | None = None,
    delays: Delays | None = None,
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
        delays: Among the models at their traffic, each driven while its own rate is
            asked for, where they are known and every model has traffic.
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
            own=[driven[index] for index in present],
            delays=delays if len(present) == len(driven) else None,
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


class Neighbors(NamedTuple):
    """What shares a GPU: the arguments of ``limits_beside``, of one GPU."""

    driven: Sequence[CustomerClass]
    at_traffic: Sequence[CustomerClass | None]
    copies: Sequence[int]


def limits_of_each(
    gpus: Sequence[Neighbors], *, contention_factor: float, shape: SharingShape
) -> list[tuple[float, ...]]:
    """Return ``limits_beside`` of many GPUs, most of which are solved together."""
    networks = {}
    for place, (driven, at_traffic, copies) in enumerate(gpus):
        together = [
            _of_copies(one, count)
            for own, one, count in zip(driven, at_traffic, copies, strict=True)
            # Others need a network for each model.
            if one is not None and (own.num_customers == 1 or own is one)
        ]
        if len(together) == len(driven):
            networks[place] = together, driven
    of_all = rates_of_each(
        list(networks.values()), contention_factor=contention_factor, shape=shape
    )
    solved = dict(zip(networks, of_all, strict=True))
    return [
        tuple(map(operator.truediv, solved[place], one.copies))
        if place in solved
        else limits_beside(
            one.driven,
            one.at_traffic,
            contention_factor=contention_factor,
            shape=shape,
            copies=one.copies,
        )
        for place, one in enumerate(gpus)
    ]


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


def shares_of_traffic(
    solo_shares: Sequence[float], loads: Sequence[float]
) -> tuple[float, ...]:
    """Return what each model serves of its traffic; see ``share_of_traffic``."""
    return tuple(
        [
            share_of_traffic(share, load)
            for share, load in zip(solo_shares, loads, strict=True)
        ]
    )
