"""Questions in which models take a share of the host, too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gpupack.profile_set import ProfileSet
from tests.factories import MIB

if TYPE_CHECKING:
    import random

    from gpupack.records.profile import ProfileRecord
    from tests.questions.question import Question

LATER = ("host_cpu_cores", "host_memory_bytes")
"""Readings that the records of other questions lack."""


def on_hosts(rng: random.Random, question: Question) -> Question:
    """Return the question with readings of the host, and shares of it for GPUs."""
    types = question.arguments.get("gpus")
    if not isinstance(types, dict):
        return question
    cores = [0.25, 0.5, 1.0, 4 / 3, 2.0, round(rng.uniform(0, 3), 2)]
    sizes = [100, 250, 500, 1000, rng.randint(1, 2000)]
    of_server = rng.choice([None, 0, 100])
    lacks = rng.random() < 0.05

    def read(record: ProfileRecord) -> ProfileRecord:
        if lacks and rng.random() < 0.5:
            return record
        missing = {one: why for one, why in record.missing.items() if one not in LATER}
        return record.model_copy(
            update={
                "host_cpu_cores": rng.choice(cores),
                "host_memory_bytes": rng.choice(sizes) * MIB,
                "missing": missing,
            }
        )

    profiles = question.profiles
    baselines = tuple(
        one
        if of_server is None
        else one.model_copy(
            update={
                "host_memory_bytes": of_server * MIB,
                "missing": {n: w for n, w in one.missing.items() if n not in LATER},
            }
        )
        for one in profiles.baselines
    )
    arguments: dict[str, Any] = dict(question.arguments)
    which = rng.choice(["cpu", "memory", "both"])
    if which != "memory":
        arguments["host_cpus_per_gpu"] = _by_type(
            rng, types, [1.0, 2.0, 3.0, 4.0, 2.5, 8.0]
        )
    if which != "cpu":
        arguments["host_memory_per_gpu"] = _by_type(
            rng, types, [one * MIB for one in (1000, 1500, 2000, 4000)]
        )
    headroom = arguments.get("headroom")
    if isinstance(headroom, dict) and which != "memory" and rng.random() < 0.5:
        arguments["headroom"] = {**headroom, "host_cpu": rng.choice([0.5, 0.8, 1.25])}
    return replace(
        question,
        profiles=ProfileSet(
            records=tuple(read(one) for one in profiles.records), baselines=baselines
        ),
        arguments=arguments,
        drawn_as=f"{question.drawn_as}, hosts",
    )


def _by_type(rng: random.Random, types: dict[str, Any], amounts: list[Any]) -> Any:
    """Return an amount for all types, or for at least one of them."""
    if rng.random() < 0.4:
        return rng.choice(amounts)
    some = [name for name in types if rng.random() < 0.7] or [next(iter(types))]
    return {name: rng.choice(amounts) for name in some}
