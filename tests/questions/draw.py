"""Random questions: every wish beside every other, small enough to be judged.

A seed always gives the same question. Numbers are drawn so that sums often meet their
limits exactly: shares of 100/n percent, memory in few sizes, demands that are whole
multiples of a throughput.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpupack.profile_set import ProfileSet
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.records.profile import LoadPoint
from tests.factories import MIB, make_baseline, make_record
from tests.questions.fillings import TooLargeError
from tests.questions.judge import Expected, expect
from tests.questions.question import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.records.profile import ProfileRecord

MAX_TRIES = 50
MIN_DEMAND = 1e-4
"""Infer/sec."""


def draw(seed: int) -> tuple[Question, Expected]:
    """Return the question of a seed, and what the oracle says of it."""
    rng = random.Random(seed)
    for _ in range(MAX_TRIES):
        name, make = rng.choices(
            [(name, make) for name, make, _ in KINDS], [w for *_, w in KINDS]
        )[0]
        question = make(random.Random(rng.getrandbits(64)), name)
        try:
            return question, expect(question)
        except TooLargeError:
            continue
    raise AssertionError(f"no question of seed {seed} is small enough")


@dataclass
class _Sketch:
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


def _types(rng: random.Random, most: int, *, is_counted: bool) -> list[Any]:
    return [
        (
            GpuType(
                name=f"G{index}", memory_bytes=rng.choice([600, 1000, 1600, 2400]) * MIB
            ),
            rng.randint(1, 4 if most == 1 else 2) if is_counted else None,
        )
        for index in range(rng.randint(1, most))
    ]


def _percent(rng: random.Random, most: float = 100.0) -> float:
    """Return a utilization: a decimal, a share of 100/n, or one in full precision."""
    how = rng.random()
    if how < 0.35:
        return min(most, 100 / rng.randint(2, 9))
    if how < 0.8:
        return float(rng.randint(0, int(most)))
    return round(rng.uniform(0, most), rng.choice([1, 3, 6]))


def _rate(rng: random.Random, *, is_extreme: bool = False) -> float:
    if is_extreme:
        return float(f"{10 ** rng.uniform(-3, 6):.6g}")
    return rng.choice(
        [float(rng.randint(5, 300)), round(rng.uniform(1, 900), 2), 100 / 3]
    )


def _measure(
    sketch: _Sketch,
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
                throughput_infer_per_sec=_rate(rng, is_extreme=is_extreme),
                gpu_utilization_percent=_percent(rng, most_percent),
                memory_utilization_percent=_percent(rng, most_percent),
                sm_utilization_percent=rng.choice([None, _percent(rng, most_percent)]),
                gpu_memory_used_bytes=baseline * MIB
                + int(own * (memory_bytes - baseline * MIB)),
                **values,
            )
        )


def _headroom(rng: random.Random) -> Any:
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


def _arguments(sketch: _Sketch, objective: str) -> dict[str, Any]:
    """Return wishes that go with any question."""
    rng = sketch.rng
    arguments: dict[str, Any] = {}
    if rng.random() < 0.6:
        arguments["headroom"] = _headroom(rng)
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


def _optional(sketch: _Sketch, arguments: dict[str, Any], chance: float) -> None:
    optional = [name for name in sketch.names if sketch.rng.random() < chance]
    if optional:
        arguments["optional"] = optional


def plain(rng: random.Random, drawn_as: str) -> Question:
    """One record per model, one GPU type: nothing to choose but who sits where."""
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=rng.random() < 0.4))
    gpu_type = sketch.types[0][0]
    sketch.names = [f"m{index}" for index in range(rng.randint(1, 8))]
    most = rng.choice([100.0, 60.0])
    for name in sketch.names:
        _measure(
            sketch,
            name,
            gpu_type,
            1,
            memory_bytes=gpu_type.known_memory_bytes(),
            most_percent=most,
        )
    objective = rng.choice(["min_gpus", "max_throughput", "min_cost"])
    arguments = _arguments(sketch, objective)
    if rng.random() < 0.2:
        headroom = {"memory": 1.0, "sm_utilization": rng.choice([1.0, 0.8])}
        if all(one.sm_utilization_percent is not None for one in sketch.records):
            arguments["headroom"] = headroom
    return sketch.question(drawn_as, objective, arguments)


def equal_shares(rng: random.Random, drawn_as: str) -> Question:
    """Models that share a GPU exactly: n of 100/n percent."""
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=False))
    gpu_type = sketch.types[0][0]
    number = rng.randint(2, 8)
    sketch.names = [f"m{index}" for index in range(number)]
    rate = _rate(rng)
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
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=rng.random() < 0.5))
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
        _optional(sketch, arguments, 0.3)
    return sketch.question(
        drawn_as, rng.choice(["min_gpus", "max_throughput"]), arguments
    )


def choices(rng: random.Random, drawn_as: str) -> Question:
    """Load points, replicas, GPU types, demands, optional models, weights, shares."""
    is_counted = rng.random() < 0.6
    sketch = _Sketch(
        rng, types=_types(rng, rng.choice([1, 1, 2]), is_counted=is_counted)
    )
    sketch.names = [f"m{index}" for index in range(rng.choice([1, 2, 2, 3, 3, 4]))]
    is_extreme = rng.random() < 0.15
    for name in sketch.names:
        for gpu_type, _ in sketch.types:
            if rng.random() < 0.15:
                continue
            _measure(
                sketch,
                name,
                gpu_type,
                rng.choice([1, 1, 2, 3]),
                memory_bytes=gpu_type.known_memory_bytes(),
                is_extreme=is_extreme,
            )
    return _with_choices(sketch, drawn_as)


def _with_choices(sketch: _Sketch, drawn_as: str) -> Question:
    """Finish a question with wishes that make ``place()`` choose."""
    rng = sketch.rng
    # A model must be measured somewhere to be known at all.
    sketch.names = sorted({one.model_name for one in sketch.records})
    while not sketch.names:
        gpu_type = sketch.types[0][0]
        _measure(sketch, "m0", gpu_type, 1, memory_bytes=gpu_type.known_memory_bytes())
        sketch.names = ["m0"]
    measured = {one.gpu_type.name for one in sketch.records}
    if rng.random() < 0.95:
        sketch.types = [one for one in sketch.types if one[0].name in measured]
    objective = rng.choice(["min_gpus", "min_cost", "max_throughput", "max_throughput"])
    arguments = _arguments(sketch, objective)
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
        _optional(sketch, arguments, 0.4)
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


def many_replicas(rng: random.Random, drawn_as: str) -> Question:
    """One or two small models, of which many copies run."""
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=rng.random() < 0.5))
    gpu_type = sketch.types[0][0]
    sketch.names = ["m0", "m1"][: rng.choice([1, 1, 2])]
    for name in sketch.names:
        memory = rng.choice([0.06, 0.1, 0.24, 0.3])
        sketch.records.append(
            make_record(
                name,
                gpu_type=gpu_type,
                throughput_infer_per_sec=_rate(rng),
                gpu_utilization_percent=rng.choice([1.0, 2.5, 10.0, 100 / 7]),
                memory_utilization_percent=rng.choice([0.0, 1.0, 100 / 3]),
                gpu_memory_used_bytes=int(memory * gpu_type.known_memory_bytes()),
            )
        )
    objective = rng.choice(["min_gpus", "min_cost", "max_throughput"])
    arguments = _arguments(sketch, objective)
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
        _optional(sketch, arguments, 0.6)
    return sketch.question(drawn_as, objective, arguments)


def many_types(rng: random.Random, drawn_as: str) -> Question:
    """Up to six GPU types, one to three models."""
    sketch = _Sketch(rng)
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
                _measure(
                    sketch,
                    name,
                    gpu_type,
                    1,
                    memory_bytes=gpu_type.known_memory_bytes(),
                )
    return _with_choices(sketch, drawn_as)


def many_points(rng: random.Random, drawn_as: str) -> Question:
    """One or two models with up to twelve load points each."""
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=rng.random() < 0.7))
    gpu_type = sketch.types[0][0]
    sketch.names = ["m0", "m1"][: rng.randint(1, 2)]
    for name in sketch.names:
        _measure(
            sketch,
            name,
            gpu_type,
            rng.randint(5, 12),
            memory_bytes=gpu_type.known_memory_bytes(),
        )
    return _with_choices(sketch, drawn_as)


def extreme(rng: random.Random, drawn_as: str) -> Question:
    """Rates from 0.001 to a million in one question, prices a millionth apart."""
    sketch = _Sketch(rng, types=_types(rng, 2, is_counted=rng.random() < 0.6))
    sketch.names = [f"m{index}" for index in range(rng.randint(2, 3))]
    for name in sketch.names:
        for gpu_type, _ in sketch.types:
            _measure(
                sketch,
                name,
                gpu_type,
                rng.randint(1, 2),
                memory_bytes=gpu_type.known_memory_bytes(),
                is_extreme=True,
            )
    question = _with_choices(sketch, drawn_as)
    if question.objective == "min_cost":
        prices = {one.name: 1.0 + 1e-6 * i for i, (one, _) in enumerate(sketch.types)}
        question.arguments["prices"] = prices
    return question


def far_apart(rng: random.Random, drawn_as: str) -> Question:
    """Demands far below and far above what a replica serves, beside one another.

    What serving them takes of a GPU, or gives of the whole, may be a billionth.
    """
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=rng.random() < 0.8))
    ((gpu_type, _),) = sketch.types
    sketch.names = [f"m{index}" for index in range(rng.randint(2, 4))]
    for name in sketch.names:
        _measure(
            sketch,
            name,
            gpu_type,
            rng.randint(1, 2),
            memory_bytes=gpu_type.known_memory_bytes(),
            is_extreme=rng.random() < 0.7,
        )
    question = _with_choices(sketch, drawn_as)
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


def unknown_type(rng: random.Random, drawn_as: str) -> Question:
    """Records that do not say their GPU type; the caller names it."""
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=rng.random() < 0.6))
    memory = sketch.types[0][0].known_memory_bytes()
    sketch.names = [f"m{index}" for index in range(rng.randint(1, 4))]
    for name in sketch.names:
        _measure(
            sketch, name, UNKNOWN_GPU_TYPE, rng.choice([1, 1, 2]), memory_bytes=memory
        )
    return _with_choices_on_named_type(sketch, drawn_as)


def _with_choices_on_named_type(sketch: _Sketch, drawn_as: str) -> Question:
    named = list(sketch.types)
    question = _with_choices(sketch, drawn_as)
    prices = question.arguments.get("prices")
    if prices is not None:
        question.arguments["prices"] = {
            named[0][0].name: next(iter(prices.values()), 1.0)
        }
    elif question.objective == "min_cost":
        question.arguments["prices"] = {named[0][0].name: 1.5}
    question.arguments["gpus"] = {one.name: count for one, count in named}
    for one, _ in named:
        question.gpu_memory_bytes[one.name] = one.known_memory_bytes()
    return question


def other_type(rng: random.Random, drawn_as: str) -> Question:
    """Records of a known type, while another one is planned for."""
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=rng.random() < 0.4))
    measured = GpuType(name="H0", memory_bytes=2400 * MIB)
    sketch.names = [f"m{index}" for index in range(rng.randint(1, 3))]
    for name in sketch.names:
        _measure(
            sketch,
            name,
            measured,
            rng.choice([1, 1, 2]),
            memory_bytes=sketch.types[0][0].known_memory_bytes(),
        )
    question = _with_choices_on_named_type(sketch, drawn_as)
    if rng.random() < 0.7:
        question.arguments["carry_memory_over"] = True
        if rng.random() < 0.7:
            question.arguments.pop("demand", None)
            question.arguments.pop("fairness", None)
            question.arguments.pop("weights", None)
            question.arguments["headroom"] = 1.0
            return Question(
                question.profiles,
                rng.choice(["min_gpus", "min_cost"])
                if question.arguments.get("prices")
                else "min_gpus",
                question.arguments,
                question.gpu_memory_bytes,
                question.time_limit_s,
                drawn_as,
            )
    return question


def retention(rng: random.Random, drawn_as: str) -> Question:
    """What models keep beside each other, under every way of sharing."""
    is_counted = rng.random() < 0.5
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=is_counted))
    gpu_type = sketch.types[0][0]
    has_choices = rng.random() < 0.4
    sketch.names = [f"m{i}" for i in range(rng.randint(1, 3 if has_choices else 6))]
    baseline = rng.choice([0, 50])
    sketch.baselines[gpu_type.name] = baseline
    for name in sketch.names:
        for concurrency in range(1, rng.choice([2, 3]) if has_choices else 2):
            sketch.records.append(
                make_record(
                    name,
                    load_point=LoadPoint(
                        batch_size=rng.choice([1, 2, 8]), concurrency=concurrency
                    ),
                    gpu_type=gpu_type,
                    throughput_infer_per_sec=_rate(rng),
                    gpu_utilization_percent=float(rng.randint(1, 70)),
                    memory_utilization_percent=float(rng.randint(0, 50)),
                    gpu_utilization_mean_percent=rng.choice(
                        [None, float(rng.randint(1, 60))]
                    ),
                    sm_utilization_percent=rng.choice(
                        [None, float(rng.randint(1, 40))]
                    ),
                    dram_bandwidth_percent=rng.choice(
                        [None, float(rng.randint(1, 30))]
                    ),
                    num_model_instances=rng.choice([None, 1, 2]),
                    gpu_memory_used_bytes=(baseline + rng.choice([20, 100, 250])) * MIB,
                )
            )
    if has_choices:
        question = _with_choices(sketch, drawn_as)
        question.arguments.pop("latency_limit_ms", None)
    else:
        objective = rng.choice(["min_gpus", "max_throughput", "min_cost"])
        arguments = _arguments(sketch, objective)
        arguments.pop("latency_limit_ms", None)
        question = sketch.question(drawn_as, objective, arguments)
    question.arguments["min_retention"] = rng.choice(
        [
            rng.choice([0.5, 0.8, 0.9, 0.95]),
            {rng.choice(sketch.names): rng.choice([0.6, 0.9])},
        ]
    )
    if rng.random() < 0.7:
        question.arguments["sharing"] = rng.choice(["time_slicing", "mps", "streams"])
    return question


def predicted(rng: random.Random, drawn_as: str) -> Question:
    """The most predicted throughput on counted GPUs."""
    sketch = _Sketch(rng, types=_types(rng, 1, is_counted=True))
    gpu_type = sketch.types[0][0]
    sketch.names = [f"m{i}" for i in range(rng.randint(1, 6))]
    for name in sketch.names:
        sketch.records.append(
            make_record(
                name,
                gpu_type=gpu_type,
                throughput_infer_per_sec=_rate(rng),
                gpu_utilization_percent=float(rng.randint(1, 100)),
                memory_utilization_percent=float(rng.randint(0, 50)),
                gpu_memory_used_bytes=rng.choice([100, 200, 250, 333, 500]) * MIB,
            )
        )
    arguments: dict[str, Any] = {"contention": "predicted"}
    if rng.random() < 0.4:
        arguments["headroom"] = _headroom(rng)
    if rng.random() < 0.3:
        arguments["weights"] = {rng.choice(sketch.names): rng.choice([0.1, 3.0])}
    if rng.random() < 0.3:
        arguments["min_retention"] = rng.choice([0.3, 0.7, 0.9])
    if rng.random() < 0.6:
        arguments["sharing"] = rng.choice(["time_slicing", "mps", "streams"])
    return sketch.question(drawn_as, "max_throughput", arguments)


KINDS: list[tuple[str, Callable[[random.Random, str], Question], float]] = [
    ("plain", plain, 14),
    ("equal shares", equal_shares, 5),
    ("brim", brim, 6),
    ("choices", choices, 36),
    ("many replicas", many_replicas, 7),
    ("many types", many_types, 6),
    ("many points", many_points, 4),
    ("extreme", extreme, 8),
    ("far apart", far_apart, 6),
    ("unknown type", unknown_type, 6),
    ("other type", other_type, 4),
    ("retention", retention, 8),
    ("predicted", predicted, 5),
]
"""Kinds of questions, and how often each is drawn."""
