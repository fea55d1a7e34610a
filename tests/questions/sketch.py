"""A question in the making: records of models, and wishes that go with any."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpupack.profile_set import ProfileSet
from gpupack.records.gpu import GpuType
from gpupack.records.profile import LoadPoint
from tests.factories import MIB, make_baseline, make_record
from tests.questions.question import Question

if TYPE_CHECKING:
    from gpupack.records.profile import ProfileRecord


MIN_DEMAND = 1e-4
"""Infer/sec."""


@dataclass
class Sketch:
    """A question in the making.

    Args:
        rng: Of this question.
        names: Of the models.
        types: GPU types with counts.
        records: So far.
        baselines: In MiB, by type.
    """

    rng: random.Random
    names: list[str] = field(default_factory=list)
    types: list[tuple[GpuType, int | None]] = field(default_factory=list)
    records: list[ProfileRecord] = field(default_factory=list)
    baselines: dict[str, int] = field(default_factory=dict)

    def question(
        self, drawn_as: str, objective: str, arguments: dict[str, Any]
    ) -> Question:
        rng = self.rng
        types = {one.name: one for one, _ in self.types}
        for record in self.records:
            types.setdefault(record.gpu_type.name, record.gpu_type)
        rng.shuffle(self.records)
        baselines = tuple(
            make_baseline(self.baselines.get(name, 0), gpu_type=one)
            for name, one in types.items()
            if any(record.gpu_type.name == name for record in self.records)
        )
        return Question(
            ProfileSet(records=tuple(self.records), baselines=baselines),
            objective,
            {"gpus": {one.name: count for one, count in self.types}, **arguments},
            {one.name: one.known_memory_bytes() for one, _ in self.types},
            time_limit_s=rng.choices([0.0, 0.05, 2.0], [1, 1, 8])[0],
            drawn_as=drawn_as,
        )


def draw_types(rng: random.Random, most: int, *, is_counted: bool) -> list[Any]:
    return [
        (
            GpuType(
                name=f"G{index}", memory_bytes=rng.choice([600, 1000, 1600, 2400]) * MIB
            ),
            rng.randint(1, 4 if most == 1 else 2) if is_counted else None,
        )
        for index in range(rng.randint(1, most))
    ]


def draw_percent(rng: random.Random, most: float = 100.0) -> float:
    """Return a utilization: a decimal, a share of 100/n, or one in full precision."""
    how = rng.random()
    if how < 0.35:
        return min(most, 100 / rng.randint(2, 9))
    if how < 0.8:
        return float(rng.randint(0, int(most)))
    return round(rng.uniform(0, most), rng.choice([1, 3, 6]))


def draw_rate(rng: random.Random, *, is_extreme: bool = False) -> float:
    if is_extreme:
        return float(f"{10 ** rng.uniform(-3, 6):.6g}")
    return rng.choice(
        [float(rng.randint(5, 300)), round(rng.uniform(1, 900), 2), 100 / 3]
    )


def measure(
    sketch: Sketch,
    name: str,
    gpu_type: GpuType,
    num_points: int,
    *,
    memory_bytes: int,
    most_percent: float = 100.0,
    is_extreme: bool = False,
) -> None:
    """Add records of one model on one type, of so many load points."""
    rng = sketch.rng
    baseline = sketch.baselines.setdefault(gpu_type.name, rng.choice([0, 0, 50, 309]))
    points = rng.sample([(b, c) for b in (1, 2, 4, 8) for c in (1, 2, 4)], num_points)
    for batch_size, concurrency in points:
        own = rng.choice([0.1, 0.2, 0.25, 1 / 3, 0.4, 0.5, 0.6, rng.random()])
        values: dict[str, Any] = {
            f"latency_p{percentile}_us": None
            if rng.random() < 0.05
            else float(rng.randint(1, 40) * 500)
            for percentile in (50, 99)
        }
        sketch.records.append(
            make_record(
                name,
                load_point=LoadPoint(batch_size=batch_size, concurrency=concurrency),
                gpu_type=gpu_type,
                throughput_infer_per_sec=draw_rate(rng, is_extreme=is_extreme),
                gpu_utilization_percent=draw_percent(rng, most_percent),
                memory_utilization_percent=draw_percent(rng, most_percent),
                sm_utilization_percent=rng.choice(
                    [None, draw_percent(rng, most_percent)]
                ),
                gpu_memory_used_bytes=baseline * MIB
                + int(own * (memory_bytes - baseline * MIB)),
                **values,
            )
        )


def draw_headroom(rng: random.Random) -> Any:
    how = rng.random()
    if how < 0.5:
        return 1.0
    if how < 0.75:
        return rng.choice([0.5, 0.8, 0.9, 0.95, 0.7])
    shares = {"memory": rng.choice([1.0, 0.9, 0.8])}
    if rng.random() < 0.7:
        shares["gpu_utilization"] = rng.choice([0.5, 1.0, 1.1, 0.8])
    if rng.random() < 0.5:
        shares["memory_utilization"] = rng.choice([0.6, 1.0, 1.2])
    return shares


def draw_arguments(sketch: Sketch, objective: str) -> dict[str, Any]:
    """Return wishes that go with any question."""
    rng = sketch.rng
    arguments: dict[str, Any] = {}
    if rng.random() < 0.6:
        arguments["headroom"] = draw_headroom(rng)
    if objective == "min_cost" or rng.random() < 0.3:
        arguments["prices"] = {
            one.name: rng.choice(
                [0.35, 0.71, 1.0, 3.67, round(rng.uniform(0.1, 5), 2), 1.000001]
            )
            for one, _ in sketch.types
        }
    if rng.random() < 0.15:
        arguments["latency_limit_ms"] = float(rng.randint(4, 22))
        arguments["latency_percentile"] = rng.choice([50, 99])
    elif rng.random() < 0.1:
        arguments["latency_limit_ms"] = {rng.choice(sketch.names): 8.0}
    if rng.random() < 0.15:
        name = rng.choice(sketch.names)
        of_model = [one for one in sketch.records if one.model_name == name]
        arguments["load_point"] = {name: str(rng.choice(of_model).load_point)}
    return arguments


def draw_optional(sketch: Sketch, arguments: dict[str, Any], chance: float) -> None:
    optional = [name for name in sketch.names if sketch.rng.random() < chance]
    if optional:
        arguments["optional"] = optional


def with_choices(sketch: Sketch, drawn_as: str) -> Question:
    """Finish a question with wishes that make ``place()`` choose."""
    rng = sketch.rng
    # A model must be measured somewhere to be known at all.
    sketch.names = sorted({one.model_name for one in sketch.records})
    while not sketch.names:
        gpu_type = sketch.types[0][0]
        measure(sketch, "m0", gpu_type, 1, memory_bytes=gpu_type.known_memory_bytes())
        sketch.names = ["m0"]
    measured = {one.gpu_type.name for one in sketch.records}
    if rng.random() < 0.95:
        sketch.types = [one for one in sketch.types if one[0].name in measured]
    objective = rng.choice(["min_gpus", "min_cost", "max_throughput", "max_throughput"])
    arguments = draw_arguments(sketch, objective)
    demand = {}
    for name in sketch.names:
        if rng.random() < 0.6:
            rates = [
                one.throughput_infer_per_sec or 1.0
                for one in sketch.records
                if one.model_name == name
            ]
            factor = rng.choice(
                [0.0, 1e-6, 0.5, 1.0, 1.0, 1.5, 2.0, rng.uniform(0, 2.5)]
            )
            wanted = rng.choice(rates) * factor
            # Less than one inference in hours is nobody's traffic.
            demand[name] = float(f"{max(wanted, MIN_DEMAND if factor else 0):.9g}")
    if demand and rng.random() < 0.8:
        arguments["demand"] = demand
    if rng.random() < 0.3:
        arguments["replicas"] = rng.choice(
            [2, {rng.choice(sketch.names): rng.randint(1, 3)}]
        )
    if rng.random() < 0.35:
        draw_optional(sketch, arguments, 0.4)
    if objective == "max_throughput":
        if rng.random() < 0.3:
            arguments["weights"] = {
                rng.choice(sketch.names): rng.choice([0.5, 2.0, 10.0, 1e-3])
            }
        if rng.random() < 0.35 and any(
            value > 0 and name not in arguments.get("optional", ())
            for name, value in arguments.get("demand", {}).items()
        ):
            arguments["fairness"] = "max_min"
    return sketch.question(drawn_as, objective, arguments)
