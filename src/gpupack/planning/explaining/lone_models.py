"""A lower bound in words: models too large to share a GPU, then volume for the rest.

What the bounds call a clique of conflicts; ``lone`` models are its members.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.planning.modeling import told_to_divide

if TYPE_CHECKING:
    from gpupack.planning.modeling import CapacityQuestion


def proof_by_lone_models(question: CapacityQuestion, num_gpus: int) -> str | None:
    """Return why fewer than ``num_gpus`` are impossible, None if this way fails.

    Some models can share a GPU with no other model; they take a GPU each. The others
    need at least their total of a resource, divided by what a GPU offers. Only for one
    record per model on one GPU type, and models that share no composing models.
    """
    if len(question.supplies) > 1 or not question.wishes.is_plain:
        return None
    translation = replace(question, max_gpus=None).translated()
    problem = translation.problem
    if len(problem.options) != len(problem.jobs) or translation.shares_memory:
        return None
    sizes = [option.fixed for option in problem.options]
    names = [record.model_name for record in translation.records]
    capacity = problem.bin_types[0].capacity
    everyone = range(len(sizes))

    def share(one: int, other: int) -> bool:
        return all(
            a + b <= most
            for a, b, most in zip(sizes[one], sizes[other], capacity, strict=True)
        )

    lone = [
        one
        for one in everyone
        if not any(share(one, other) for other in everyone if other != one)
    ]
    if not lone:
        return None
    rest = [one for one in everyone if one not in lone]
    for dimension, (resource, _) in enumerate(question.headroom):
        total = sum(sizes[one][dimension] for one in rest)
        offered = capacity[dimension]
        if total and not offered:
            continue
        others = -(-total // offered) if total else 0
        if len(lone) + others < num_gpus:
            continue
        verb = "shares" if len(lone) == 1 else "share"
        plural = "s" * (len(lone) != 1)
        alone = (
            f"{', '.join(repr(names[one]) for one in lone)} {verb} a GPU with no "
            f"other model and take{'s' * (len(lone) == 1)} {len(lone)} GPU{plural}"
        )
        if not total:
            return f"{alone}."
        need, offer = told_to_divide(resource, total, offered)
        return (
            f"{alone}; the others need {need} of {resource.value}, of which a GPU "
            f"offers {offer}: {others} more."
        )
    return None
