"""Demands that are met as predicted, not only as measured alone."""

from __future__ import annotations

import itertools
import math
import random
from types import SimpleNamespace
from typing import Any

import pytest

import gpupack
from gpupack.packing import Deadline
from gpupack.planning.contention import (
    RetentionRule,
    predict_retentions,
    resolve_contention,
)
from gpupack.planning.modeling import ask
from gpupack.planning.solving import answer, kept_demand
from gpupack.planning.solving.building import Clash, Found
from gpupack.records.gpu import GpuType
from tests.factories import MIB, make_profiles, make_record
from tests.planning.set_partitions import set_partitions

T4 = GpuType(name="T4", memory_bytes=15360 * MIB)


def random_profiles(rng: random.Random, num_models: int) -> gpupack.ProfileSet:
    return make_profiles(
        *(
            make_record(
                f"m{index}",
                throughput_infer_per_sec=float(rng.randint(20, 300)),
                gpu_utilization_percent=float(rng.randint(9, 88)),
                memory_utilization_percent=float(rng.randint(4, 50)),
                gpu_memory_used_bytes=rng.randint(80, 400) * MIB,
            )
            for index in range(num_models)
        )
    )


def shortfalls(placement: gpupack.Placement, profiles: gpupack.ProfileSet) -> list[str]:
    """Predict every GPU anew, and return who does not keep its traffic."""
    records = {one.model_name: one for one in profiles.records}
    contention = resolve_contention(profiles, profiles.gpu_types[0], None)
    found = []
    for gpu in placement.gpus:
        here = [records[one.model_name] for one in gpu.assignments]
        kept = predict_retentions(
            here,
            contention_factor=contention.factor,
            shape=contention.shape,
            loads=[
                (one.served_infer_per_sec or 0.0) / record.throughput_infer_per_sec
                for one, record in zip(gpu.assignments, here, strict=True)
            ],
        )
        found += [
            one.model_name
            for one, share in zip(gpu.assignments, kept, strict=True)
            if share < 1 - 1e-5
        ]
    return found


@pytest.mark.parametrize("seed", range(6))
def test_no_demand_is_missed_as_predicted_and_none_is_forgotten(seed: int) -> None:
    rng = random.Random(seed)
    profiles = random_profiles(rng, 5)
    demand = {
        one.model_name: round(
            rng.uniform(0.1, 2.0) * (one.throughput_infer_per_sec or 0), 1
        )
        for one in profiles.records
    }

    plain = gpupack.place(profiles, demand=demand, time_limit_s=2, workers=1)
    kept = gpupack.place(
        profiles, demand=demand, demand_met="predicted", time_limit_s=2, workers=1
    )

    assert shortfalls(kept, profiles) == []
    assert kept.served_infer_per_sec == pytest.approx(demand, rel=1e-5)
    assert kept.num_gpus >= plain.bound  # it is one of the plans without the condition
    assert kept.bound <= kept.num_gpus
    assert not any("not kept as predicted" in one for one in kept.warnings)


def fewest_with_equal_replicas(
    profiles: gpupack.ProfileSet, demand: dict[str, float], most_replicas: int
) -> float:
    """Return the fewest GPUs of all plans whose replicas share a demand equally."""
    contention = resolve_contention(profiles, profiles.gpu_types[0], None)
    best = math.inf
    counts = itertools.product(range(1, most_replicas + 1), repeat=len(demand))
    for numbers in counts:
        replicas = [
            (record, demand[record.model_name] / number / rate)
            for record, number in zip(profiles.records, numbers, strict=True)
            if (rate := record.throughput_infer_per_sec)
            for _ in range(number)
        ]
        if any(load > 1 for _, load in replicas):
            continue
        rule = RetentionRule(
            [record for record, _ in replicas],
            contention,
            dict.fromkeys(demand, 1.0),
            loads=[load for _, load in replicas],
        )
        for parts in set_partitions(range(len(replicas))):
            if len(parts) < best and all(
                may_share([replicas[one] for one in part])
                and rule.is_allowed(tuple((one, 1) for one in part))
                for part in parts
            ):
                best = len(parts)
    return best


def may_share(replicas: list[tuple[Any, float]]) -> bool:
    """Return whether plain sums let replicas share a GPU."""
    return all(
        sum(amount(record, load) for record, load in replicas) <= limit
        for amount, limit in (
            (lambda one, _: one.gpu_memory_used_bytes, 1000 * MIB),
            (lambda one, load: one.gpu_utilization_percent * load, 100.0),
            (lambda one, load: one.memory_utilization_percent * load, 100.0),
        )
    )


@pytest.mark.parametrize("seed", range(8))
def test_no_plan_of_equal_replicas_takes_fewer_gpus(seed: int) -> None:
    """Of all that are listed; the bound is below them all."""
    rng = random.Random(100 + seed)
    profiles = random_profiles(rng, 3)
    demand = {
        one.model_name: round(
            rng.uniform(0.2, 1.2) * (one.throughput_infer_per_sec or 0), 1
        )
        for one in profiles.records
    }

    kept = gpupack.place(
        profiles, demand=demand, demand_met="predicted", time_limit_s=3, workers=1
    )

    fewest = fewest_with_equal_replicas(profiles, demand, most_replicas=2)
    assert kept.num_gpus <= fewest
    assert kept.bound <= fewest


@pytest.mark.parametrize("limit_s", [0.0, 1.0, 10.0])
def test_all_searches_together_keep_to_the_time_limit(
    limit_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock on which every search takes all the time that it is given."""
    now = [0.0]
    monkeypatch.setattr(
        kept_demand,
        "Deadline",
        SimpleNamespace(after=lambda seconds: Deadline.after(seconds, lambda: now[0])),
    )

    def slow(question: Any, *, time_limit_s: float, **options: Any) -> Found | Clash:
        now[0] += time_limit_s
        return answer(question, time_limit_s=0.0, **options)

    profiles = random_profiles(random.Random(5), 4)
    demand = {
        one.model_name: 0.9 * (one.throughput_infer_per_sec or 0)
        for one in profiles.records
    }
    question = ask(
        profiles, gpupack.Request(models={
            name: {"demand": wanted} for name, wanted in demand.items()
        }, demand_met="predicted"),
    )  # fmt: skip

    found = kept_demand.answer_keeping_demand(
        question, slow, time_limit_s=limit_s, seed=0
    )

    assert isinstance(found, Found)
    assert now[0] <= limit_s + 1e-9


def test_two_models_share_a_gpu_only_if_both_keep_their_traffic() -> None:
    # Alone each needs 40 % of a GPU at full rate: plain sums put both on one.
    profiles = make_profiles(
        *(make_record(name, gpu_utilization_percent=40.0) for name in ("a", "b"))
    )
    full = {"a": 100.0, "b": 100.0}
    half = {"a": 50.0, "b": 50.0}

    together = gpupack.place(profiles, demand=full)
    alone = {"demand_met": "predicted", "max_replicas": 1}
    apart = gpupack.place(profiles, demand=full, **alone)
    light = gpupack.place(profiles, demand=half, **alone)

    assert together.num_gpus == 1
    assert together.warnings[0].startswith("2 of 2 demands are not kept as predicted")
    # A model at its full rate loses something beside any neighbor.
    assert apart.num_gpus == 2
    assert light.num_gpus == 1
    assert shortfalls(light, profiles) == []


def test_growth_multiplies_every_demand_as_people_multiply() -> None:
    profiles = make_profiles(make_record("a"), make_record("b"))

    grown = gpupack.place(profiles, demand={"a": 20.0, "b": 90.0}, growth=1.1)

    assert grown.served_infer_per_sec == pytest.approx({"a": 22.0, "b": 99.0}, rel=1e-6)


@pytest.mark.parametrize("growth", [0, -1, float("nan"), float("inf")])
def test_a_growth_that_is_none_is_refused(growth: float) -> None:
    profiles = make_profiles(make_record("a"))

    with pytest.raises(gpupack.InvalidInputError, match="growth"):
        gpupack.place(profiles, demand={"a": 20.0}, growth=growth)


def test_reserved_prices_count_where_billing_says_so() -> None:
    profiles = make_profiles(make_record("a", gpu_type=T4))
    profiles = gpupack.ProfileSet(
        records=profiles.records,
        baselines=tuple(
            one.model_copy(update={"gpu_type": T4}) for one in profiles.baselines
        ),
    )
    supply = {"T4": gpupack.GpuSupply(price=0.5, reserved_price=0.3)}

    prices = [
        gpupack.place(
            profiles, "min_cost", gpus=supply, billing=billing
        ).objective_value
        for billing in ("on_demand", "reserved")
    ]

    assert prices == [0.5, 0.3]
