"""What keeps models from being placed: headroom, counts, budgets, demands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpupack.planning.modeling import amount_in_words
from gpupack.quoting import quoted
from gpupack.records.gpu import HOST_SHARES
from gpupack.spelling import setting
from gpupack.units import in_digits

if TYPE_CHECKING:
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.gpu import Resource

BUDGETS = ("max_gpus", "max_price_per_hour")
"""Fields of a question that limit the GPUs of all types together."""


@dataclass(frozen=True)
class Limits:
    """The limits that a relaxed question keeps; each can be left out of another one.

    Each is named as a field of the question, or as the model that it is asked of.
    """

    resources: tuple[Resource, ...]
    counted: tuple[str, ...]
    demands: tuple[str, ...]
    latencies: tuple[str, ...] = ()
    retentions: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()
    """The names of the fields that hold them."""

    @classmethod
    def of_question(cls, question: CapacityQuestion) -> Limits:
        """Return all that limits a placement."""
        wishes = question.wishes
        return cls(
            resources=tuple(resource for resource, _ in question.headroom),
            counted=tuple(
                entry.gpu_type.name
                for entry in question.fleet.entries
                if entry.num_gpus is not None
            ),
            demands=tuple(wishes.demand) if question.goal.is_in_full else (),
            latencies=tuple(wishes.latency_limit_ms),
            retentions=tuple(question.min_retention),
            replicas=tuple(
                name for name, count in wishes.replicas.items() if count > 1
            ),
            budgets=tuple(one for one in BUDGETS if getattr(question, one) is not None),
        )

    def names(self, question: CapacityQuestion) -> tuple[str, ...]:
        """Return the limits in words."""
        counts = {
            entry.gpu_type.name: entry.num_gpus for entry in question.fleet.entries
        }
        limits_ms = question.wishes.latency_limit_ms
        return (
            *(
                f"headroom of {resource.value} "
                f"{(question.headroom.share(resource) or 0):g}"
                f"{_host_in_words(question, resource)}"
                for resource in self.resources
            ),
            *(
                f"{counts[name]} {name} GPU{'s' * (counts[name] != 1)}"
                for name in self.counted
            ),
            *(_budget_in_words(question, field) for field in self.budgets),
            *(
                f"demand of {quoted(name)} "
                f"{in_digits(question.wishes.demand[name], 6)} infer/sec"
                for name in self.demands
            ),
            *(
                f"replicas of {quoted(name)} {question.wishes.replicas[name]}"
                for name in self.replicas
            ),
            *(
                f"latency limit of {quoted(name)} {limits_ms[name]:g} ms"
                for name in self.latencies
            ),
            *(
                f"{setting('min_retention')} of {quoted(name)} "
                f"{question.min_retention[name]:g}"
                for name in self.retentions
            ),
        )

    def fields(self, question: CapacityQuestion) -> tuple[tuple[str, ...], ...]:
        """Return where a request asks for the limits."""
        is_by_type = len(question.fleet.entries) > 1
        counts = [
            ("gpus", name, "count") if is_by_type else ("gpus",)
            for name in self.counted
        ]
        wishes = {
            "demand": self.demands,
            "replicas": self.replicas,
            "latency_limit_ms": self.latencies,
            "min_retention": self.retentions,
        }
        return (
            *((("headroom",),) if self.resources else ()),
            *counts,
            *((field,) for field in self.budgets),
            *(
                ("models", name, wish)
                for wish, names in wishes.items()
                for name in names
            ),
        )

    def of(self, models: tuple[str, ...]) -> Limits:
        """Return the limits that concern these models."""
        return replace(
            self,
            demands=tuple(name for name in self.demands if name in models),
            latencies=tuple(name for name in self.latencies if name in models),
            retentions=tuple(name for name in self.retentions if name in models),
            replicas=tuple(name for name in self.replicas if name in models),
        )


def _host_in_words(question: CapacityQuestion, resource: Resource) -> str:
    """Return how much of the host each GPU has: " (host_cpus_per_gpu T4=2)"."""
    told = [
        f"{entry.gpu_type.name}={amount_in_words(resource, capacity)}"
        for entry in question.fleet.entries
        if resource.is_of_host
        and (capacity := entry.gpu_type.capacity_of(resource)) is not None
    ]
    return f" ({HOST_SHARES[resource]} {', '.join(told)})" if told else ""


def _budget_in_words(question: CapacityQuestion, field: str) -> str:
    if field == "max_gpus":
        return f"budget of {question.max_gpus} GPU{'s' * (question.max_gpus != 1)}"
    return f"budget of {in_digits(question.max_price_per_hour or 0, 6)} per hour"
