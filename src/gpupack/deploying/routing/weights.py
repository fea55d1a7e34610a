"""Weights: each model's traffic split over the GPUs that hold it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu, PlannedServer

TOTAL = 10_000
"""Weights of a model add up to this: a hundredth of a percent is the finest share."""


@dataclass(frozen=True)
class Share:
    """One GPU's part in a model's traffic.

    Attributes:
        weight: Out of ``TOTAL``, over all GPUs of the model.
        infer_per_sec: What was planned; None where nothing is known.
    """

    gpu: PlannedGpu
    server: PlannedServer
    weight: int
    infer_per_sec: float | None


def shares_of(plan: DeploymentPlan) -> dict[str, tuple[Share, ...]]:
    """Return every model's shares; by instances where no traffic is known.

    A model that one of its GPUs has no traffic of is split by its instances there.
    """
    found = {}
    for name in plan.model_names:
        holders = [
            gpu
            for gpu in plan.gpus
            if name in gpu.models and not gpu.models[name].is_helper
        ]
        rates = [gpu.traffic.get(name) for gpu in holders]
        parts = _parts(name, holders, rates)
        found[name] = tuple(
            Share(gpu, gpu.server_of(name), weight, rate)
            for gpu, weight, rate in zip(
                holders, whole_weights(parts, TOTAL), rates, strict=True
            )
        )
    return found


def whole_weights(parts: Sequence[float], total: int) -> list[int]:
    """Return whole numbers in proportion to ``parts`` that add up to ``total``.

    By largest remainders; a part above 0 gets at least 1, unless there are more parts
    than that.
    """
    whole = sum(parts)
    exact = [part / whole * total for part in parts]
    weights = [max(int(one), 1 if one > 0 else 0) for one in exact]
    by_remainder = sorted(
        range(len(parts)), key=lambda index: (weights[index] - exact[index], index)
    )
    missing = total - sum(weights)
    for index in by_remainder[: max(0, missing)]:
        weights[index] += 1
    # Many tiny parts were given 1: what that takes, the largest give back.
    excess = sum(weights) - total
    largest = [(-weight, index) for index, weight in enumerate(weights)]
    heapify(largest)
    for _ in range(max(0, excess)):
        weight, index = largest[0]
        weights[index] -= 1
        heapreplace(largest, (weight + 1, index))
    return weights


def host_weights(plan: DeploymentPlan) -> str:
    """Return every model's shares as JSON, with the ports of the servers on a host."""
    return _json(
        {
            name: [
                {
                    "server": share.server.name,
                    "http_port": share.server.ports[0],
                    "grpc_port": share.server.ports[1],
                    "weight": share.weight,
                    "infer_per_sec": share.infer_per_sec,
                }
                for share in shares
            ]
            for name, shares in shares_of(plan).items()
        }
    )


@dataclass(frozen=True)
class GroupShare:
    """The part in a model's traffic of GPUs that can stand in for each other.

    Attributes:
        gpus: At least one.
        weight: Of them together, out of ``TOTAL``.
        infer_per_sec: Of them together, as planned; None where nothing is known.
    """

    gpus: tuple[PlannedGpu, ...]
    weight: int
    infer_per_sec: float | None


def group_shares_of(plan: DeploymentPlan) -> dict[str, tuple[GroupShare, ...]]:
    """Return every model's shares, those of equal GPUs together.

    By instances where no traffic is known, as ``shares_of``.
    """
    found = {}
    for name in plan.model_names:
        holders = [
            gpus
            for gpus in plan.groups
            if name in gpus[0].models and not gpus[0].models[name].is_helper
        ]
        rates = [gpus[0].traffic.get(name) for gpus in holders]
        parts = _parts(name, [gpus[0] for gpus in holders], rates)
        weights = whole_weights(
            [part * len(gpus) for part, gpus in zip(parts, holders, strict=True)],
            TOTAL,
        )
        found[name] = tuple(
            GroupShare(gpus, weight, None if rate is None else rate * len(gpus))
            for gpus, weight, rate in zip(holders, weights, rates, strict=True)
        )
    return found


def cluster_weights(plan: DeploymentPlan) -> str:
    """Return every model's shares as JSON, those of equal GPUs together."""
    return _json(
        {
            name: [
                {
                    "gpu": share.gpus[0].name,
                    "replicas": len(share.gpus),
                    "weight": share.weight,
                    "infer_per_sec": share.infer_per_sec,
                }
                for share in shares
            ]
            for name, shares in group_shares_of(plan).items()
        }
    )


def _parts(
    name: str, gpus: Sequence[PlannedGpu], rates: Sequence[float | None]
) -> list[float]:
    """Return each GPU's part in a model's traffic, or its instances if unknown."""
    known = [rate for rate in rates if rate is not None]
    if len(known) == len(rates) and sum(known) > 0:
        return known
    return [
        float(sum(group.count for group in gpu.models[name].config.instance_group) or 1)
        for gpu in gpus
    ]


def _json(models: dict[str, list[dict[str, object]]]) -> str:
    content = {"models": models, "total": TOTAL}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
