"""Kinds of questions about models that share composing models."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.records.profile import HelperMemory, LoadPoint, ModelVariant
from tests.factories import MIB, make_record
from tests.questions.gpu_kinds import other_type, predicted, retention, unknown_type
from tests.questions.kinds import (
    brim,
    choices,
    many_replicas,
    many_types,
    plain,
)
from tests.questions.sketch import (
    Sketch,
    draw_arguments,
    draw_rate,
    draw_types,
    with_choices,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.records.profile import ProfileRecord
    from tests.questions.question import Question

    Make = Callable[[random.Random, str], Question]

_PLAIN: list[Make] = [
    plain,
    plain,
    brim,
    choices,
    choices,
    choices,
    many_replicas,
    many_types,
    retention,
    predicted,
    unknown_type,
    other_type,
]


def composing(rng: random.Random, drawn_as: str) -> Question:
    """A question of any kind, of which some models call the same ones."""
    if rng.random() < 0.6:
        return units(rng, drawn_as)
    question = rng.choice(_PLAIN)(rng, drawn_as)
    names = list(question.profiles.model_names)
    helpers = ["h0", "h1", "h2"][: rng.choice([1, 1, 2, 3])]
    if rng.random() < 0.25:
        helpers.append(rng.choice(names))
    calls = {
        name: [one for one in helpers if one != name and rng.random() < 0.8]
        for name in names
    }
    sizes = {one: rng.choice([0, 50, 100, 200, 300, 400, 480]) * MIB for one in helpers}
    how = rng.choice(["as measured", "as measured", "shares", "apart"])
    changed = [
        _calling(rng, record, calls[record.model_name], sizes, how)
        for record in question.profiles.records
    ]
    return replace(
        question,
        profiles=question.profiles.model_copy(update={"records": tuple(changed)}),
    )


def units(rng: random.Random, drawn_as: str) -> Question:
    """Ensembles whose memory is mostly that of few models, which fills GPUs."""
    is_counted = rng.random() < 0.5
    most = rng.choice([1, 1, 2])
    sketch = Sketch(rng, types=draw_types(rng, most, is_counted=is_counted))
    sketch.names = [
        f"m{index}" for index in range(rng.randint(2, 6 if most == 1 else 4))
    ]
    helpers = ["h0", "h1", "h2"][: rng.randint(1, 3)]
    if rng.random() < 0.2:
        helpers[-1] = sketch.names[0]
    sizes = {one: rng.choice([150, 200, 300, 400]) for one in helpers}
    has_points = rng.random() < 0.3
    for name in sketch.names:
        called = [one for one in helpers if one != name and rng.random() < 0.7]
        for gpu_type, _ in sketch.types:
            baseline = sketch.baselines.setdefault(
                gpu_type.name, rng.choice([0, 0, 100])
            )
            for concurrency in (1, 2) if has_points else (1,):
                own = rng.choice([0, 20, 50, 100, 150, 200, 300])
                if name in sizes:
                    own += sizes[name]
                sketch.records.append(
                    make_record(
                        name,
                        load_point=LoadPoint(batch_size=1, concurrency=concurrency),
                        gpu_type=gpu_type,
                        throughput_infer_per_sec=draw_rate(rng),
                        gpu_utilization_percent=float(rng.randint(1, 60)),
                        memory_utilization_percent=float(rng.randint(1, 40)),
                        gpu_memory_used_bytes=MIB
                        * (baseline + own + sum(sizes[one] for one in called)),
                        helpers=tuple(called),
                        helper_memory=tuple(
                            HelperMemory(
                                model_name=one,
                                memory_bytes=sizes[one] * MIB + rng.choice([0, 0, 1]),
                            )
                            for one in called
                        ),
                    )
                )
    if has_points or most > 1 or rng.random() < 0.5:
        question = with_choices(sketch, drawn_as)
    else:
        objective = rng.choice(["min_gpus", "max_throughput", "min_cost"])
        question = sketch.question(
            drawn_as, objective, draw_arguments(sketch, objective)
        )
    question.arguments.pop("latency_limit_ms", None)
    if most == 1 and rng.random() < 0.2:
        question.arguments["min_retention"] = rng.choice([0.5, 0.8, 0.9])
    return question


def _calling(
    rng: random.Random,
    record: ProfileRecord,
    helpers: list[str],
    sizes: dict[str, int],
    how: str,
) -> ProfileRecord:
    """Return the record with composing models in its memory."""
    measured = []
    used = record.gpu_memory_used_bytes or 0
    for one in helpers:
        size = sizes[one]
        if how == "shares":
            size = int(used * rng.choice([0.0, 0.25, 0.5, 1 / 3, 0.9, 1.0]))
        elif rng.random() < 0.2:
            size += rng.choice([-1, 1, MIB, -MIB])
        versions = rng.choice([(), (1,), (2,), (1, 2)]) if how == "apart" else (1,)
        measured.append(
            HelperMemory(model_name=one, memory_bytes=max(0, size), versions=versions)
        )
    point = record.load_point
    if how == "apart" and helpers and rng.random() < 0.5:
        called = rng.choice(helpers)
        variant = ModelVariant(
            name="as_called",
            composing=(ModelVariant(name=f"{called}_config_{rng.randint(0, 1)}"),),
        )
        if point.variant is None and len(measured) > 1:
            point = point.model_copy(update={"variant": variant})
    return record.model_copy(
        update={
            "helpers": tuple(sorted(helpers)),
            "helper_memory": tuple(measured),
            "model_version": rng.choice([None, 1]) if how == "apart" else None,
        }
    )
