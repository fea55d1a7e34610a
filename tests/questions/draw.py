"""Random questions: every wish beside every other, small enough to be judged.

A seed always gives the same question. Numbers are drawn so that sums often meet their
limits exactly: shares of 100/n percent, memory in few sizes, demands that are whole
multiples of a throughput.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.questions.composing_kinds import composing
from tests.questions.fillings import TooLargeError
from tests.questions.gpu_kinds import other_type, predicted, retention, unknown_type
from tests.questions.hosts import on_hosts
from tests.questions.judge import Expected, expect
from tests.questions.kinds import (
    brim,
    choices,
    equal_shares,
    extreme,
    far_apart,
    many_points,
    many_replicas,
    many_types,
    plain,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.questions.question import Question


MAX_TRIES = 50
HOST_CHANCE = 0.2
"""Of a question in which a GPU's share of its host binds."""


def draw(seed: int, *, host_chance: float = HOST_CHANCE) -> tuple[Question, Expected]:
    """Return the question of a seed, and what the oracle says of it."""
    rng = random.Random(seed)
    for _ in range(MAX_TRIES):
        name, make = rng.choices(
            [(name, make) for name, make, _ in KINDS], [w for *_, w in KINDS]
        )[0]
        question = make(random.Random(rng.getrandbits(64)), name)
        if rng.random() < host_chance:
            question = on_hosts(rng, question)
        try:
            return question, expect(question)
        except TooLargeError:
            continue
    raise AssertionError(f"no question of seed {seed} is small enough")


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
    ("composing", composing, 14),
]
"""Kinds of questions, and how often each is drawn."""
