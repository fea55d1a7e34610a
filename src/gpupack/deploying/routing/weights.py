"""Weights: each model's traffic split over the GPUs that hold it."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
        known = [rate for rate in rates if rate is not None]
        parts = (
            known
            if len(known) == len(rates) and sum(known) > 0
            else [
                float(
                    sum(group.count for group in gpu.models[name].config.instance_group)
                    or 1
                )
                for gpu in holders
            ]
        )
        found[name] = tuple(
            Share(gpu, gpu.server_of(name), weight, rate)
            for gpu, weight, rate in zip(
                holders, whole_weights(parts, TOTAL), rates, strict=True
            )
        )
    return found


def whole_weights(parts: Sequence[float], total: int) -> list[int]:
    """Return whole numbers in proportion to ``parts`` that add up to ``total``.

    By largest remainders; a part above 0 gets at least 1.
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
    while sum(weights) > total:  # many tiny parts were given 1
        weights[max(range(len(parts)), key=lambda index: weights[index])] -= 1
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


def cluster_weights(plan: DeploymentPlan) -> str:
    """Return every model's shares as JSON, those of equal GPUs together."""
    models: dict[str, list[dict[str, object]]] = {}
    for name, shares in shares_of(plan).items():
        of_gpu = {share.gpu.name: share for share in shares}
        models[name] = []
        for gpus in plan.groups:
            here = [of_gpu[gpu.name] for gpu in gpus if gpu.name in of_gpu]
            rates = [share.infer_per_sec for share in here]
            known = [rate for rate in rates if rate is not None]
            if here:
                models[name].append(
                    {
                        "gpu": gpus[0].name,
                        "replicas": len(here),
                        "weight": sum(share.weight for share in here),
                        "infer_per_sec": (
                            sum(known) if len(known) == len(rates) else None
                        ),
                    }
                )
    return _json(models)


def _json(models: dict[str, list[dict[str, object]]]) -> str:
    content = {"models": models, "total": TOTAL}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
