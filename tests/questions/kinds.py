"""Kinds of questions: many, equal, to the brim, and far apart."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

from gpupack.records.gpu import GpuType
from tests.factories import MIB, make_record
from tests.questions.question import Question
from tests.questions.sketch import (
    Sketch,
    draw_arguments,
    draw_optional,
    draw_rate,
    draw_types,
    measure,
    with_choices,
)

if TYPE_CHECKING:
    pass


def plain(rng: random.Random, drawn_as: str) -> Question:
    """One record per model, one GPU type: nothing to choose but who sits where."""
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=rng.random() < 0.4))
    gpu_type = sketch.types[0][0]
    sketch.names = [f"m{index}" for index in range(rng.randint(1, 8))]
    most = rng.choice([100.0, 60.0])
    for name in sketch.names:
        measure(
            sketch,
            name,
            gpu_type,
            1,
            memory_bytes=gpu_type.known_memory_bytes(),
            most_percent=most,
        )
    objective = rng.choice(["min_gpus", "max_throughput", "min_cost"])
    arguments = draw_arguments(sketch, objective)
    if rng.random() < 0.2:
        headroom = {"memory": 1.0, "sm_utilization": rng.choice([1.0, 0.8])}
        if all(one.sm_utilization_percent is not None for one in sketch.records):
            arguments["headroom"] = headroom
    return sketch.question(drawn_as, objective, arguments)


def equal_shares(rng: random.Random, drawn_as: str) -> Question:
    """Models that share a GPU exactly: n of 100/n percent."""
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=False))
    gpu_type = sketch.types[0][0]
    number = rng.randint(2, 8)
    sketch.names = [f"m{index}" for index in range(number)]
    rate = draw_rate(rng)
    for name in sketch.names:
        sketch.records.append(
            make_record(
                name,
                gpu_type=gpu_type,
                throughput_infer_per_sec=rate,
                gpu_utilization_percent=100 / number,
                memory_utilization_percent=rng.choice([0.0, 100 / number]),
                gpu_memory_used_bytes=10 * MIB,
            )
        )
    arguments: dict[str, Any] = {}
    objective = "max_throughput"
    how = rng.randrange(4)
    if how == 0:
        objective = "min_gpus"
        arguments["demand"] = dict.fromkeys(sketch.names, rate)
    elif how == 1:
        objective = "min_gpus"
        arguments["headroom"] = {"memory": 1.0, "gpu_utilization": 1.0}
    elif how == 2:
        objective = "min_gpus"
        sketch.names = sketch.names[:1]
        sketch.records = sketch.records[:1]
        # The demand that fills a GPU to the brim, by several replicas.
        arguments = {"demand": {"m0": number * rate}, "replicas": rng.choice([1, 2])}
    return sketch.question(drawn_as, objective, arguments)


def brim(rng: random.Random, drawn_as: str) -> Question:
    """Models that fill the memory of one to three GPUs to the byte, or one beyond."""
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=rng.random() < 0.5))
    gpu_type = sketch.types[0][0]
    baseline = rng.choice([0, 309])
    sketch.baselines[gpu_type.name] = baseline
    room = gpu_type.known_memory_bytes() - baseline * MIB
    sizes: list[int] = []
    for _ in range(rng.randint(1, 3)):
        cuts = sorted(rng.sample(range(1, room), rng.randint(0, 2)))
        sizes += [b - a for a, b in itertools.pairwise([0, *cuts, room])]
    if rng.random() < 0.5:
        index = rng.randrange(len(sizes))
        sizes[index] = max(0, sizes[index] + rng.choice([-1, 1]))
    sketch.names = [f"m{index}" for index in range(min(len(sizes), 8))]
    for name, size in zip(sketch.names, sizes, strict=False):
        sketch.records.append(
            make_record(
                name,
                gpu_type=gpu_type,
                gpu_utilization_percent=1.0,
                gpu_memory_used_bytes=baseline * MIB + size,
            )
        )
    arguments: dict[str, Any] = {}
    if rng.random() < 0.3:
        arguments["demand"] = dict.fromkeys(sketch.names, 100.0)
    if rng.random() < 0.3:
        draw_optional(sketch, arguments, 0.3)
    return sketch.question(
        drawn_as, rng.choice(["min_gpus", "max_throughput"]), arguments
    )


def choices(rng: random.Random, drawn_as: str) -> Question:
    """Load points, replicas, GPU types, demands, optional models, weights, shares."""
    is_counted = rng.random() < 0.6
    sketch = Sketch(
        rng, types=draw_types(rng, rng.choice([1, 1, 2]), is_counted=is_counted)
    )
    sketch.names = [f"m{index}" for index in range(rng.choice([1, 2, 2, 3, 3, 4]))]
    is_extreme = rng.random() < 0.15
    for name in sketch.names:
        for gpu_type, _ in sketch.types:
            if rng.random() < 0.15:
                continue
            measure(
                sketch,
                name,
                gpu_type,
                rng.choice([1, 1, 2, 3]),
                memory_bytes=gpu_type.known_memory_bytes(),
                is_extreme=is_extreme,
            )
    return with_choices(sketch, drawn_as)


def many_replicas(rng: random.Random, drawn_as: str) -> Question:
    """One or two small models, of which many copies run."""
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=rng.random() < 0.5))
    gpu_type = sketch.types[0][0]
    sketch.names = ["m0", "m1"][: rng.choice([1, 1, 2])]
    for name in sketch.names:
        memory = rng.choice([0.06, 0.1, 0.24, 0.3])
        sketch.records.append(
            make_record(
                name,
                gpu_type=gpu_type,
                throughput_infer_per_sec=draw_rate(rng),
                gpu_utilization_percent=rng.choice([1.0, 2.5, 10.0, 100 / 7]),
                memory_utilization_percent=rng.choice([0.0, 1.0, 100 / 3]),
                gpu_memory_used_bytes=int(memory * gpu_type.known_memory_bytes()),
            )
        )
    objective = rng.choice(["min_gpus", "min_cost", "max_throughput"])
    arguments = draw_arguments(sketch, objective)
    arguments.pop("latency_limit_ms", None)
    if rng.random() < 0.5:
        arguments["replicas"] = {name: rng.randint(4, 20) for name in sketch.names}
    else:
        arguments["demand"] = {
            one.model_name: float(
                f"{(one.throughput_infer_per_sec or 1) * rng.randint(3, 20):.9g}"
            )
            for one in sketch.records
        }
    if rng.random() < 0.3:
        draw_optional(sketch, arguments, 0.6)
    return sketch.question(drawn_as, objective, arguments)


def many_types(rng: random.Random, drawn_as: str) -> Question:
    """Up to six GPU types, one to three models."""
    sketch = Sketch(rng)
    sketch.types = [
        (
            GpuType(name=f"G{i}", memory_bytes=rng.choice([600, 1000, 2400]) * MIB),
            rng.choice([None, 1, 1, 2]),
        )
        for i in range(rng.randint(3, 6))
    ]
    sketch.names = [f"m{index}" for index in range(rng.randint(1, 3))]
    for name in sketch.names:
        for gpu_type, _ in sketch.types:
            if rng.random() < 0.6:
                measure(
                    sketch,
                    name,
                    gpu_type,
                    1,
                    memory_bytes=gpu_type.known_memory_bytes(),
                )
    return with_choices(sketch, drawn_as)


def many_points(rng: random.Random, drawn_as: str) -> Question:
    """One or two models with up to twelve load points each."""
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=rng.random() < 0.7))
    gpu_type = sketch.types[0][0]
    sketch.names = ["m0", "m1"][: rng.randint(1, 2)]
    for name in sketch.names:
        measure(
            sketch,
            name,
            gpu_type,
            rng.randint(5, 12),
            memory_bytes=gpu_type.known_memory_bytes(),
        )
    return with_choices(sketch, drawn_as)


def extreme(rng: random.Random, drawn_as: str) -> Question:
    """Rates from 0.001 to a million in one question, prices a millionth apart."""
    sketch = Sketch(rng, types=draw_types(rng, 2, is_counted=rng.random() < 0.6))
    sketch.names = [f"m{index}" for index in range(rng.randint(2, 3))]
    for name in sketch.names:
        for gpu_type, _ in sketch.types:
            measure(
                sketch,
                name,
                gpu_type,
                rng.randint(1, 2),
                memory_bytes=gpu_type.known_memory_bytes(),
                is_extreme=True,
            )
    question = with_choices(sketch, drawn_as)
    if question.objective == "min_cost":
        prices = {one.name: 1.0 + 1e-6 * i for i, (one, _) in enumerate(sketch.types)}
        question.arguments["prices"] = prices
    return question


def far_apart(rng: random.Random, drawn_as: str) -> Question:
    """Demands far below and far above what a replica serves, beside one another.

    What serving them takes of a GPU, or gives of the whole, may be a billionth.
    """
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=rng.random() < 0.8))
    ((gpu_type, _),) = sketch.types
    sketch.names = [f"m{index}" for index in range(rng.randint(2, 4))]
    for name in sketch.names:
        measure(
            sketch,
            name,
            gpu_type,
            rng.randint(1, 2),
            memory_bytes=gpu_type.known_memory_bytes(),
            is_extreme=rng.random() < 0.7,
        )
    question = with_choices(sketch, drawn_as)
    best = {
        name: max(
            one.throughput_infer_per_sec or 0.0
            for one in sketch.records
            if one.model_name == name
        )
        for name in sketch.names
    }
    is_served_in_part = question.objective == "max_throughput"
    most = 5 if is_served_in_part else 0.2
    demand = {
        name: float(f"{best[name] * 10.0 ** rng.uniform(-10, most):.6g}")
        for name in sketch.names
        if rng.random() < 0.7
    }
    question.arguments["demand"] = demand or {"m0": best["m0"] * 1e-8}
    if not set(question.arguments["demand"]) - set(
        question.arguments.get("optional", ())
    ):
        question.arguments.pop("fairness", None)
    if is_served_in_part and rng.random() < 0.5:
        question.arguments["weights"] = {
            name: float(f"{10.0 ** rng.uniform(-4, 4):.3g}") for name in sketch.names
        }
    return question
