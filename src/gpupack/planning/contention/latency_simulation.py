"""Latency percentiles of requests that arrive, by a simulation of a GPU in turns.

``latency_prediction`` takes the queues of models as independent. Where the GPU is busy
they are not: all are long at the same time, and a request of few slices waits behind
its own queue as long as everybody's rounds are long. Under time slicing the rounds are
simple enough to be gone through event by event (``packing.simulate_round_robin``)::

    arrives, waits for those before it, is on the host for H, is at the GPU for D

The GPU goes round among the processes with work: a slice of ``SLICE_S`` each, the
driver's default, and ``SWITCH_S`` for changing over. ``H`` is drawn from the recorded
latencies less ``D``. Arrivals and draws are from fixed seeds, so that equal sets have
equal figures.

The planner's rule stays with the prediction: that grows with every neighbor, which a
simulation does only on average.

Networks that are launched kernel by kernel may launch ahead: their work for the GPU
comes in pieces, evenly over ``H``, and the host waits for it at the end only, or a few
times in a request.

A model that is driven as fast as it answers, beside which others have traffic, begins
its next request when one is answered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpupack import packing  # its names load when used: small plans need no kernel
from gpupack.planning.contention.latency_prediction import (
    MAX_BUSY_SHARE,
    NUM_LEVELS,
    service_times,
)
from gpupack.planning.contention.turns import KERNELS_S, turns_of_record
from gpupack.records.gpu import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.planning.contention.delays import CustomerClass
    from gpupack.planning.contention.latency_prediction import ArrivingTraffic
    from gpupack.records.profile import ProfileRecord

SLICE_S = 0.002
"""How long a process has the GPU, while others want it: the driver's default."""
SWITCH_S = 0.00013
"""How long the GPU takes to change over to another process. Fitted to networks that
keep an H200 busy, see the documentation."""
SLOW_SHARE = 0.6
"""A closed loop keeps its processor awake and its caches warm; of requests that arrive
the host's part takes as long as in the slower part of the closed loop: the answers
above this share of them. Fitted to the same."""
WAKE_S = 0.0005
"""How much longer a request takes that finds nothing running, besides; half of it
occupies the instance."""
WAKE_BUSY_SHARE = 0.5
SIMULATED_REQUESTS = 200_000
"""Simulated of all models together, about."""
MAX_DRIVEN_REQUESTS = 1_000_000
"""Simulated at most, or so many pieces of them, of models that are driven as fast as
they answer: of these only what they take from the others counts."""
MAX_PIECES = 1_000_000
"""Handed over at most of requests that arrive: where requests have many, fewer of them
are simulated."""
MAX_DURATION_S = 300.0
LEAST_REQUESTS = 1000
"""Of a model with less traffic more is simulated, up to as many, while that keeps it
busy for no more than ``RARE_SHARE`` of the time."""
RARE_SHARE = 0.05
MAX_MODELS = 32
"""More on one GPU are not simulated: every event looks at all of them."""


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """What a request of a model does while nobody else is there.

    Args:
        host_s: Equally likely times before the GPU, of shape (NUM_LEVELS,).
        gpu_s: Time at the GPU.
        overhead_s: What a client waits besides.
        wake_s: What is added where nothing has been running.
        num_waits: How many times the host waits for the GPU, ≥ 1: so many equal blocks
            a request has.
        num_pieces: So many equal pieces the GPU time of a block is handed over in,
            evenly over the host's time: 1 of a burst after it.
    """

    host_s: NDArray[np.float64]
    gpu_s: float
    overhead_s: float
    wake_s: float
    num_waits: int = 1
    num_pieces: int = 1


def simulated_model(record: ProfileRecord, one: CustomerClass) -> SimulatedModel | None:
    """Return what a record says of requests that arrive; None where it cannot be told.

    That is of several requests at once, whose profile holds how they wait for each
    other.
    """
    service = service_times(record)
    if (
        service is None
        or service.num_instances > 1
        or record.gpu_type.kind is not DeviceKind.GPU
    ):
        return None
    levels, wake_s = service.levels_s, 0.0
    if record.open_loop is None:
        at_work = 1.0 if record.host_cpu_cores is None else record.host_cpu_cores
        shares = (np.arange(NUM_LEVELS) + 0.5) / NUM_LEVELS
        slow = np.interp(SLOW_SHARE + (1 - SLOW_SHARE) * shares, shares, levels)
        levels = levels + min(1.0, at_work) * (slow - levels)
        wake_s = WAKE_S
    turns = turns_of_record(record, one)
    gpu_s = one.gpu_demand_s
    if turns is None:
        return SimulatedModel(
            np.maximum(levels - gpu_s, 0.0), gpu_s, service.overhead_s, wake_s
        )
    gpu_s = min(gpu_s, turns.most_gpu_s)
    num_pieces = turns.num_pieces(gpu_s)
    # Alone a request takes as long as it does. When the host is done, the last piece is
    # left; where the GPU has more to do, what goes before it all is the first piece.
    behind, ahead = levels - gpu_s / num_pieces, num_pieces * (levels - gpu_s)
    return SimulatedModel(
        np.maximum(np.minimum(behind, ahead), 0.0),
        gpu_s,
        service.overhead_s,
        wake_s,
        turns.num_waits,
        num_pieces,
    )


def simulate_percentiles(
    models: Sequence[SimulatedModel],
    traffic: Sequence[ArrivingTraffic],
    percentiles: Sequence[float],
    *,
    copies: Sequence[int],
    host_delays: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
    | None = None,
    num_requests: int = SIMULATED_REQUESTS,
    window_s: float | None = None,
    seed: int = 0,
) -> list[tuple[float, ...]] | None:
    """Return the latency percentiles of each model that shares a GPU with the others.

    Args:
        models: What a request of each does.
        traffic: What an instance of each is sent.
        percentiles: In percent, such as 50 and 99.
        copies: Equal instances of each, each with its own traffic.
        host_delays: What waiting for the host's cores adds to a request of each, and
            with which probability; nothing if left out.
        num_requests: Simulated of all models together, about.
        window_s: Simulate so long instead, from an empty GPU, as a measurement sees it:
            at the planned rates, however few requests that is.
        seed: Of arrivals and draws.

    Returns:
        Seconds, by model and percentile; infinite where an instance is busy for more
        than ``MAX_BUSY_SHARE`` of the time, or has no traffic planned. None where
        there are too many, or too little traffic to tell, or the compiled kernels
        cannot be had here.
    """
    places = [place for place, number in enumerate(copies) for _ in range(number)]
    if len(places) > MAX_MODELS or not packing.kernels_are_ready(wait_s=KERNELS_S):
        return None
    rates = [traffic[place].requests_per_s for place in places]
    total = sum(rate or 0.0 for rate in rates)
    if not total or any(rate == 0 for rate in rates):
        return None
    num_pieces = [one.num_waits * one.num_pieces for one in models]
    handed = sum(
        num_pieces[place] * (rate or 0.0)
        for place, rate in zip(places, rates, strict=True)
    )
    duration_s = min(MAX_DURATION_S, num_requests / total, MAX_PIECES / handed)
    driven = sum(
        num_pieces[place] / (models[place].gpu_s + float(models[place].host_s.mean()))
        for place, rate in zip(places, rates, strict=True)
        if rate is None
    )
    if driven * duration_s > MAX_DRIVEN_REQUESTS:
        duration_s = MAX_DRIVEN_REQUESTS / driven
    duration_s = duration_s if window_s is None else window_s
    seeds = [seed] if seed else []
    arrivals: list[NDArray[np.float64] | None] = []
    before = []
    for number, (place, rate) in enumerate(zip(places, rates, strict=True)):
        chance = np.random.default_rng([number, SIMULATED_REQUESTS, *seeds])
        if rate is None:
            arrivals.append(None)
            num_jobs = NUM_LEVELS
        else:
            one = models[place]
            busy_s = one.gpu_s + float(one.host_s.mean())
            if window_s is None:
                rate = max(rate, min(LEAST_REQUESTS / duration_s, RARE_SHARE / busy_s))
            times = _arrivals(rate, traffic[place].gap_cv2, duration_s, chance)
            arrivals.append(times)
            num_jobs = len(times)
        before.append(chance.choice(models[place].host_s, num_jobs))
        if host_delays is not None:
            delays_s, chances = host_delays[place]
            before[-1] += chance.choice(delays_s, num_jobs, p=chances / chances.sum())
    sojourns, at_rest, busy = packing.simulate_round_robin(
        arrivals,
        before,
        [models[place].gpu_s for place in places],
        [WAKE_BUSY_SHARE * models[place].wake_s for place in places],
        slice_length=SLICE_S,
        switching=SWITCH_S,
        horizon=duration_s,
        num_blocks=[models[place].num_waits for place in places],
        num_pieces=[models[place].num_pieces for place in places],
    )
    found = []
    for place in range(len(models)):
        number = places.index(place)
        if arrivals[number] is None or busy[number] > MAX_BUSY_SHARE:
            found.append((math.inf,) * len(percentiles))
            continue
        one = models[place]
        taken = sojourns[number] + at_rest[number] * (1 - WAKE_BUSY_SHARE) * one.wake_s
        taken = taken[np.isfinite(taken)]
        if not len(taken):
            return None
        found.append(
            tuple(
                one.overhead_s + float(late)
                for late in np.percentile(taken, percentiles)
            )
        )
    return found


def _arrivals(
    rate: float, gap_cv2: float, duration_s: float, chance: np.random.Generator
) -> NDArray[np.float64]:
    """Return times of arrival, with gaps that are gamma-distributed, or constant."""
    mean = rate * duration_s
    most = int(mean + 8 * math.sqrt(mean * max(gap_cv2, 1.0)) + 10)
    if gap_cv2 <= 1e-6:
        times = (chance.random() + np.arange(most)) / rate
    else:
        times = np.cumsum(chance.gamma(1 / gap_cv2, gap_cv2 / rate, most))
    return np.asarray(times[times < duration_s])
