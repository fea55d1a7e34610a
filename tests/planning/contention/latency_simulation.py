"""A discrete-event simulation of models that share a GPU, to check predictions by."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field


@dataclass
class SimulatedModel:
    """One model instance: arrivals, time elsewhere, then time at the GPU.

    Attributes:
        requests_per_s: Poisson.
        elsewhere_s: Of each request, before the GPU.
        gpu_s: Of each request that has the GPU for itself.
    """

    requests_per_s: float
    elsewhere_s: float
    gpu_s: float
    arrived: deque[float] = field(default_factory=deque)
    phase: str = "idle"
    left_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)


def simulate(
    models: list[SimulatedModel],
    delays_s: list[list[float]],
    *,
    duration_s: float,
    seed: int,
) -> None:
    """Run for so long; fills the models' ``latencies_s``.

    A request at the GPU slows another down as long as both are there: by
    ``delays_s[i][j]`` if j is there for all of i's time.
    """
    chance = random.Random(seed)
    now = 0.0
    due = [chance.expovariate(one.requests_per_s) for one in models]
    while now < duration_s:
        paces = [_pace(models, delays_s, index) for index in range(len(models))]
        step, event = min(
            min((at - now, ("arrival", index)) for index, at in enumerate(due)),
            min(
                (
                    (one.left_s / paces[index], ("phase", index))
                    for index, one in enumerate(models)
                    if one.phase != "idle"
                ),
                default=(float("inf"), ("phase", -1)),
            ),
        )
        now += step
        for one, pace in zip(models, paces, strict=True):
            if one.phase != "idle":
                one.left_s -= step * pace
        kind, index = event
        one = models[index]
        if kind == "arrival":
            one.arrived.append(now)
            due[index] = now + chance.expovariate(one.requests_per_s)
            if one.phase == "idle":
                one.phase, one.left_s = "elsewhere", one.elsewhere_s
        elif one.phase == "elsewhere":
            one.phase, one.left_s = "gpu", one.gpu_s
        else:
            one.latencies_s.append(now - one.arrived.popleft())
            one.phase, one.left_s = (
                ("elsewhere", one.elsewhere_s) if one.arrived else ("idle", 0.0)
            )


def _pace(
    models: list[SimulatedModel], delays_s: list[list[float]], index: int
) -> float:
    one = models[index]
    if one.phase != "gpu":
        return 1.0
    slowed = sum(
        delays_s[index][other]
        for other, neighbor in enumerate(models)
        if other != index and neighbor.phase == "gpu"
    )
    return one.gpu_s / (one.gpu_s + slowed)
