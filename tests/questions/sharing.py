"""The oracle's own prediction of what models keep beside each other.

Exact mean value analysis over all populations, from the formulas in the documentation
of ``contention.prediction``, for a few customers and without the kernel probe::

    R_i(N) = D_i + c · Σ_j min(W_ij · Q_j(N − e_i), C_ij · (N_j − [i = j]))
    X_i(N) = N_i / (Z_i + R_i(N))
    Q_j(N) = X_j(N) · R_j(N)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.profile import ProfileRecord

FACTORS = {"time_slicing": 1.0, "mps": 1.0, "streams": 1.21}
MARGINS = {"time_slicing": 0.06, "mps": 0.113, "streams": 0.101}
"""Without readings of the probe; see docs/howto/share_gpus.md."""
MAX_CUSTOMERS = 10
"""Beyond, gpupack approximates."""


class TooManyCustomersError(Exception):
    """More customers on one GPU than are solved exactly."""


@dataclass(frozen=True)
class Customer:
    """Requests of one model: time at the GPU and elsewhere, and how many at once."""

    at_gpu_s: float
    elsewhere_s: float
    number: int
    sm: float
    dram: float


def wait_s(mode: str, own: Customer, other: Customer) -> float:
    """Return ``W_ij``."""
    if mode == "time_slicing":
        return turns_s(own, other) / share_alone(other)
    return (
        own.at_gpu_s**0.6
        * other.at_gpu_s**0.4
        * own.sm**0.25
        * other.sm**1.25
        * ((other.dram + 0.01) / (own.dram + 0.01)) ** 0.36
    )


SLICE_S, SWITCH_S = 0.0021, 0.0002


def num_slices(one: Customer) -> float:
    """Return ``n``: rounded up, within a tenth of a slice gradually."""
    needed = one.at_gpu_s / SLICE_S
    return max(1.0, math.floor(needed) + min(1.0, 10 * (needed % 1)))


def share_alone(one: Customer) -> float:
    """Return ``U``."""
    return one.at_gpu_s / (one.at_gpu_s + one.elsewhere_s)


def turns_s(own: Customer, other: Customer) -> float:
    """Return ``T_ij``, what is waited where slices go round."""
    a = other.at_gpu_s / num_slices(other)
    o = min(SWITCH_S, a)
    last = max(0.0, own.at_gpu_s - (num_slices(own) - 1) * SLICE_S)
    back = min(1.0, last / other.elsewhere_s) if other.elsewhere_s > 0 else 1.0
    u = share_alone(other)
    first = u * (1 + (1 - u) * back)
    missed = max(0.0, other.elsewhere_s / SLICE_S - 0.5)
    there = num_slices(other) / (num_slices(other) + missed)
    return first * max(a + o - 0.7 * own.elsewhere_s, a / 2 + o) + (
        num_slices(own) - 1
    ) * there * (a + 2 * o)


def most_s(mode: str, own: Customer, other: Customer) -> float:
    """Return ``C_ij``, what is waited at most for each customer of a neighbor."""
    if mode != "time_slicing":
        return math.inf
    a = other.at_gpu_s / num_slices(other)
    return num_slices(own) * (a + min(SWITCH_S, a))


def rates(customers: Sequence[Customer], mode: str) -> list[float]:
    """Return requests per second of every class."""
    if sum(one.number for one in customers) > MAX_CUSTOMERS:
        raise TooManyCustomersError
    factor = FACTORS[mode]
    everyone = range(len(customers))
    waits = [[factor * wait_s(mode, a, b) for b in customers] for a in customers]
    most = [[factor * most_s(mode, a, b) for b in customers] for a in customers]

    @cache
    def at_gpu(population: tuple[int, ...], own: int) -> float:
        fewer = tuple(n - (i == own) for i, n in enumerate(population))
        return customers[own].at_gpu_s + sum(
            min(waits[own][other] * queue(fewer, other), most[own][other] * count)
            for other, count in zip(everyone, fewer, strict=True)
            if count
        )

    @cache
    def queue(population: tuple[int, ...], own: int) -> float:
        if not population[own]:
            return 0.0
        here = at_gpu(population, own)
        return population[own] * here / (customers[own].elsewhere_s + here)

    full = tuple(one.number for one in customers)
    return [
        one.number / (one.elsewhere_s + at_gpu(full, index))
        for index, one in enumerate(customers)
    ]


def customer(record: ProfileRecord, mode: str) -> Customer:
    """Return the customers that alone reproduce what was measured."""
    busy = record.gpu_utilization_mean_percent
    if busy is None:
        busy = record.gpu_utilization_percent
    throughput = record.throughput_infer_per_sec
    assert busy is not None
    assert throughput is not None
    requests_per_sec = throughput / record.load_point.batch_size
    share = max(busy / 100, 1e-9)
    number = min(record.load_point.concurrency, record.num_model_instances or 1)
    at_gpu_s = share / requests_per_sec
    sm = record.sm_utilization_percent
    dram = record.dram_bandwidth_percent
    one = Customer(
        at_gpu_s,
        0.0,
        number,
        2 / 3 if sm is None else min(1.0, max(sm / 100 / share, 1e-9)),
        0.1 if dram is None else min(1.0, max(dram / 100 / share, 1e-9)),
    )
    if number == 1:
        elsewhere_s = max(1 / requests_per_sec - at_gpu_s, 0.0)
        return replace(
            one, at_gpu_s=1 / requests_per_sec - elsewhere_s, elsewhere_s=elsewhere_s
        )
    if rates([one], mode)[0] <= requests_per_sec:
        low, high = 0.0, at_gpu_s
        for _ in range(80):
            middle = (low + high) / 2
            if rates([replace(one, at_gpu_s=middle)], mode)[0] < requests_per_sec:
                high = middle
            else:
                low = middle
        return replace(one, at_gpu_s=high)
    return _slowed(one, requests_per_sec, mode)


def _slowed(one: Customer, requests_per_sec: float, mode: str) -> Customer:
    """Return the customers that wait elsewhere until they reach just this rate."""
    if one.number == 1:
        waiting = 1 / requests_per_sec - one.at_gpu_s
        return replace(one, elsewhere_s=max(one.elsewhere_s, waiting))
    low, high = one.elsewhere_s, one.number / requests_per_sec
    for _ in range(80):
        middle = (low + high) / 2
        if rates([replace(one, elsewhere_s=middle)], mode)[0] > requests_per_sec:
            low = middle
        else:
            high = middle
    return replace(one, elsewhere_s=high)


@dataclass(frozen=True)
class OnCores:
    """Requests of one instance on the host: time there and in all, and how many."""

    busy_s: float
    width: float
    cycle_s: float
    number: int


def on_cores(record: ProfileRecord) -> OnCores | None:
    """Return what an instance takes of the host's cores."""
    if record.host_cpu_cores is None:
        return None
    number = min(record.load_point.concurrency, record.num_model_instances or 1)
    rate = (record.throughput_infer_per_sec or 0.0) / record.load_point.batch_size
    used = record.host_cpu_cores / number
    width = max(1.0, math.floor(4 * used + 0.5) / 4)
    cycle_s = number / rate
    return OnCores(min(1.0, used / width) * cycle_s, width, cycle_s, number)


def host_delays_s(
    records: Sequence[ProfileRecord], loads: Sequence[float], cores: float
) -> list[float]:
    """Return how much longer a request of each takes, for what others want of cores.

    By listing who is there and who is not, customer by customer.
    """
    instances = [on_cores(one) for one in records]
    rates = [
        (one.throughput_infer_per_sec or 0.0) / one.load_point.batch_size * load
        for one, load in zip(records, loads, strict=True)
    ]

    def stretch(own: OnCores, met: Sequence[tuple[float, float]]) -> float:
        room = max(cores, own.width)
        crowds = {0.0: 1.0}
        for width, share in met:
            grown: dict[float, float] = {}
            for crowd, chance in crowds.items():
                grown[crowd] = grown.get(crowd, 0.0) + chance * (1 - share)
                grown[crowd + width] = grown.get(crowd + width, 0.0) + chance * share
            crowds = grown
        return sum(
            chance * max(1.0, (own.width + crowd) / room)
            for crowd, chance in crowds.items()
        )

    def fixed_point(
        some: Sequence[OnCores | None], traffic: Sequence[float | None]
    ) -> list[float]:
        stretches = [1.0] * len(some)
        for _ in range(400):
            latest = []
            for index, own in enumerate(some):
                met: list[tuple[float, float]] = []
                for place, one in enumerate(some):
                    if one is None:
                        continue
                    there_s = one.busy_s * stretches[place]
                    share = there_s / (one.cycle_s + there_s - one.busy_s)
                    if place == index:
                        met += [(one.width, share)] * (one.number - 1)
                        continue
                    rate = traffic[place]
                    if rate is not None:
                        share = min(share, rate * there_s / one.number)
                    met += [(one.width, share)] * one.number
                latest.append(1.0 if own is None else stretch(own, met))
            change = max(abs(a - b) for a, b in zip(latest, stretches, strict=True))
            stretches = latest
            if change < 1e-10 * max(latest):
                break
        return stretches

    together = fixed_point(
        instances,
        [None if load >= 1 else rate for load, rate in zip(loads, rates, strict=True)],
    )
    return [
        0.0 if own is None else own.busy_s * (found - fixed_point([own], [None])[0])
        for own, found in zip(instances, together, strict=True)
    ]


def solo_shares(
    records: Sequence[ProfileRecord],
    loads: Sequence[float],
    mode: str,
    cores: float | None = None,
) -> list[float]:
    """Return what share of its throughput alone each could reach beside the others.

    Args:
        records: Of the instances on one GPU.
        loads: Traffic ÷ throughput of each, 0–1.
        mode: How the GPU is shared.
        cores: Of the host; None: they do not run out.
    """
    if len(records) == 1:
        return [1.0]
    driven = [customer(one, mode) for one in records]
    alone = [
        (one.throughput_infer_per_sec or 0.0) / one.load_point.batch_size
        for one in records
    ]
    at_traffic = [
        one if load >= 1 else None if load <= 0 else _slowed(one, load * rate, mode)
        for one, load, rate in zip(driven, loads, alone, strict=True)
    ]
    found = []
    for index, own in enumerate(driven):
        others = [
            one
            for place, one in enumerate(at_traffic)
            if place != index and one is not None
        ]
        found.append(rates([own, *others], mode)[0])
    if cores is not None:
        for index, delay_s in enumerate(host_delays_s(records, loads, cores)):
            here = on_cores(records[index])
            if here is None or delay_s <= 0:
                continue
            # What passes at the same time is waited for once.
            for_gpu_s = max(0.0, here.number / found[index] - here.cycle_s)
            together_s = here.busy_s + driven[index].at_gpu_s - here.cycle_s
            share = together_s / min(here.busy_s, driven[index].at_gpu_s)
            once_s = min(1.0, max(0.0, share)) * min(for_gpu_s, delay_s)
            found[index] = here.number / (here.cycle_s + for_gpu_s + delay_s - once_s)
    return [min(1.0, one / rate) for one, rate in zip(found, alone, strict=True)]


def kept(solo_share: float, load: float) -> float:
    """Return what an instance serves of its traffic."""
    return 1.0 if load <= 0 else min(1.0, solo_share / load)


def promised(solo_share: float, mode: str) -> float:
    """Return a predicted share less the margin, or four times the loss if less."""
    return max(solo_share - MARGINS[mode], 1 - 4 * (1 - solo_share), 0.0)
